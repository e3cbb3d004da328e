// What libpq is told of a server: its names are looked up before, for libpq would wait for silent
// name servers without an end that could be asked for.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "url.hpp"

namespace database {

struct SessionSettings;

struct Conninfo {
  std::string text;     // "" where there is no server to connect to
  std::string unknown;  // names without an address, and why; or ""
};

// Waits for name servers for as long as a connection may take, or until settings.stopping. Where
// one server is known, the others have a moment.
Conninfo conninfo(const SessionSettings& settings);

// The hosts of a connection that are neither addresses nor sockets. Without `host` they are libpq's
// to find.
std::vector<std::string> names_of(const Keywords& keywords);

// Gives each server whose host is such a name its `addresses`: it stands there once for each, under
// its name, which TLS goes by. One without is left out. False where no server is left.
bool place(Keywords* keywords, const std::map<std::string, std::vector<std::string>>& addresses);

}  // namespace database

// The command line's commands. Each returns the exit status: 0, 1 (refused), 2 (usage).
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::app {

class Supervisor;

int serve(const std::string& config, Supervisor& supervisor);
int check(const std::string& config, bool json);
int list_plugins(const std::string& config, bool json);
int list_routes(const std::string& config, bool json);
int show_chain(const std::string& config, const std::string& path, bool json);
int inspect(const std::string& file, bool json);
int run_command(const std::string& config, const std::string& id, const std::vector<std::string>& words);
int show_version(bool json);

std::string version_text();
// 2 and a message where the first word of a command line is no command; 0 for options and for none.
int check_command(std::string_view word, const std::vector<std::string>& commands);

}  // namespace bulkhead::app

// The command line's commands. Each returns the exit status: 0, 1 (refused), 2 (usage).
#pragma once

#include <string>
#include <vector>

namespace bulkhead::app {

int serve(const std::string& config);
int check(const std::string& config, bool json);
int list_plugins(const std::string& config, bool json);
int list_routes(const std::string& config, bool json);
int show_chain(const std::string& config, const std::string& path, bool json);
int inspect(const std::string& file, bool json);
int run_command(const std::string& config, const std::string& id, const std::vector<std::string>& words);
int show_version(bool json);

}  // namespace bulkhead::app

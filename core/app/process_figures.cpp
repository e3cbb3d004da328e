#include "core/app/process_figures.hpp"

#include <dirent.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <string>

namespace bulkhead::app {

namespace {

uint64_t count_entries(const char* path) {
  DIR* folder = ::opendir(path);
  if (folder == nullptr) return 0;
  uint64_t count = 0;
  while (::readdir(folder) != nullptr) ++count;
  ::closedir(folder);
  return count - 3;  // ".", "..", and the folder itself
}

double boot_seconds() {
  std::ifstream stat("/proc/stat");
  std::string word;
  double seconds = 0;
  while (stat >> word)
    if (word == "btime" && stat >> seconds) break;
  return seconds;
}

}  // namespace

ProcessFigures process_figures() {
  ProcessFigures figures;
  std::ifstream stat("/proc/self/stat");
  std::string line;
  std::getline(stat, line);
  const size_t name_end = line.rfind(')');
  if (name_end == std::string::npos) return figures;
  // proc(5): the fields from the third one on; user time is the 14th.
  std::istringstream fields(line.substr(name_end + 1));
  std::string skipped;
  for (int i = 3; i < 14; ++i) fields >> skipped;
  double user = 0, system = 0, start = 0;
  uint64_t pages = 0;
  fields >> user >> system;
  for (int i = 16; i < 20; ++i) fields >> skipped;
  fields >> figures.threads >> skipped >> start >> figures.virtual_bytes >> pages;
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  static const double boot = boot_seconds();
  figures.cpu_seconds = (user + system) / ticks;
  figures.start_seconds = boot + start / ticks;
  figures.resident_bytes = pages * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
  figures.open_fds = count_entries("/proc/self/fd");
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) figures.max_fds = limit.rlim_cur;
  return figures;
}

}  // namespace bulkhead::app

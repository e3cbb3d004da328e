// bulkhead/command.hpp - commands of a plugin, for `bulkhead run ID NAME ARGS...`. Registered by
// Plugin::command.
#ifndef BULKHEAD_COMMAND_HPP
#define BULKHEAD_COMMAND_HPP

#include <functional>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bulkhead/extensions/command.h"
#include "bulkhead/value.hpp"

namespace bulkhead {

using Arguments = std::span<const std::string_view>;
using Print = std::function<void(std::string_view text)>;  // to standard output

// The table behind bh.command/1. Commands run on the main thread, once every plugin has started,
// and may block. They throw std::invalid_argument for wrong usage (status 2), anything else for a
// failure (status 1).
class Commands {
 public:
  using Run = std::function<void(Arguments arguments, const Print& print)>;

  void add(std::string_view name, std::string_view usage, std::string_view summary, Run action) {
    list_.push_back({to_str(name), to_str(usage), to_str(summary)});
    runs_.push_back(std::move(action));
  }
  // `entry` finds this object by way of its first argument. Null where there is no command.
  const bh_commands* table(decltype(bh_commands::run) entry) {
    if (list_.empty()) return nullptr;
    table_ = {sizeof table_, static_cast<uint32_t>(list_.size()), list_.data(), entry};
    return &table_;
  }
  int32_t run(bh_str name, const bh_str* args, size_t n, void (*print)(void*, bh_str), void* out,
              bh_error* err) const noexcept {
    try {
      std::vector<std::string_view> arguments;
      for (size_t i = 0; i < n; ++i) arguments.push_back(to_view(args[i]));
      for (size_t i = 0; i < list_.size(); ++i) {
        if (to_view(list_[i].name) != to_view(name)) continue;
        runs_[i](arguments, [&](std::string_view text) { print(out, to_str(text)); });
        return 0;
      }
      set_error(err, BH_E_NOT_FOUND, "there is no such command");
      return 2;
    } catch (const std::invalid_argument& wrong) {
      set_error(err, BH_E_INVALID, wrong.what());
      return 2;
    } catch (const Failure& failure) {
      set_error(err, failure.code, failure.message);
      return 1;
    } catch (const std::exception& error) {
      set_error(err, BH_E_INTERNAL, error.what());
      return 1;
    }
  }

 private:
  std::vector<bh_command_info> list_;
  std::vector<Run> runs_;
  bh_commands table_{};
};

}  // namespace bulkhead

#endif  // BULKHEAD_COMMAND_HPP

// Course: the way of every exchange, one row a station. This table alone says which phases there
// are and in which order; one more phase is a constant in plugin.h and a row here, before RESPOND.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "bulkhead/plugin.h"

namespace bulkhead::chain {

enum class Work : uint8_t {
  kHooks,  // what plugins hooked into the phase
  kRoute,  // finds the route
  kScope,  // refuses what matched no route, lacks its scope or is not ready
  kBody,   // waits for the body
  kStep,   // the route's own step
  kWrite,  // the answer is with the connection
  kOver
};

struct Row {
  Work work;
  std::string_view name;   // as logs, metrics and crash reports name it
  uint32_t phase = 0;      // of the hooks
  bool unmatched = false;  // these hooks run for requests that match no route, too
  bool reversed = false;   // the last plugin of the order comes first
};

inline constexpr std::array kCourse = {
    Row{Work::kHooks, "RECEIVE", BH_RECEIVE, true},
    Row{Work::kRoute, "routing"},
    Row{Work::kHooks, "ADMIT", BH_ADMIT, true},
    Row{Work::kHooks, "AUTHENTICATE", BH_AUTHENTICATE},
    Row{Work::kHooks, "AUTHORIZE", BH_AUTHORIZE},
    Row{Work::kScope, "scope"},
    Row{Work::kBody, "body"},
    Row{Work::kHooks, "PREPARE", BH_PREPARE},
    Row{Work::kStep, "step"},
    Row{Work::kHooks, "RESPOND", BH_RESPOND, true, true},
    Row{Work::kWrite, "writing"},
    Row{Work::kHooks, "COMPLETE", BH_COMPLETE, true},
    Row{Work::kOver, "over"},
};

// The row of a phase, kCourse.size() where there is no such phase.
constexpr size_t row_of(uint32_t phase) {
  return static_cast<size_t>(
      std::find_if(kCourse.begin(), kCourse.end(),
                   [phase](const Row& row) { return row.work == Work::kHooks && row.phase == phase; }) -
      kCourse.begin());
}
constexpr size_t row_of(Work work) {
  return static_cast<size_t>(
      std::find_if(kCourse.begin(), kCourse.end(), [work](const Row& row) { return row.work == work; }) -
      kCourse.begin());
}

inline constexpr size_t kReceiveRow = row_of(BH_RECEIVE), kStepRow = row_of(Work::kStep),
                        kRespondRow = row_of(BH_RESPOND), kWriteRow = row_of(Work::kWrite),
                        kCompleteRow = row_of(BH_COMPLETE);
static_assert(kReceiveRow == 0 && kStepRow < kRespondRow);
// Timeouts and callers who leave go straight to RESPOND or COMPLETE: nothing stands between.
static_assert(kWriteRow == kRespondRow + 1 && kCompleteRow == kWriteRow + 1 && kCourse.size() == kCompleteRow + 2);

// "" where there is no such phase.
constexpr std::string_view phase_name(uint32_t phase) {
  const size_t row = row_of(phase);
  return row < kCourse.size() ? kCourse[row].name : std::string_view();
}

}  // namespace bulkhead::chain

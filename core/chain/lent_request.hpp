// LentRequest: in checked mode, each step's own copy of the request. It is poisoned as the step
// returns, or, while the exchange is held, when it is over. What comes later (route, body) is in
// the copies of later steps.
#pragma once

#include <vector>

#include "bulkhead/plugin.h"

namespace bulkhead::chain {

class LentRequest {
 public:
  explicit LentRequest(const bh_request& from);
  LentRequest(const LentRequest&) = delete;
  LentRequest& operator=(const LentRequest&) = delete;

  const bh_request* view() const { return &view_; }
  void poison();

 private:
  bh_str copy(bh_str text);

  bh_request view_;
  std::vector<bh_pair> headers_, params_;
  std::vector<char> text_;  // of every view, reserved at once
};

}  // namespace bulkhead::chain

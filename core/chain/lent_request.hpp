// LentRequest: in checked mode, each step's own copy of the request. It is poisoned when the loan
// ends: as the step returns, or when the exchange is no longer held.
#pragma once

#include <memory>
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

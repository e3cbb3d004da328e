// Pipeline: HTTP/1.1 and 1.0 on one connection (RFC 9112).
//
// Requests run side by side while all are safe (RFC 9110 §9.2.1); an unsafe one waits until those
// before it are answered, and those behind wait for it. Answers leave in request order, as many as
// are ready in one writev.
#pragma once

#include <boost/circular_buffer.hpp>
#include <memory>
#include <string_view>

#include "core/chain/runner.hpp"
#include "core/http/http1/body_reader.hpp"
#include "core/http/http1/input.hpp"
#include "core/http/http1/parser.hpp"
#include "core/http/protocol.hpp"

namespace bulkhead::http {
class IoThread;
}

namespace bulkhead::http::http1 {

std::unique_ptr<Protocol> make_pipeline(Connection& connection);

class Pipeline final : public Protocol, public chain::Channel {
 public:
  explicit Pipeline(Connection& connection);
  ~Pipeline() override;

  // ---- Protocol
  bool wants_input() const override;
  std::span<char> room() override;
  void received(size_t bytes) override;
  void input_ended() override;
  bool advance() override;
  Due due() const override;
  void overdue(Due due) override;
  size_t gather(std::span<iovec> parts) override;
  bool sent(size_t bytes) override;
  bool idle() const override { return slots_.empty(); }
  bool quiet() const override { return slots_.empty() && input_.empty(); }
  bool served() const override { return !first_request_; }
  void mark_served() override { first_request_ = false; }
  void release_memory() override;
  void abandon() override;

  // ---- chain::Channel
  void moved(chain::Run& run, chain::Wait wait) override;
  void failed() override;

 private:
  using Run = chain::Run;
  // One request, until its answer has left.
  struct Slot {
    Run* run;
    bool safe = true, keep_alive = false, expect_continue = false, ready = false;
    std::string_view head = {}, body = {};  // of the answer
    size_t size() const { return head.size() + body.size(); }
  };
  Slot& slot_of(const Run& run);
  void act(Run& run, chain::Wait wait);

  // ---- heads
  bool takes_requests() const;
  bool parse_next();
  Slot& add_slot(Run& run);
  void set_id(Run& run);
  void set_peer(Run& run);
  bool may_begin(const Slot& slot) const { return slot.safe ? unsafe_in_flight_ == 0 : slots_.size() == 1; }
  void begin(Slot& slot);
  void head_overdue();

  // ---- the body, always the last request's
  void want_body(Slot& slot);
  bool read_body();
  void refuse_body();

  // ---- answers
  void answer_ready(Slot& slot);
  void offer_continue();
  void finish_front();

  Connection& connection_;
  IoThread& io_;
  chain::Runner& runner_;
  Input input_;
  RequestParser parser_;
  BodyReader body_;
  Run* parsing_ = nullptr;              // its head is incomplete
  boost::circular_buffer<Slot> slots_;  // oldest first
  bool parked_ = false;                 // the last one waits for those before it
  bool no_more_requests_ = false, first_request_ = true;
  size_t unsafe_in_flight_ = 0;
  size_t queued_bytes_ = 0, held_bytes_ = 0;  // of answers that wait, of requests that run
  size_t written_of_front_ = 0, continue_left_ = 0;
};

}  // namespace bulkhead::http::http1

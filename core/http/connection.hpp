// Connection: one socket, its pipeline of exchanges, its deadlines.
//
// One thread, its I/O thread. Requests run side by side while all are safe
// (RFC 9110 §9.2.1); an unsafe one waits until those before it are answered, and
// those behind wait for it. Answers leave in request order, as many as are ready
// in one writev.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "core/chain/runner.hpp"
#include "core/exchange/exchange.hpp"
#include "core/http/content_coding.hpp"
#include "core/http/parser.hpp"
#include "core/http/stream.hpp"

namespace bulkhead::http {

class IoThread;

class Connection final : public exchange::Channel {
 public:
  Connection(IoThread& io, chain::Runner& runner, int fd, std::unique_ptr<tls::Session> tls, std::string_view peer,
             uint32_t port);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  // Begins to read. May end the connection; it is in its thread's list by then.
  void start();

  // ---- events
  void readable();
  void writable();
  void hung_up();
  // Answers became ready outside of readable().
  void pump();
  // Finish what runs, begin nothing new. Idle ones close when `now` is set.
  void drain(bool now);
  // Ends it without a word, and what runs on it.
  void abort();

  bool closed() const { return stream_.closed(); }
  bool dirty = false;  // waits in the I/O thread's list for pump()
  Connection* previous = nullptr;
  Connection* next = nullptr;

  // ---- exchange::Channel
  void body_wanted(exchange::Exchange& ex) override;
  void answer_ready(exchange::Exchange& ex) override;
  void failed() override { abort(); }

 private:
  using Exchange = exchange::Exchange;
  struct ReadDeadline final : exchange::DeadlineEntry {
    explicit ReadDeadline(Connection& c) : connection(c) {}
    void expired() override { connection.read_expired(); }
    Connection& connection;
  };
  struct WriteDeadline final : exchange::DeadlineEntry {
    explicit WriteDeadline(Connection& c) : connection(c) {}
    void expired() override { connection.write_stalled(); }
    Connection& connection;
  };
  enum class Phase : uint8_t { kOpen, kLingering };
  // What the read deadline is for.
  enum : int { kNone, kHandshake, kHeader, kBody, kIdle, kLinger, kDelivery };
  static const chain::Plan kNoPlan;  // for what was not understood as a request

  // RFC 9110 §9.2.1
  static bool safe(const Exchange& ex);

  void read_expired();
  void write_stalled();
  bool receive();
  bool charge_body(size_t arrived);
  bool process();
  bool parse_next();
  bool may_begin(const Exchange& ex) const;
  void begin(Exchange& ex);
  bool read_body();
  // False, and the request refused, where the body's content coding cannot be undone within the
  // limit.
  bool decode_body(Exchange& ex, std::string_view* body);
  void refuse_body(int status, std::string_view detail, std::string_view field = {}, std::string_view value = {});
  void flush_continue();
  void flush();
  void finish_front();
  // Whether a caller that half closed has received the answers. It may have closed altogether,
  // which only a write shows. True for other callers, and after a while.
  bool delivered();
  void linger();
  void close();
  void update();
  bool wants_input() const;
  bool takes_requests() const;
  void hold_bytes(Exchange& ex, size_t count);
  void set_read_deadline(uint32_t duration_ms, int kind);
  Exchange* new_exchange();
  void set_id(Exchange& ex);
  void make_room();
  size_t buffered() const { return end_ - begin_; }

  IoThread& io_;
  chain::Runner& runner_;
  Stream stream_;
  char peer_[48];
  std::string translated_;  // the peer's IPv4 address where a NAT64 stands between
  uint8_t peer_length_;
  uint32_t peer_port_;
  Phase phase_ = Phase::kOpen;
  bool read_closed_ = false, no_more_requests_ = false, write_blocked_ = false, corked_ = false, first_request_ = true;
  bool watched_ = false;
  uint64_t delivery_since_ns_ = 0;  // since when delivered() waits; 0: it does not
  bool interest_read_ = true, interest_write_ = false;
  int deadline_kind_ = 0;

  exchange::SlabRef slab_;
  size_t begin_ = 0, end_ = 0;
  RequestParser parser_;
  Exchange* parsing_ = nullptr;  // its head is incomplete
  Exchange* parked_ = nullptr;   // waits for those before it
  Exchange* body_of_ = nullptr;  // its body is being read
  bool body_wanted_ = false, body_large_ = false;
  ContentCoding body_coding_ = ContentCoding::kIdentity;
  size_t body_limit_ = 0, body_received_ = 0;

  Exchange* front_ = nullptr;  // pipeline, oldest first
  Exchange* back_ = nullptr;
  size_t in_flight_ = 0, unsafe_in_flight_ = 0;
  size_t queued_bytes_ = 0, held_bytes_ = 0;  // of answers that wait, of requests that run
  size_t written_of_front_ = 0, continue_left_ = 0;
  ReadDeadline read_deadline_{*this};
  WriteDeadline write_deadline_{*this};
};

}  // namespace bulkhead::http

// Connection: one socket, in the clear or under TLS: its bytes, its deadlines, its end. What the
// bytes mean is its protocol's.
//
// One thread, its I/O thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/chain/runner.hpp"
#include "core/http/arrival.hpp"
#include "core/http/protocol.hpp"
#include "core/http/stream.hpp"
#include "core/runtime/deadline.hpp"

namespace bulkhead::http {

class IoThread;

class Connection final {
 public:
  Connection(IoThread& io, Arrival arrival);
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
  // Where no request runs, and no part of one has arrived: what another I/O thread needs to go on
  // with it. This one is closed then, the socket is not. Once, until something arrives: the waits
  // for that begin anew.
  std::optional<Arrival> leave();

  bool closed() const { return stream_.closed(); }
  bool dirty = false;  // waits in the I/O thread's list for pump()
  Connection* previous = nullptr;
  Connection* next = nullptr;

  // ---- for its protocol
  IoThread& io() { return io_; }
  chain::Runner& runner() { return runner_; }
  const tls::Session* tls() const { return stream_.tls(); }
  struct Peer {
    char address[48];  // as text
    uint8_t length;
    uint32_t port;
    std::string translated;  // its IPv4 address where a NAT64 stands between

    std::string_view text() const { return {address, length}; }
  };
  const Peer& peer() const { return peer_; }
  // The peer sends no more.
  bool half_closed() const { return read_closed_; }
  // Of a peer that half closed: whether it has received what was sent. It may have closed
  // altogether, which only a write shows: the connection is gone then. True after a while in any
  // case.
  bool delivered();
  // pump() runs soon.
  void wake();
  // What is due next has its whole time, though something of its kind was due before.
  void restart_deadline() { deadline_kind_ = kNone; }
  // In order: with a close_notify.
  void close();

 private:
  struct ReadDeadline final : runtime::DeadlineEntry {
    explicit ReadDeadline(Connection& c) : connection(c) {}
    void expired() override { connection.read_expired(); }
    Connection& connection;
  };
  struct WriteDeadline final : runtime::DeadlineEntry {
    explicit WriteDeadline(Connection& c) : connection(c) {}
    void expired() override { connection.write_stalled(); }
    Connection& connection;
  };
  enum class Phase : uint8_t { kHandshake, kOpen, kLingering };
  // What the read deadline is for.
  enum DeadlineKind : uint8_t { kNone, kHandshakeDue, kHeaderDue, kBodyDue, kRequestDue, kLinger, kDelivery };

  bool handshake();
  void open();
  // Reads once. True if there may be more.
  bool receive();
  void discard();
  void flush();
  void linger();
  void update();
  DeadlineKind deadline_kind() const;
  void set_read_deadline(DeadlineKind kind);
  void read_expired();
  void write_stalled();
  bool wants_input() const;

  IoThread& io_;
  chain::Runner& runner_;
  Stream stream_;
  std::unique_ptr<Protocol> protocol_;  // once the handshake said which
  Peer peer_;
  Phase phase_ = Phase::kHandshake;
  bool read_closed_ = false, write_blocked_ = false, watched_ = false;
  bool moved_ = false;  // since something arrived
  bool interest_read_ = true, interest_write_ = false;
  DeadlineKind deadline_kind_ = kNone;
  uint64_t delivery_since_ns_ = 0;  // since when delivered() waits; 0: it does not
  ReadDeadline read_deadline_{*this};
  WriteDeadline write_deadline_{*this};
};

}  // namespace bulkhead::http

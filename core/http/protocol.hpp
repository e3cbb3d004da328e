// Protocol: what the bytes of one connection mean. Each is a folder beside http1/ and a row in
// protocol.cpp.
//
// The connection owns it, moves the bytes and keeps the deadlines. One thread, the connection's.
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

namespace bulkhead::http {

class Connection;

// What is due from the peer. Each has a timeout of its own.
enum class Due : uint8_t { kNothing, kHeader, kBody, kNextRequest };

class Protocol {
 public:
  virtual ~Protocol() = default;

  // ---- from the peer
  virtual bool wants_input() const = 0;
  // Where the next bytes go; not empty where input is wanted.
  virtual std::span<char> room() = 0;
  virtual void received(size_t bytes) = 0;
  virtual void input_ended() = 0;
  // Goes on with what has arrived, as far as that leads. True where anything happened.
  virtual bool advance() = 0;
  virtual Due due() const = 0;
  // It did not come in time.
  virtual void overdue(Due due) = 0;

  // ---- to the peer
  // The bytes to write next; how many parts, 0 where there are none.
  virtual size_t gather(std::span<iovec> parts) = 0;
  // So many of them were taken. False where they were the last of the connection.
  virtual bool sent(size_t bytes) = 0;

  // No request runs.
  virtual bool idle() const = 0;
  // No request runs, and no part of one has arrived.
  virtual bool quiet() const = 0;
  // A request of the connection has begun, here or on the thread that had it before.
  virtual bool served() const = 0;
  virtual void mark_served() = 0;
  // The connection is about to wait: memory that is not needed meanwhile goes back.
  virtual void release_memory() = 0;
  // The connection is gone, and with it the callers of what runs.
  virtual void abandon() = 0;
};

struct ProtocolRow {
  std::string_view alpn;  // RFC 7301
  std::unique_ptr<Protocol> (*make)(Connection& connection);
};

// In order of preference.
std::span<const ProtocolRow> protocols();
// The row for what ALPN agreed on. Without an agreement, and in the clear: "http/1.1".
const ProtocolRow& protocol_for(std::string_view alpn);

}  // namespace bulkhead::http

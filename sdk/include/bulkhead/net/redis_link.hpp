// bulkhead/net/redis_link.hpp - a connection to a Redis that never blocks; for those that link
// hiredis.
//
// What goes wrong is told in words, and the connection is of no use then. One thread.
#ifndef BULKHEAD_NET_REDIS_LINK_HPP
#define BULKHEAD_NET_REDIS_LINK_HPP

#include <fcntl.h>
#include <hiredis/sds.h>
#include <poll.h>

#include <string>
#include <utility>
#include <vector>

#include "bulkhead/net/redis.hpp"

namespace bulkhead::redis {

class Link {
 public:
  Link() = default;
  explicit Link(Context connected) : context_(std::move(connected)) {
    context_->flags &= ~REDIS_BLOCK;
    ::fcntl(context_->fd, F_SETFL, ::fcntl(context_->fd, F_GETFL) | O_NONBLOCK);
  }
  explicit operator bool() const { return context_ != nullptr; }

  // What poll() shall wait for.
  pollfd wanted() const {
    if (!context_) return {-1, 0, 0};
    return {context_->fd, static_cast<short>(sdslen(context_->obuf) != 0 ? POLLIN | POLLOUT : POLLIN), 0};
  }

  std::string append(const std::vector<std::string>& words) {
    return redis::append(context_.get(), words) ? std::string() : context_->errstr;
  }
  // As much as the socket takes.
  std::string write() {
    int all = 0;
    return redisBufferWrite(context_.get(), &all) == REDIS_OK ? std::string() : context_->errstr;
  }
  // Gives what has arrived to `take`, reply by reply, until there is no more or it says what is
  // wrong.
  template <typename Take>
  std::string receive(Take take) {
    if (redisBufferRead(context_.get()) != REDIS_OK) return context_->errstr;
    while (true) {
      void* raw = nullptr;
      if (redisGetReplyFromReader(context_.get(), &raw) != REDIS_OK) return context_->errstr;
      if (raw == nullptr) return {};
      const Reply reply(static_cast<redisReply*>(raw));
      if (std::string why = take(reply.get()); !why.empty()) return why;
    }
  }

 private:
  Context context_;
};

}  // namespace bulkhead::redis

#endif  // BULKHEAD_NET_REDIS_LINK_HPP

#include "core/http/loop.hpp"

#include <pistache/reactor.h>

#include <memory>
#include <utility>

namespace bulkhead::http {

namespace {

using Pistache::Flags;
using Pistache::Polling::NotifyOn;
using Pistache::Polling::Tag;

Flags<NotifyOn> interest(bool read, bool write) {
  Flags<NotifyOn> flags;
  if (read) flags |= NotifyOn::Read;
  if (write) flags |= NotifyOn::Write;
  return flags;
}

// Pistache clones one handler per thread; each clone serves one LoopThread.
class Handler final : public Pistache::Aio::Handler, public Loop {
 public:
  Handler(const std::vector<LoopThread*>& threads, size_t* next) : threads_(threads), next_(next) {}
  std::shared_ptr<Pistache::Aio::Handler> clone() const override {
    auto copy = std::make_shared<Handler>(threads_, next_);
    copy->thread_ = threads_[(*next_)++];
    return copy;
  }
  void registerPoller(Pistache::Polling::Epoll& poller) override {
    poller_ = &poller;
    thread_->begin(*this);
  }
  void onReady(const Pistache::Aio::FdSet& fds) override {
    thread_->batch_began();
    for (const auto& entry : fds) thread_->ready(entry.getTag().value(), entry.isReadable(), entry.isWritable());
    thread_->batch_ended();
  }

  void watch(int fd, uint64_t tag, bool read, bool write) override {
    poller_->addFd(fd, interest(read, write), Tag(tag));
  }
  void rearm(int fd, uint64_t tag, bool read, bool write) override {
    poller_->rearmFd(fd, interest(read, write), Tag(tag));
  }
  void unwatch(int fd) override { poller_->removeFd(fd); }

 private:
  const std::vector<LoopThread*> threads_;
  size_t* next_;
  LoopThread* thread_ = nullptr;
  Pistache::Polling::Epoll* poller_ = nullptr;
};

}  // namespace

class LoopThreads::Reactor {
 public:
  explicit Reactor(const std::vector<LoopThread*>& threads)
      : threads_(threads), reactor_(Pistache::Aio::Reactor::create()) {
    reactor_->init(Pistache::Aio::AsyncContext(threads.size(), "bh-io"));
    reactor_->addHandler(std::make_shared<Handler>(threads, &next_));
    reactor_->run();
  }
  ~Reactor() {
    reactor_->shutdown();
    reactor_.reset();  // joins
    for (LoopThread* thread : threads_) thread->ended();
  }

 private:
  const std::vector<LoopThread*> threads_;
  size_t next_ = 0;
  std::shared_ptr<Pistache::Aio::Reactor> reactor_;
};

LoopThreads::LoopThreads(const std::vector<LoopThread*>& threads) : reactor_(std::make_unique<Reactor>(threads)) {}
LoopThreads::~LoopThreads() = default;

}  // namespace bulkhead::http

#include "writer.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace accesslog {

namespace {

constexpr auto kPause = std::chrono::milliseconds(100);  // longest that a line waits for others
constexpr int kPatienceMs = 100;                         // for the reader of a pipe, between looks at stopping_
constexpr auto kLastPatience = std::chrono::seconds(1);  // all in all, once the host stops

// A pipe without a reader is an error here, not a wait.
int open_file(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0640);
  if (fd >= 0) ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) & ~O_NONBLOCK);
  return fd;
}

bool is_regular(int fd) {
  struct stat status {};
  return ::fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
}

size_t this_shard(size_t shards) {
  static std::atomic<size_t> next{0};
  static thread_local size_t mine = SIZE_MAX;
  if (mine == SIZE_MAX) mine = next.fetch_add(1, std::memory_order_relaxed);
  return mine % shards;
}

}  // namespace

Writer::Writer(std::string path, size_t buffer_bytes, std::function<void(const std::string&)> failed)
    : path_(std::move(path)), limit_(buffer_bytes), failed_(std::move(failed)) {
  fd_ = path_.empty() ? STDOUT_FILENO : open_file(path_);
  if (fd_ < 0) throw std::runtime_error(path_ + ": " + std::strerror(errno));
  is_file_ = is_regular(fd_);
}

void Writer::start() {
  thread_ = std::thread([this] { run(); });
}

void Writer::stop() {
  if (thread_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      end_ = std::chrono::steady_clock::now() + kLastPatience;
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  if (!path_.empty() && fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void Writer::add(std::string_view line) {
  const size_t before = waiting_.fetch_add(line.size(), std::memory_order_relaxed);
  if (before + line.size() > limit_) {
    waiting_.fetch_sub(line.size(), std::memory_order_relaxed);
    dropped_full_.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  {
    Shard& shard = shards_[this_shard(kShards)];
    const std::lock_guard lock(shard.mutex);
    shard.lines.append(line);
    ++shard.count;
  }
  const bool half_full = before < limit_ / 2 && before + line.size() >= limit_ / 2;
  if (!half_full || urgent_.exchange(true)) return;
  const std::lock_guard lock(mutex_);
  wake_.notify_one();
}

void Writer::reopen() {
  if (path_.empty()) return;
  const std::lock_guard lock(mutex_);
  reopen_ = true;
  urgent_ = true;
  wake_.notify_one();
}

Writer::Counts Writer::counts() const { return {written_.load(), dropped_full_.load(), dropped_failed_.load()}; }

void Writer::run() {
  std::string lines;
  while (true) {
    bool last = false;
    {
      std::unique_lock lock(mutex_);
      wake_.wait_for(lock, kPause, [this] { return stopping_ || urgent_; });
      last = stopping_;
      urgent_ = false;
    }
    if (reopen_.exchange(false)) open_again();
    for (Shard& shard : shards_) {
      size_t count = 0;
      lines.clear();
      {
        const std::lock_guard lock(shard.mutex);
        lines.swap(shard.lines);
        count = std::exchange(shard.count, 0);
      }
      if (count == 0) continue;
      write(lines, count);
      waiting_.fetch_sub(lines.size(), std::memory_order_relaxed);
    }
    if (last) return;
  }
}

void Writer::write(std::string_view lines, size_t count) {
  if (broken_) broken_ = write_all("\n") == 0;
  const size_t taken = broken_ ? 0 : write_all(lines);
  const auto whole =
      taken == lines.size()
          ? count
          : static_cast<size_t>(std::count(lines.begin(), lines.begin() + static_cast<ptrdiff_t>(taken), '\n'));
  if (taken != 0) broken_ = lines[taken - 1] != '\n';
  written_.fetch_add(whole, std::memory_order_relaxed);
  dropped_failed_.fetch_add(count - whole, std::memory_order_relaxed);
  if (whole == count) tell({});
}

// A pipe or terminal takes a page without blocking once it is writable.
size_t Writer::write_all(std::string_view text) {
  size_t taken = 0;
  while (taken < text.size()) {
    if (!is_file_ && !writable()) {
      tell("nobody reads it");
      break;
    }
    const size_t left = text.size() - taken;
    const ssize_t n = ::write(fd_, text.data() + taken, is_file_ ? left : std::min<size_t>(left, PIPE_BUF));
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) {
      tell(std::strerror(errno));
      break;
    }
    taken += static_cast<size_t>(n);
  }
  return taken;
}

bool Writer::writable() {
  while (!reopen_) {
    pollfd wanted{fd_, POLLOUT, 0};
    if (::poll(&wanted, 1, kPatienceMs) > 0) return (wanted.revents & POLLOUT) != 0;
    if (stopping_ && std::chrono::steady_clock::now() >= end_) return false;
  }
  return false;
}

void Writer::open_again() {
  const int fd = open_file(path_);
  if (fd < 0) return tell("it cannot be opened again, the old one is kept: " + std::string(std::strerror(errno)));
  ::close(std::exchange(fd_, fd));
  is_file_ = is_regular(fd_);
  broken_ = false;
}

void Writer::tell(const std::string& problem) {
  if (problem == told_) return;
  told_ = problem;
  failed_(problem);
}

}  // namespace accesslog

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
constexpr int kLastPatience = 10;                        // of those, once the host stops

int open_file(const std::string& path) { return ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0640); }

size_t this_shard(size_t shards) {
  static std::atomic<size_t> next{0};
  static thread_local size_t mine = SIZE_MAX;
  if (mine == SIZE_MAX) mine = next.fetch_add(1, std::memory_order_relaxed);
  return mine % shards;
}

}  // namespace

Writer::Writer(std::string path, size_t buffer_bytes, std::function<void(const std::string&)> failed)
    : path_(std::move(path)), shard_bytes_(buffer_bytes / kShards), failed_(std::move(failed)) {
  fd_ = path_.empty() ? STDOUT_FILENO : open_file(path_);
  if (fd_ < 0) throw std::runtime_error(path_ + ": " + std::strerror(errno));
  struct stat status {};
  is_file_ = fstat(fd_, &status) == 0 && S_ISREG(status.st_mode);
}

void Writer::start() {
  thread_ = std::thread([this] { run(); });
}

void Writer::stop() {
  if (thread_.joinable()) {
    {
      const std::lock_guard lock(mutex_);
      stopping_ = true;
    }
    wake_.notify_one();
    thread_.join();
  }
  if (!path_.empty() && fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void Writer::add(std::string_view line) {
  Shard& shard = shards_[this_shard(kShards)];
  bool half_full = false;
  {
    const std::lock_guard lock(shard.mutex);
    if (shard.lines.size() + line.size() > shard_bytes_) {
      dropped_full_.fetch_add(1, std::memory_order_relaxed);
      return;
    }
    const size_t before = shard.lines.size();
    shard.lines.append(line);
    ++shard.count;
    half_full = before < shard_bytes_ / 2 && shard.lines.size() >= shard_bytes_ / 2;
  }
  if (!half_full || urgent_.exchange(true)) return;
  const std::lock_guard lock(mutex_);
  wake_.notify_one();
}

void Writer::reopen() {
  reopen_ = true;
  const std::lock_guard lock(mutex_);
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
      if (count != 0) write(lines, count);
    }
    if (last) return;
  }
}

void Writer::write(std::string_view lines, size_t count) {
  if (broken_ && write_all("\n")) broken_ = false;
  const size_t lost = broken_ || !write_all(lines) ? count : 0;
  (lost == 0 ? written_ : dropped_failed_).fetch_add(count, std::memory_order_relaxed);
  if (lost == 0) tell({});
}

// A pipe or terminal takes a page without blocking once it is writable.
bool Writer::write_all(std::string_view text) {
  while (!text.empty()) {
    if (!is_file_ && !writable()) {
      tell("nobody reads it");
      return false;
    }
    const ssize_t n = ::write(fd_, text.data(), is_file_ ? text.size() : std::min<size_t>(text.size(), PIPE_BUF));
    if (n < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (n <= 0) {
      tell(std::strerror(errno));
      return false;
    }
    text.remove_prefix(static_cast<size_t>(n));
    broken_ = !text.empty() && text.data()[-1] != '\n';
  }
  return true;
}

bool Writer::writable() {
  for (int patience = kLastPatience; patience > 0; patience -= stopping_ ? 1 : 0) {
    pollfd wanted{fd_, POLLOUT, 0};
    if (const int found = ::poll(&wanted, 1, kPatienceMs); found > 0) return (wanted.revents & POLLOUT) != 0;
    if (reopen_) return false;
  }
  return false;
}

void Writer::open_again() {
  if (path_.empty()) return;
  const int fd = open_file(path_);
  if (fd < 0) return tell("it cannot be opened again, the old one is kept: " + std::string(std::strerror(errno)));
  ::close(std::exchange(fd_, fd));
  broken_ = false;
}

void Writer::tell(const std::string& problem) {
  if (problem == told_) return;
  told_ = problem;
  failed_(problem);
}

}  // namespace accesslog

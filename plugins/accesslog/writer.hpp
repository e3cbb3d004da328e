// Writer: writes lines from all threads to one descriptor; no thread waits for it.
//
// A thread appends to one of several buffers under a lock that is held only for a copy;
// a thread of the writer's own takes the buffers and writes. What finds a buffer full is dropped
// and counted, and so are lines that the disk, or the reader of a pipe, does not take.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>

namespace accesslog {

class Writer {
 public:
  struct Counts {
    uint64_t written = 0, dropped_full = 0, dropped_failed = 0;  // lines
  };

  // "" = standard output. Throws std::runtime_error where the file cannot be opened. `failed` is
  // told, on the writer's thread, why lines are lost or a file is not opened again: once for each
  // new reason.
  Writer(std::string path, size_t buffer_bytes, std::function<void(const std::string&)> failed);
  ~Writer() { stop(); }
  Writer(const Writer&) = delete;
  Writer& operator=(const Writer&) = delete;

  void start();
  // Writes what waits, for a moment yet, then joins.
  void stop();

  // ---- [any]
  void add(std::string_view line);
  void reopen();
  Counts counts() const;

 private:
  static constexpr size_t kShards = 16;
  struct Shard {
    std::mutex mutex;
    std::string lines;
    size_t count = 0;
  };

  void run();
  void write(std::string_view lines, size_t count);
  // How much of it went out.
  size_t write_all(std::string_view text);
  bool writable();
  void open_again();
  void tell(const std::string& problem);

  const std::string path_;
  const size_t limit_;  // bytes of all buffers
  const std::function<void(const std::string&)> failed_;
  int fd_ = -1;
  bool is_file_ = true, broken_ = false;  // broken_: the last line on the descriptor is a part of one
  std::string told_;
  std::array<Shard, kShards> shards_;
  std::atomic<uint64_t> written_{0}, dropped_full_{0}, dropped_failed_{0};
  std::atomic<size_t> waiting_{0};  // bytes
  std::atomic<bool> reopen_{false}, urgent_{false};
  std::thread thread_;
  std::mutex mutex_;
  std::condition_variable wake_;
  std::atomic<bool> stopping_{false};
  std::chrono::steady_clock::time_point end_;  // set before stopping_
};

}  // namespace accesslog

// Notes: what plugins leave on an exchange for one another and for its end.
//
// [any] thread while the exchange is lent or held. Most requests have none: asking then takes no
// lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <mutex>
#include <string_view>
#include <vector>

#include "core/runtime/arena.hpp"

namespace bulkhead::exchange {

class Notes {
 public:
  Notes() = default;
  ~Notes() { drop_attachments(); }
  Notes(const Notes&) = delete;
  Notes& operator=(const Notes&) = delete;

  // Attributes: text that every plugin reads.
  void put(std::string_view key, std::string_view value);
  bool get(std::string_view key, std::string_view* value);

  // Data that `owner` keeps here until the exchange is over and released. False where the key is
  // taken.
  bool attach(const void* owner, std::string_view key, void* data, void (*release)(void*));
  void* attached(const void* owner, std::string_view key);
  // The plugins are gone: what they attached is left alone.
  void forget_attachments() { attached_.clear(); }

  struct Callback {
    std::string_view plugin;
    void (*run)(void*);
    void* arg;
  };
  // Runs when the answer has left, at once where it has.
  void on_end(const Callback& callback);
  // Those to run now that it has.
  std::vector<Callback> take_end_callbacks();

  void clear();

 private:
  struct Attribute {
    std::string_view key, value;
  };
  struct Attached {
    const void* owner;
    std::string_view key;
    void* data;
    void (*release)(void*);
  };
  enum class End : uint8_t { kNoCallback, kCallbacks, kOver };

  void drop_attachments();

  std::atomic<bool> has_attributes_{false}, has_attached_{false};
  std::atomic<End> end_{End::kNoCallback};
  std::mutex mutex_;  // what follows
  std::vector<Attribute> attributes_;
  std::vector<Attached> attached_;
  std::vector<Callback> callbacks_;
  runtime::Arena arena_;
};

}  // namespace bulkhead::exchange

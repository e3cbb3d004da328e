// Peer: a plugin of the test's own, that offers a service or only has a health.
#pragma once

#include <cstdint>
#include <string>
#include <utility>

#include "bulkhead/plugin.h"

namespace bulkhead::testing {

class Peer {
 public:
  explicit Peer(std::string id) : Peer(std::move(id), {}, 0, nullptr, nullptr) {}
  // `service` "": it offers none.
  Peer(std::string id, std::string service, uint32_t version, const void* api, void* self);
  Peer(const Peer&) = delete;
  Peer& operator=(const Peer&) = delete;

  const std::string& id() const { return id_; }
  const bh_plugin* descriptor() const { return &plugin_; }
  // What its create() is configured with, by which it finds this object.
  std::string address() const { return std::to_string(reinterpret_cast<uintptr_t>(this)); }
  void set_health(int32_t state, const std::string& why) const;

 private:
  static bh_status create(const bh_host* host, bh_str config, void** self, bh_error* err);

  const std::string id_, service_;
  const bh_need offer_;
  const void* const api_;
  void* const self_;
  const bh_host* host_ = nullptr;
  bh_plugin plugin_{};
};

}  // namespace bulkhead::testing

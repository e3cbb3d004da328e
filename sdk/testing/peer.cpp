#include "peer.hpp"

#include <nlohmann/json.hpp>
#include <stdexcept>
#include <utility>

#include "bulkhead/value.hpp"

namespace bulkhead::testing {

Peer::Peer(std::string id, std::string service, uint32_t version, const void* api, void* self)
    : id_(std::move(id)), service_(std::move(service)), offer_{to_str(service_), version, 0}, api_(api), self_(self) {
  plugin_.size = sizeof plugin_;
  plugin_.abi_major = BH_ABI_MAJOR;
  plugin_.abi_minor = BH_ABI_MINOR;
  plugin_.id = to_str(id_);
  plugin_.version = to_str("1.0.0");
  plugin_.summary = to_str("A plugin of the test's.");
  plugin_.schema = to_str(R"({"type": "object"})");
  plugin_.create = create;
  plugin_.destroy = [](void*) {};
  if (service_.empty()) return;
  plugin_.offers = &offer_;
  plugin_.offer_count = 1;
}

bh_status Peer::create(const bh_host* host, bh_str config, void** self, bh_error* /*err*/) {
  const auto address = nlohmann::json::parse(to_view(config)).at("peer").get<std::string>();
  auto* peer = reinterpret_cast<Peer*>(std::stoull(address));
  peer->host_ = host;
  *self = peer;
  if (peer->plugin_.offer_count == 0) return BH_OK;
  return host->publish(host, peer->offer_.service, peer->offer_.version, peer->api_, peer->self_);
}

void Peer::set_health(int32_t state, const std::string& why) const {
  if (host_ == nullptr) throw std::runtime_error("the health of '" + id_ + "' is set before create()");
  host_->health(host_, state, to_str(why));
}

}  // namespace bulkhead::testing

// bulkhead/extensions/introspect.hpp - C++20 over extensions/introspect.h.
#ifndef BULKHEAD_EXTENSIONS_INTROSPECT_HPP
#define BULKHEAD_EXTENSIONS_INTROSPECT_HPP

#include "bulkhead/extensions/introspect.h"
#include "bulkhead/host.hpp"

namespace bulkhead {

class Introspection {
 public:
  explicit Introspection(const Host& host)
      : host_(host.raw()), table_(host.extension<bh_introspect>(BH_INTROSPECT_ID)) {}

  // The host has it; nothing below may be called where it has not.
  explicit operator bool() const { return table_ != nullptr; }
  // Changes whenever plugins or routes do.
  uint64_t generation() const { return table_->generation(host_); }
  // Whether the host was told to stop: it answers what runs, then ends.
  bool draining() const { return BH_HAS(table_, draining) && table_->draining(host_) != 0; }
  // Calls each(const bh_plugin_info&) for all plugins, each(const bh_route_info&) for all routes.
  // What they are given is lent until they return.
  template <typename Each>
  void plugins(Each each) const {
    table_->plugins(
        host_, [](void* arg, const bh_plugin_info* info) { (*static_cast<Each*>(arg))(*info); }, &each);
  }
  template <typename Each>
  void routes(Each each) const {
    table_->routes(
        host_, [](void* arg, const bh_route_info* info) { (*static_cast<Each*>(arg))(*info); }, &each);
  }

 private:
  const bh_host* host_;
  const bh_introspect* table_;
};

}  // namespace bulkhead

#endif  // BULKHEAD_EXTENSIONS_INTROSPECT_HPP

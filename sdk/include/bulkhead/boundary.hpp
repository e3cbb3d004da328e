// bulkhead/boundary.hpp - the C functions and the descriptor of a plugin class. Included by
// bulkhead/plugin.hpp.
#ifndef BULKHEAD_BOUNDARY_HPP
#define BULKHEAD_BOUNDARY_HPP

#include <exception>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "bulkhead/plugin.hpp"

namespace bulkhead {

// What a plugin declares beside its name. All optional.
struct Manifest {
  std::string_view schema = R"({"type":"object","additionalProperties":false,"properties":{}})";
  std::span<const bh_need> needs = {};
  std::span<const bh_need> offers = {};
  std::span<const bh_str> grants = {};
  std::span<const bh_str> after = {};
  std::span<const bh_str> before = {};
  uint32_t flags = 0;
};

constexpr bh_need service(std::string_view id, uint32_t version, bool optional = false) {
  return {to_str(id), version, optional ? 1u : 0u};
}

// The C functions of one plugin class.
template <typename T>
struct Boundary {
  template <typename Body>
  static bh_status guarded(bh_error* err, Body body) noexcept {
    try {
      body();
      return BH_OK;
    } catch (const Failure& f) {
      return set_error(err, f.code == BH_OK ? BH_E_INTERNAL : f.code, f.message);
    } catch (const std::exception& e) {
      return set_error(err, BH_E_INTERNAL, e.what());
    } catch (...) {
      return set_error(err, BH_E_INTERNAL, "threw something that is no std::exception");
    }
  }
  static bh_status create(const bh_host* host, bh_str config, void** self, bh_error* err) {
    return guarded(err, [&] {
      *self = static_cast<Plugin*>(std::make_unique<T>(Host(host), Json::parse(to_view(config))).release());
    });
  }
  static Plugin& of(void* self) { return *static_cast<Plugin*>(self); }
  static Host host_of(void* self) { return of(self).host_; }
  static bh_status start(void* self, bh_error* err) {
    return guarded(err, [&] { of(self).start(); });
  }
  static bh_status configure(void* self, bh_str config, bh_error* err) {
    return guarded(err, [&] { of(self).configure(Json::parse(to_view(config))); });
  }
  // What has no error to fill is logged.
  template <typename Body>
  static void logged(const Host& host, std::string_view call, Body body) noexcept {
    bh_error err = sized<bh_error>();
    if (guarded(&err, body) == BH_OK) return;
    try {
      host.error(std::string(call) + " failed", {{"reason", err.message}});
    } catch (const std::exception&) {  // no memory for a line
    }
  }
  static void quiesce(void* self) {
    logged(host_of(self), "quiesce", [&] { of(self).quiesce(); });
  }
  static void stop(void* self) {
    logged(host_of(self), "stop", [&] { of(self).stop(); });
  }
  static void destroy(void* self) {
    logged(host_of(self), "destroy", [&] { delete static_cast<Plugin*>(self); });
  }
  static const void* extension(void* self, bh_str id) {
    const void* found = nullptr;
    guarded(nullptr, [&] {
      Plugin& plugin = of(self);
      if (to_view(id) == BH_COMMAND_ID) found = plugin.commands_.table(&run);
      if (found == nullptr) found = plugin.extension(to_view(id));
    });
    return found;
  }
  static int32_t run(void* self, bh_str name, const bh_str* args, size_t n, void (*print)(void*, bh_str), void* out,
                     bh_error* err) {
    return of(self).commands_.run(name, args, n, print, out, err);
  }
  static constexpr bh_plugin describe(std::string_view id, std::string_view version, std::string_view summary,
                                      const Manifest& m) {
    return {sizeof(bh_plugin),
            BH_ABI_MAJOR,
            BH_ABI_MINOR,
            m.flags,
            0,
            to_str(id),
            to_str(version),
            to_str(summary),
            to_str(m.schema),
            m.needs.data(),
            m.needs.size(),
            m.offers.data(),
            m.offers.size(),
            m.grants.data(),
            m.grants.size(),
            m.after.data(),
            m.after.size(),
            m.before.data(),
            m.before.size(),
            &create,
            &start,
            &configure,
            &quiesce,
            &stop,
            &destroy,
            &extension};
  }
};

}  // namespace bulkhead

// The one macro: exports class T as a plugin. After the summary may follow members of Manifest,
// `.schema = ..., .grants = ...`.
#define BULKHEAD_PLUGIN(T, id, version, summary, ...)                                                          \
  BH_NOTE(BH_ABI_MINOR);                                                                                       \
  extern "C" BH_EXPORT const bh_plugin* bh_plugin_v1(void) {                                                   \
    static constexpr ::bulkhead::Manifest manifest{__VA_ARGS__};                                               \
    static constexpr bh_plugin descriptor = ::bulkhead::Boundary<T>::describe(id, version, summary, manifest); \
    return &descriptor;                                                                                        \
  }

#endif  // BULKHEAD_BOUNDARY_HPP

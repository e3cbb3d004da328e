// A document of JSON from where an issuer publishes it, by libcurl. No request waits in here:
// one thread calls it.
#pragma once

#include <atomic>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

namespace auth {

struct FetchSettings {
  std::string ca;  // PEM file; "" = the system's
  uint32_t timeout_ms = 5'000;
};

// https, or http to a loopback address: anything else could be read or changed on its way. "" or
// what is wrong.
std::string check_url(const std::string& url);
// "https://login.example:8443" of "https://login.example:8443/keys".
std::string origin_of(const std::string& url);

// Follows no redirect and takes at most 256 KiB. Throws std::runtime_error with what is wrong. Ends
// soon where `stop` is set.
nlohmann::json fetch_json(const std::string& url, const FetchSettings& settings, const std::atomic<bool>& stop);

}  // namespace auth

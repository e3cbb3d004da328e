#include "key.hpp"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <algorithm>
#include <charconv>
#include <ctime>
#include <set>
#include <stdexcept>

#include "bulkhead/text/base64url.hpp"
#include "bulkhead/text/hex.hpp"

namespace auth {

namespace {

constexpr size_t kIdBytes = 8, kSecretBytes = 32, kIdText = 16, kSecretText = 43;
constexpr int64_t kSecond = 1'000, kLongestDays = 3'650;

std::string random_bytes(size_t count) {
  std::string bytes(count, '\0');
  if (RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(count)) != 1)
    throw std::runtime_error("OpenSSL has no random bytes");
  return bytes;
}

std::string hex_text(std::string_view bytes) {
  std::string text(bytes.size() * 2, '\0');
  bulkhead::hex({reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()}, text.data());
  return text;
}

bool scope_character(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == ':' || c == '.' ||
         c == '_' || c == '-';
}

}  // namespace

std::string make_key(std::string* id) {
  *id = hex_text(random_bytes(kIdBytes));
  std::string secret = random_bytes(kSecretBytes);
  std::string key = std::string(kKeyPrefix).append(*id).append("_").append(bulkhead::to_base64url(secret));
  OPENSSL_cleanse(secret.data(), secret.size());
  return key;
}

std::string_view key_id(std::string_view text) {
  if (!text.starts_with(kKeyPrefix) || text.size() != kKeyPrefix.size() + kIdText + 1 + kSecretText) return {};
  text.remove_prefix(kKeyPrefix.size());
  const std::string_view id = text.substr(0, kIdText);
  const bool digits =
      std::all_of(id.begin(), id.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
  return digits && text[kIdText] == '_' ? id : std::string_view();
}

Digest256 key_digest(std::string_view pepper, std::string_view text) {
  std::string whole;
  whole.reserve(pepper.size() + 1 + text.size());
  whole.append(pepper).append(1, '\0').append(text);
  const Digest256 digest = sha256(whole);
  OPENSSL_cleanse(whole.data(), whole.size());
  return digest;
}

std::string digest_text(const Digest256& digest) {
  return hex_text({reinterpret_cast<const char*>(digest.data()), digest.size()});
}

bool same_digest(const Digest256& digest, std::string_view text) {
  const std::string mine = digest_text(digest);
  return mine.size() == text.size() && CRYPTO_memcmp(mine.data(), text.data(), mine.size()) == 0;
}

std::string join_scopes(const std::vector<std::string>& scopes) {
  std::set<std::string> sorted;
  for (const std::string& scope : scopes) {
    if (scope.empty() || scope.size() > 64 || !std::all_of(scope.begin(), scope.end(), scope_character))
      throw std::invalid_argument("'" + scope + "' is not a scope; write people:read");
    sorted.insert(scope);
  }
  std::string joined;
  for (const std::string& scope : sorted) joined.append(joined.empty() ? "" : " ").append(scope);
  return joined;
}

std::vector<std::string> split_scopes(std::string_view scopes) {
  std::vector<std::string> list;
  while (!scopes.empty()) {
    const size_t blank = scopes.find(' ');
    if (blank != 0) list.emplace_back(scopes.substr(0, blank));
    scopes.remove_prefix(blank == std::string_view::npos ? scopes.size() : blank + 1);
  }
  return list;
}

std::optional<int64_t> parse_lifetime(std::string_view text) {
  if (text == "never") return 0;
  int64_t count = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), count);
  if (error != std::errc() || end + 1 != text.data() + text.size() || count <= 0) return {};
  const int64_t unit = *end == 'd' ? 86'400 : *end == 'h' ? 3'600 : *end == 'm' ? 60 : *end == 's' ? 1 : 0;
  if (unit == 0 || count > kLongestDays * 86'400 / unit) return {};
  return count * unit * kSecond;
}

std::string time_text(int64_t unix_ms) {
  if (unix_ms == 0) return {};
  const auto seconds = static_cast<time_t>(unix_ms / kSecond);
  tm parts{};
  gmtime_r(&seconds, &parts);
  char date[24], text[32];
  std::strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &parts);
  std::snprintf(text, sizeof text, "%s.%03dZ", date, static_cast<int>(unix_ms % kSecond));
  return text;
}

}  // namespace auth

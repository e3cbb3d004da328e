#include "key_command.hpp"

#include <openssl/crypto.h>

#include <algorithm>
#include <chrono>
#include <map>
#include <stdexcept>
#include <thread>

#include "bulkhead/text/nearest.hpp"

namespace auth {

namespace {

using Words = std::vector<std::string>;
using bulkhead::Print;
using Options = std::map<std::string, std::string>;

// "--name NAME" pairs after the first words.
Options options_of(const Words& words, size_t from, const Words& known) {
  Options options;
  for (size_t i = from; i < words.size(); i += 2) {
    if (std::find(known.begin(), known.end(), words[i]) == known.end()) {
      const std::string near = bulkhead::nearest(words[i], known);
      throw std::invalid_argument("'" + words[i] + "' is not known" +
                                  (near.empty() ? "" : "; did you mean " + near + "?"));
    }
    if (i + 1 == words.size()) throw std::invalid_argument(words[i] + " needs a value");
    options[words[i]] = words[i + 1];
  }
  return options;
}

int64_t lifetime_of(const Options& options, const std::string& name, int64_t absent) {
  const auto given = options.find(name);
  if (given == options.end()) return absent;
  const auto parsed = parse_lifetime(given->second);
  if (!parsed)
    throw std::invalid_argument(name + ": '" + given->second + "' is not a time like 90d, 12h, 30m or never");
  return *parsed;
}

std::string id_of(const Words& words) {
  if (words.size() < 2) throw std::invalid_argument("the id is missing; 'keys list' shows the ids");
  // A whole key is taken too: people have nothing else at hand.
  const std::string_view id = key_id(words[1]);
  return id.empty() ? words[1] : std::string(id);
}

constexpr std::chrono::seconds kPatience{30};
constexpr std::chrono::milliseconds kPause{200};

// Makes the task, and waits for it; again while the database comes up or migrates for other
// plugins.
template <typename Make>
auto wait_for(Make make) {
  const auto end = std::chrono::steady_clock::now() + kPatience;
  while (true) {
    std::string why;
    try {
      return bulkhead::wait(make());
    } catch (const bulkhead::SqlFailure& failed) {
      why = failed.result.message;
      if (failed.code != BH_E_UNAVAILABLE) throw bulkhead::Failure(failed.code, "the database says: " + why);
    } catch (const bulkhead::Failure& refused) {
      if (refused.code != BH_E_UNAVAILABLE) throw;
      why = refused.message;
    }
    if (std::chrono::steady_clock::now() > end)
      throw bulkhead::Failure(BH_E_UNAVAILABLE, "the database is not available: " + why);
    std::this_thread::sleep_for(kPause);
  }
}

using MaybeKey = std::optional<KeyRecord>;

void show_key(std::string* key, const KeyRecord& record, const Print& print) {
  print(*key + "\n");
  print("# " + record.id + " \"" + record.name + "\": " + record.scopes +
        (record.expires_ms == 0 ? ", for ever" : ", until " + time_text(record.expires_ms)) +
        ". It is not shown again.\n");
  OPENSSL_cleanse(key->data(), key->size());
}

void create(const KeyStore& store, const Settings& settings, const Words& words, const Print& print) {
  const Options options = options_of(words, 1, {"--name", "--scopes", "--expires", "--tenant"});
  if (!options.contains("--name") || !options.contains("--scopes"))
    throw std::invalid_argument("create needs --name and --scopes");
  KeyRecord wish;
  wish.name = options.at("--name");
  if (wish.name.empty() || wish.name.size() > 100) throw std::invalid_argument("--name: 1 to 100 bytes");
  std::string list = options.at("--scopes");
  std::replace(list.begin(), list.end(), ',', ' ');
  wish.scopes = join_scopes(split_scopes(list));
  if (wish.scopes.empty()) throw std::invalid_argument("--scopes: write people:read,people:write");
  if (options.contains("--tenant")) wish.tenant = options.at("--tenant");
  wish.lifetime_ms = lifetime_of(options, "--expires", 0);
  if (settings.allowed_lifetime(wish.lifetime_ms) != wish.lifetime_ms)
    throw std::invalid_argument("--expires: at most " + std::to_string(settings.max_lifetime_ms / 86'400'000) + "d");
  std::string key = make_key(&wish.id);
  wish.hash = digest_text(key_digest(settings.peppers->writing(), key));
  wish.created_by = "command";
  const MaybeKey made = wait_for([&] { return store.add(wish, nullptr); });
  show_key(&key, made.value(), print);
}

void list(const KeyStore& store, const Print& print) {
  for (const KeyRecord& each : wait_for([&] { return store.list(nullptr); })) {
    std::string line = each.id + "  " + each.name + "  [" + each.scopes + "]";
    if (!each.tenant.empty()) line += "  tenant " + each.tenant;
    line += each.revoked_ms != 0   ? "  revoked " + time_text(each.revoked_ms)
            : each.expires_ms != 0 ? "  until " + time_text(each.expires_ms)
                                   : std::string();
    line += each.last_used_ms == 0 ? "  never used" : "  last used " + time_text(each.last_used_ms);
    print(line + "\n");
  }
}

void rotate(const KeyStore& store, const Settings& settings, const Words& words, const Print& print) {
  const std::string id = id_of(words);
  const int64_t grace = lifetime_of(options_of(words, 2, {"--grace"}), "--grace", 3'600'000);
  if (grace == 0) throw std::invalid_argument("--grace: the old key has to end; write a time like 1h");
  const MaybeKey old = wait_for([&] { return store.find(id, nullptr); });
  if (!old) throw std::invalid_argument("there is no key '" + id + "'; 'keys list' shows them");
  KeyRecord wish;
  std::string key = make_key(&wish.id);
  wish.hash = digest_text(key_digest(settings.peppers->writing(), key));
  wish.created_by = "command";
  wish.lifetime_ms = settings.allowed_lifetime(old->lifetime_ms);
  const MaybeKey made = wait_for([&] { return store.rotate(*old, wish, grace, nullptr); });
  if (!made) throw std::invalid_argument("there is no key '" + id + "' that is in use; 'keys list' shows them");
  show_key(&key, *made, print);
}

void revoke(const KeyStore& store, const Words& words, const Print& print) {
  const std::string id = id_of(words);
  if (!wait_for([&] { return store.revoke(id, nullptr); }))
    throw std::invalid_argument("there is no key '" + id + "'; 'keys list' shows them");
  print(id + " is revoked: every host refuses it within a second\n");
}

}  // namespace

void keys_command(const KeyStore& store, const Settings& settings, const Words& words, const Print& print) {
  static const Words kVerbs = {"create", "list", "rotate", "revoke"};
  const std::string verb = words.empty() ? "" : words[0];
  if (verb == "create") return create(store, settings, words, print);
  if (verb == "list") return list(store, print);
  if (verb == "rotate") return rotate(store, settings, words, print);
  if (verb == "revoke") return revoke(store, words, print);
  const std::string near = verb.empty() ? "" : bulkhead::nearest(verb, kVerbs);
  throw std::invalid_argument((near.empty() ? std::string() : "did you mean " + near + "? ") +
                              "keys takes: " + std::string(kKeysUsage));
}

}  // namespace auth

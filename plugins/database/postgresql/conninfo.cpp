#include "postgresql/conninfo.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <memory>
#include <string_view>

#include "bulkhead/net/resolve.hpp"
#include "postgresql/passfile.hpp"
#include "postgresql/pg_url.hpp"
#include "session.hpp"

namespace database {

namespace resolve = bulkhead::resolve;

namespace {

constexpr std::chrono::seconds kMoment{1};

std::string* find(Keywords* keywords, std::string_view key) {
  const auto it = std::find_if(keywords->begin(), keywords->end(), [&](const auto& pair) { return pair.first == key; });
  return it == keywords->end() ? nullptr : &it->second;
}

std::vector<std::string> split(const std::string& list) {
  std::vector<std::string> parts;
  for (size_t begin = 0; begin <= list.size();) {
    const size_t end = std::min(list.find(',', begin), list.size());
    parts.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return parts;
}

bool is_name(const std::string& host) {
  return !host.empty() && host.front() != '/' && host.front() != '@' && !resolve::is_address(host);
}

Keywords keywords_of(const SessionSettings& settings) {
  Keywords keywords = settings.url.keywords;
  const auto add = [&](const char* key, const std::string& value) {
    if (find(&keywords, key) == nullptr) keywords.emplace_back(key, value);
  };
  add("connect_timeout", std::to_string(settings.connect_timeout_s));
  add("tcp_user_timeout", "10000");
  add("keepalives_idle", "30");
  add("keepalives_interval", "10");
  add("application_name", settings.application_name);
  add("client_encoding", "UTF8");
  if (settings.passfile) add("passfile", settings.passfile->path());
  return keywords;
}

std::chrono::seconds patience(Keywords* keywords, const SessionSettings& settings) {
  uint32_t seconds = settings.connect_timeout_s;
  const std::string& text = *find(keywords, "connect_timeout");
  std::from_chars(text.data(), text.data() + text.size(), seconds);
  return std::chrono::seconds(seconds);
}

}  // namespace

std::vector<std::string> names_of(const Keywords& keywords) {
  std::vector<std::string> names;
  for (const auto& [key, value] : keywords)
    if (key == "host") names = split(value);
  std::erase_if(names, [](const std::string& host) { return !is_name(host); });
  return names;
}

bool place(Keywords* keywords, const std::map<std::string, std::vector<std::string>>& addresses) {
  if (names_of(*keywords).empty()) return true;
  std::string* const host = find(keywords, "host");
  std::string* const port = find(keywords, "port");
  const std::vector<std::string> hosts = split(*host);
  const std::vector<std::string> ports = port != nullptr ? split(*port) : std::vector<std::string>();
  const bool own_ports = ports.size() > 1;
  if (own_ports && ports.size() != hosts.size()) return true;  // libpq says so
  std::string new_hosts, new_addresses, new_ports;
  bool any = false;
  for (size_t i = 0; i < hosts.size(); ++i) {
    std::vector<std::string> places{""};  // as it stands
    if (is_name(hosts[i])) {
      const auto known = addresses.find(hosts[i]);
      places = known != addresses.end() ? known->second : std::vector<std::string>();
    }
    for (const std::string& address : places) {
      if (any) new_hosts += ',', new_addresses += ',', new_ports += ',';
      any = true;
      new_hosts += hosts[i];
      new_addresses += address;
      if (own_ports) new_ports += ports[i];
    }
  }
  *host = new_hosts;
  if (own_ports) *port = new_ports;
  keywords->emplace_back("hostaddr", new_addresses);
  return any;
}

Conninfo conninfo(const SessionSettings& settings) {
  Keywords keywords = keywords_of(settings);
  const std::vector<std::string> names = names_of(keywords);
  std::vector<std::shared_ptr<resolve::Lookup>> lookups;
  lookups.reserve(names.size());
  for (const std::string& name : names) lookups.push_back(resolve::look_up(name));

  std::map<std::string, std::vector<std::string>> addresses;
  Conninfo result;
  const auto begin = resolve::Clock::now();
  const std::chrono::seconds limit = patience(&keywords, settings);
  for (const std::chrono::seconds wait : {std::min(kMoment, limit), limit}) {
    result.unknown.clear();
    for (size_t i = 0; i < names.size(); ++i) {
      const resolve::Answer answer = lookups[i]->await(begin + wait, settings.stopping);
      if (answer.addresses.empty())
        result.unknown += (result.unknown.empty() ? "" : "; ") + names[i] + ": " + answer.why;
      else
        addresses[names[i]] = answer.addresses;
    }
    Keywords placed = keywords;
    if (!place(&placed, addresses)) continue;
    result.text = connection_string(placed);
    break;
  }
  return result;
}

}  // namespace database

#include "postgresql/pg_url.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>

#include "bulkhead/net/authority.hpp"
#include "bulkhead/text/nearest.hpp"
#include "bulkhead/text/percent.hpp"

namespace database {

namespace {

// libpq's keywords that may stand in a URL's query, and what they take: one of some words, a number
// of at least 1, or any text.
struct Option {
  std::string_view name;
  std::string_view words = {};  // separated by blanks
  bool number = false;
};
constexpr std::array<Option, 14> kOptions = {{
    {"sslmode", "disable allow prefer require verify-ca verify-full"},
    {"sslrootcert"},
    {"sslcert"},
    {"sslkey"},
    {"sslcrl"},
    {"passfile"},
    {"connect_timeout", {}, true},
    {"tcp_user_timeout", {}, true},
    {"keepalives_idle", {}, true},
    {"keepalives_interval", {}, true},
    {"keepalives_count", {}, true},
    {"application_name"},
    {"target_session_attrs", "any read-write read-only primary standby prefer-standby"},
    {"channel_binding", "disable prefer require"},
}};

std::vector<std::string> words_of(std::string_view list) {
  std::vector<std::string> words;
  while (!list.empty()) {
    const size_t end = std::min(list.find(' '), list.size());
    words.emplace_back(list.substr(0, end));
    list.remove_prefix(std::min(end + 1, list.size()));
  }
  return words;
}

// "" or why libpq would refuse the value, or read it as another one.
std::string wrong_value(const Option& option, const std::string& value) {
  const std::string what = std::string(option.name) + " in the database URL ";
  if (option.number) {
    int number = 0;
    const auto [end, error] = std::from_chars(value.data(), value.data() + value.size(), number);
    const bool good = error == std::errc() && end == value.data() + value.size() && number >= 1;
    return good ? std::string() : what + "is a whole number of at least 1, not '" + value + "'";
  }
  const std::vector<std::string> words = words_of(option.words);
  if (words.empty() || std::find(words.begin(), words.end(), value) != words.end()) return {};
  const std::string near = bulkhead::nearest(value, words);
  std::string known;
  for (const std::string& word : words) known += (known.empty() ? "" : ", ") + word;
  return what + "is '" + value + "'" + (near.empty() ? "; it takes " + known : ", did you mean '" + near + "'?");
}

// HOST:PORT, or several with commas between them: libpq wants a list of hosts and one of ports, as
// long.
bool split_hosts(std::string_view authority, std::string* hosts, std::string* ports) {
  bool any_port = false;
  for (size_t begin = 0; begin <= authority.size();) {
    const size_t end = std::min(authority.find(',', begin), authority.size());
    const bulkhead::HostPort one = bulkhead::split_host_port(authority.substr(begin, end - begin));
    if (begin != 0) *hosts += ',', *ports += ',';
    *hosts += one.host;
    if (one.port) {
      if (!bulkhead::parse_port(*one.port)) return false;
      *ports += *one.port;
      any_port = true;
    }
    begin = end + 1;
  }
  if (!any_port) ports->clear();
  return true;
}

}  // namespace

std::string parse_pg_url(std::string_view rest, Url* url) {
  const size_t question = rest.find('?');
  const std::string_view options = question == std::string_view::npos ? std::string_view() : rest.substr(question + 1);
  rest = rest.substr(0, question);
  const size_t slash = rest.find('/');
  const bulkhead::Authority authority = bulkhead::split_authority(rest.substr(0, slash));
  const std::string_view name = slash == std::string_view::npos ? std::string_view() : rest.substr(slash + 1);
  bool good = true, clean = true;
  auto add = [&](std::string_view key, std::string_view value) {
    if (value.empty()) return;
    std::string decoded;
    good = good && bulkhead::percent_decode(value, &decoded);
    clean = clean && decoded.find_first_of(" \t\r\n=") == std::string::npos;
    url->keywords.emplace_back(key, decoded);
  };
  if (std::string hosts, ports; split_hosts(authority.hosts, &hosts, &ports)) {
    add("host", hosts);
    add("port", ports);
  } else {
    return "the port of the database URL is no number from 1 to 65535";
  }
  add("user", authority.user);
  if (authority.password) good = good && bulkhead::percent_decode(*authority.password, &url->password);
  add("dbname", name);
  for (std::string_view left = options; !left.empty();) {
    const size_t ampersand = left.find('&');
    const std::string_view option = left.substr(0, ampersand);
    const size_t equals = option.find('=');
    const std::string_view key = option.substr(0, equals);
    if (key == "host" && equals != std::string_view::npos) {  // a socket's folder, which an authority cannot hold
      std::erase_if(url->keywords, [](const auto& pair) { return pair.first == "host"; });
      add("host", option.substr(equals + 1));
    } else if (const auto known =
                   std::find_if(kOptions.begin(), kOptions.end(), [&](const Option& each) { return each.name == key; });
               known == kOptions.end() || equals == std::string_view::npos) {
      // A '?' inside a password ends up here: what looks like one is not repeated.
      if (option.find_first_of("@:") != std::string_view::npos) return "the database URL has an unknown option";
      std::vector<std::string> names;
      names.reserve(kOptions.size());
      for (const Option& each : kOptions) names.emplace_back(each.name);
      const std::string near = known == kOptions.end() ? bulkhead::nearest(key, names) : std::string();
      return "the database URL has an unknown option '" + std::string(key) + "'" +
             (near.empty() ? "" : ", did you mean '" + near + "'?");
    } else {
      std::string value;
      if (bulkhead::percent_decode(option.substr(equals + 1), &value))
        if (std::string wrong = wrong_value(*known, value); !wrong.empty()) return wrong;
      add(key, option.substr(equals + 1));
    }
    left = ampersand == std::string_view::npos ? std::string_view() : left.substr(ampersand + 1);
  }
  if (!good) return "a '%' in the database URL is not followed by two hexadecimal digits";
  if (!clean)
    return "host, user, database and options of the database URL cannot hold spaces or '='; only the password can";
  if (url->password.find('\n') != std::string::npos) return "the database password cannot hold a line end";
  if (name.empty()) return "the database URL names no database; " + std::string(kUrlForm);
  url->display = "postgresql://" + std::string(authority.hosts) + "/" + std::string(name);
  return {};
}

std::string connection_string(const Keywords& keywords) {
  std::string text;
  for (const auto& [key, value] : keywords) {
    text += (text.empty() ? "" : " ") + key + "='";
    for (const char c : value) {
      if (c == '\'' || c == '\\') text += '\\';
      text += c;
    }
    text += "'";
  }
  return text;
}

}  // namespace database

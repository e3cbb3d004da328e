// Text helpers of the SDK, which core and plugins share.
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "bulkhead/net/authority.hpp"
#include "bulkhead/text/ascii.hpp"
#include "bulkhead/text/hex.hpp"
#include "bulkhead/text/json_string.hpp"
#include "bulkhead/text/percent.hpp"
#include "bulkhead/text/scopes.hpp"
#include "bulkhead/text/utf8.hpp"
#include "bulkhead/text/words.hpp"

namespace {

using namespace bulkhead;

std::string random_bytes(std::mt19937& random, size_t most) {
  std::string text(random() % most, '\0');
  for (char& c : text) c = static_cast<char>(random() % 3 == 0 ? random() % 256 : random() % 128);
  return text;
}

TEST(Text, PropertyJsonStringsReadBackAsTheyWere) {
  std::mt19937 random(11);
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = random_bytes(random, 40);
    std::string lossy;
    append_json_string_lossy(text, &lossy);
    const auto parsed = nlohmann::json::parse(lossy);  // strict about UTF-8 and control characters
    if (find_invalid_utf8(text) != std::string::npos) continue;
    std::string plain;
    append_json_string(text, &plain);
    EXPECT_EQ(plain, lossy);
    EXPECT_EQ(parsed.get<std::string>(), text);
  }
}

TEST(Text, PropertyPercentDecodingUndoesEncoding) {
  std::mt19937 random(12);
  for (int i = 0; i < 20'000; ++i) {
    std::string text = random_bytes(random, 30);
    std::erase(text, '\0');
    std::string encoded, decoded;
    for (const char c : text)
      if (is_alnum(c) && random() % 2 == 0)
        encoded += c;
      else
        append_hex(static_cast<uint8_t>(c), &(encoded += '%'));
    ASSERT_TRUE(percent_decode(encoded, &decoded)) << encoded;
    EXPECT_EQ(decoded, text);
  }
}

TEST(Text, PercentEncodingThatIsNone) {
  std::string decoded;
  for (const char* wrong : {"%", "%4", "%zz", "a%4", "%00", "%g0", "%-1"})
    EXPECT_FALSE(percent_decode(wrong, &decoded)) << wrong;
  EXPECT_EQ(percent_encode_target("/a b?c=\"<é>\"&d=%20"), "/a%20b?c=%22%3C%C3%A9%3E%22&d=%20");
}

TEST(Text, TokensAreThoseOfRfc9110) {
  for (int c = 0; c < 256; ++c) {
    const bool separator = std::string_view("\"(),/:;<=>?@[\\]{}").find(static_cast<char>(c)) != std::string_view::npos;
    EXPECT_EQ(is_tchar(static_cast<char>(c)), c > 0x20 && c < 0x7f && !separator) << c;
  }
  EXPECT_FALSE(is_token(""));
  EXPECT_TRUE(is_token("x-request-id"));
}

TEST(Authority, Parts) {
  using Parts = std::tuple<std::string_view, std::optional<std::string_view>, bool>;
  const std::vector<std::pair<std::string_view, Parts>> cases = {
      {"db:5432", {"db", "5432", false}}, {"db", {"db", std::nullopt, false}},
      {":5432", {"", "5432", false}},     {"db:", {"db", "", false}},
      {"[::1]:80", {"::1", "80", true}},  {"[::1]", {"::1", std::nullopt, true}},
      {"[]:80", {"", "80", true}},        {"", {"", std::nullopt, false}},
      {"[::1", {"[:", "1", false}},       {"[::1]x:80", {"[::1]x", "80", false}},
      {"::1", {":", "1", false}},
  };
  for (const auto& [text, parts] : cases) {
    const HostPort found = split_host_port(text);
    EXPECT_EQ(Parts(found.host, found.port, found.bracketed), parts) << text;
  }
  const Authority whole = split_authority("me:p@ss:w@db:1,[::2]:3");
  EXPECT_EQ(whole.user, "me");
  EXPECT_EQ(whole.password, "p@ss:w");
  EXPECT_EQ(whole.hosts, "db:1,[::2]:3");
  EXPECT_EQ(split_authority("me@db").password, std::nullopt);
  EXPECT_EQ(split_authority("db").user, "");
  for (const char* wrong : {"", "0", "65536", "-1", "+1", " 1", "1 ", "1x", "99999999999999999999"})
    EXPECT_EQ(parse_port(wrong), std::nullopt) << wrong;
  EXPECT_EQ(parse_port("0", 0), 0);
  EXPECT_EQ(parse_port("65535"), 65535);
}

TEST(Text, ScopesAreWholeWords) {
  EXPECT_TRUE(has_scope("people:read people:write", "people:write"));
  EXPECT_TRUE(has_scope("a", "a"));
  EXPECT_FALSE(has_scope("people:reader", "people:read"));
  EXPECT_FALSE(has_scope("", "people:read"));
  EXPECT_FALSE(has_scope("  ", "people:read"));
}

TEST(Text, HexBothWays) {
  std::string text;
  for (int i = 0; i < 256; ++i) append_hex(static_cast<uint8_t>(i), &text);
  for (int i = 0; i < 256; ++i) {
    const size_t at = static_cast<size_t>(i) * 2;
    EXPECT_EQ(hex_value(text[at]) * 16 + hex_value(text[at + 1]), i);
  }
  EXPECT_EQ(hex_value('F'), 15);
  EXPECT_EQ(hex_value('g'), -1);
  EXPECT_NE(random_hex_id(), random_hex_id());
}

// Every byte at every place of texts of every length about a word's, against a look at each byte.
TEST(Text, PropertyWordsSayWhatTheirBytesSay) {
  for (size_t size = 0; size <= 26; ++size)
    for (size_t at = 0; at < size; ++at)
      for (int c = 0; c < 256; ++c) {
        std::string text(size, 'K');
        text[at] = static_cast<char>(c);
        EXPECT_EQ(words::none(text, [](uint64_t word) { return words::less(word, 0x21); }), c >= 0x21) << size << at;
        EXPECT_EQ(words::none(text, [](uint64_t word) { return words::greater(word, 0x7e); }), c <= 0x7e) << size << at;
        EXPECT_EQ(words::none(text, [](uint64_t word) { return words::equal(word, '\r'); }), c != '\r') << size << at;
        std::string low(size, '\0');
        words::lower_into(text, low.data());
        EXPECT_EQ(low, lowered(text));
        words::lower_into(text, text.data());
        EXPECT_EQ(text, low);
      }
  std::mt19937 random(13);
  for (int i = 0; i < 20'000; ++i) {
    const std::string text = random_bytes(random, 40);
    const bool all = std::all_of(text.begin(), text.end(), [](char c) {
      const auto byte = static_cast<unsigned char>(c);
      return byte >= 0x20 && byte <= 0x7e && c != ':';
    });
    const auto fault = [](uint64_t word) {
      return words::less(word, 0x20) | words::greater(word, 0x7e) | words::equal(word, ':');
    };
    EXPECT_EQ(words::none(text, fault), all);
    std::string low(text.size(), '\0');
    words::lower_into(text, low.data());
    EXPECT_EQ(low, lowered(text));
  }
}

TEST(Text, TerminalsGetNoControlCharacters) {
  std::string shown;
  append_printable("a\x1b[31m\r\nb\x7f", &shown);
  EXPECT_EQ(shown, "a [31m  b ");
}

}  // namespace

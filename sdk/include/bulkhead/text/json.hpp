// bulkhead/text/json.hpp - JSON from outside (RFC 8259): checked and bounded before anything is
// built.
//
// Beside the grammar it refuses what parsers of other programs read differently: a NUL byte, which
// nlohmann::json takes for the end of the text, and a member given twice (RFC 7493 §2.3).
#ifndef BULKHEAD_TEXT_JSON_HPP
#define BULKHEAD_TEXT_JSON_HPP

#include <algorithm>
#include <exception>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace bulkhead {

struct JsonRules {
  size_t depth = 32;       // levels of nesting that are taken
  size_t values = 10'000;  // values that are built, each an allocation or two; past it the text is refused
  // Containers below this level are built without what they hold: a flat record needs one
  // level.
  size_t kept = std::numeric_limits<size_t>::max();
  // Where given: other members of the outermost object are not built, but listed in
  // JsonDocument::unknown.
  std::span<const std::string_view> members = {};
};

struct JsonDocument {  // NOLINT(bugprone-exception-escape): moving Json is said not to throw, and allocates nothing
  static constexpr size_t kMostUnknown = 32;

  nlohmann::json value;
  std::vector<std::string> unknown;  // the first kMostUnknown names, cut at 200 bytes
  size_t unknown_count = 0;
};

class JsonError : public std::exception {
 public:
  enum class Kind { kSyntax, kTooDeep, kTooMany, kTwice };

  JsonError(Kind why, std::string what, std::string where = {})
      : kind(why), message(std::move(what)), pointer(std::move(where)) {}
  const char* what() const noexcept override { return message.c_str(); }

  Kind kind;
  std::string message;  // what is wrong and where, without a full stop; at most a few hundred bytes, valid UTF-8
  std::string pointer;  // kTwice: the member
};

// At most `most` bytes, cut between characters, with "…" where something is missing.
inline std::string shortened(std::string_view text, size_t most = 200) {
  if (text.size() <= most) return std::string(text);
  while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xc0) == 0x80) --most;
  return std::string(text.substr(0, most)) + "…";
}

// One reference token of a JSON pointer (RFC 6901 §3), shortened.
inline std::string json_pointer_token(std::string_view name) {
  std::string token;
  for (const char c : shortened(name)) token += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return token;
}

namespace detail {

class JsonBuilder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  using Json = nlohmann::json;

  JsonBuilder(const JsonRules& rules, JsonDocument* document) : rules_(rules), document_(*document) {}
  std::optional<JsonError> error;

  bool null() override { return scalar(nullptr); }
  bool boolean(bool value) override { return scalar(value); }
  bool number_integer(number_integer_t value) override { return scalar(value); }
  bool number_unsigned(number_unsigned_t value) override { return scalar(value); }
  bool number_float(number_float_t value, const string_t& /*text*/) override { return scalar(value); }
  bool string(string_t& value) override { return scalar(std::move(value)); }
  bool binary(binary_t& /*value*/) override { return false; }
  bool start_object(size_t /*elements*/) override { return open(Json::object()); }
  bool start_array(size_t /*elements*/) override { return open(Json::array()); }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }

  bool key(string_t& name) override {
    if (skipping_ != 0) return true;
    if (path_.size() == 1 && !rules_.members.empty() &&
        std::find(rules_.members.begin(), rules_.members.end(), name) == rules_.members.end()) {
      if (document_.unknown.size() < JsonDocument::kMostUnknown) document_.unknown.push_back(shortened(name));
      ++document_.unknown_count;
      drop_next_ = true;
      return true;
    }
    const auto [place, made] = path_.back()->get_ref<Json::object_t&>().emplace(std::move(name), nullptr);
    if (!made) {
      const std::string token = json_pointer_token(place->first);
      return fail(JsonError(JsonError::Kind::kTwice, "the member '" + shortened(place->first) + "' is given twice",
                            pointer() + "/" + token));
    }
    name_ = &place->first;
    next_ = &place->second;
    return true;
  }
  bool parse_error(size_t /*position*/, const std::string& /*token*/, const Json::exception& wrong) override {
    // "[json.exception.parse_error.101] parse error at line 1, column 5: ...": the tail says what
    // and where. What it quotes may be as long as the text, or no UTF-8.
    std::string_view text = wrong.what();
    text = text.substr(std::min(text.find("] ") + 2, text.size()));
    const std::string dumped =
        Json(std::string(text.substr(0, 400))).dump(-1, ' ', true, Json::error_handler_t::replace);
    return fail(JsonError(JsonError::Kind::kSyntax, shortened(Json::parse(dumped).get<std::string>())));
  }

 private:
  bool fail(JsonError wrong) {
    error.emplace(std::move(wrong));
    return false;
  }
  std::string pointer() const {
    std::string text;
    for (const std::string& token : tokens_) text += "/" + token;
    return text;
  }
  // Where the next value goes; null where it is not built.
  Json* place() {
    if (skipping_ != 0 || std::exchange(drop_next_, false)) return nullptr;
    if (path_.empty()) return &document_.value;
    if (path_.back()->is_object()) return std::exchange(next_, nullptr);
    return &path_.back()->get_ref<Json::array_t&>().emplace_back();
  }
  bool counted() {
    if (++values_ <= rules_.values) return true;
    return fail(
        JsonError(JsonError::Kind::kTooMany, "it holds more than " + std::to_string(rules_.values) + " values"));
  }
  template <typename Value>
  bool scalar(Value&& value) {
    if (skipping_ == 0 && !drop_next_ && !counted()) return false;
    if (Json* to = place(); to != nullptr) *to = std::forward<Value>(value);
    return true;
  }
  bool open(Json container) {
    if (++depth_ > rules_.depth)
      return fail(
          JsonError(JsonError::Kind::kTooDeep, "it is nested deeper than " + std::to_string(rules_.depth) + " levels"));
    if (skipping_ == 0 && !drop_next_ && !counted()) return false;
    Json* to = place();
    if (to == nullptr) {
      ++skipping_;
      return true;
    }
    *to = std::move(container);
    if (path_.size() + 1 > rules_.kept) {
      ++skipping_;
      return true;
    }
    if (!path_.empty())
      tokens_.push_back(path_.back()->is_object() ? json_pointer_token(*name_)
                                                  : std::to_string(path_.back()->size() - 1));
    path_.push_back(to);
    return true;
  }
  bool close() {
    --depth_;
    if (skipping_ != 0) {
      --skipping_;
      return true;
    }
    path_.pop_back();
    if (!tokens_.empty()) tokens_.pop_back();
    return true;
  }

  const JsonRules& rules_;
  JsonDocument& document_;
  std::vector<Json*> path_;          // open containers; an array's last element is the open one, so none moves
  std::vector<std::string> tokens_;  // of the pointer to the innermost one
  const std::string* name_ = nullptr;
  Json* next_ = nullptr;
  size_t depth_ = 0, values_ = 0, skipping_ = 0;
  bool drop_next_ = false;
};

}  // namespace detail

// Throws JsonError. One pass; memory is bounded by the rules, whatever the text holds.
inline JsonDocument parse_json(std::string_view text, const JsonRules& rules = {}) {
  if (const size_t at = text.find('\0'); at != std::string_view::npos)
    throw JsonError(JsonError::Kind::kSyntax, "there is a NUL byte at offset " + std::to_string(at));
  JsonDocument document;
  detail::JsonBuilder builder(rules, &document);
  const bool good = nlohmann::json::sax_parse(text.begin(), text.end(), &builder);
  if (!good) throw builder.error ? *builder.error : JsonError(JsonError::Kind::kSyntax, "it is not JSON");
  return document;
}

}  // namespace bulkhead

#endif  // BULKHEAD_TEXT_JSON_HPP

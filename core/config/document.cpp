#include "core/config/document.hpp"

#include <strings.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <set>
#include <sstream>
#include <utility>

namespace bulkhead::config {

namespace {

Json plain_scalar(const std::string& text) {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL") return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  int64_t integer = 0;
  const char* end = text.data() + text.size();
  if (const auto [at, error] = std::from_chars(text.data(), end, integer); error == std::errc() && at == end)
    return integer;
  double real = 0;
  if (const auto [at, error] = std::from_chars(text.data(), end, real);
      error == std::errc() && at == end && std::isfinite(real))
    return real;
  return text;
}

bool name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

constexpr size_t kMaxSecret = 64 * 1024;
constexpr std::string_view kHidden = "[secret]";

bool is_utf8(const std::string& text) {
  try {
    static_cast<void>(Json(text).dump());
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

// Empty on success, else what is wrong.
std::string read_secret(const std::string& path, std::string* out) {
  std::ifstream in(path, std::ios::binary);
  std::string content(kMaxSecret + 1, '\0');
  if (!in) return "the secret " + path + " cannot be read: " + std::strerror(errno);
  in.read(content.data(), static_cast<std::streamsize>(content.size()));
  if (in.bad()) return "the secret " + path + " cannot be read";
  content.resize(static_cast<size_t>(in.gcount()));
  if (content.size() > kMaxSecret) return "the secret " + path + " is larger than 64 KiB";
  if (content.ends_with('\n')) content.pop_back();
  if (content.ends_with('\r')) content.pop_back();
  if (content.find('\0') != std::string::npos)
    return "the secret " + path + " holds a NUL character; write it in base64";
  if (content.empty()) return "the secret " + path + " is empty";
  if (!is_utf8(content)) return "the secret " + path + " is not UTF-8; write it in base64";
  *out = std::move(content);
  return {};
}

}  // namespace

// Empty on success, else what is wrong.
std::string Document::interpolate(const std::string& text, std::string* out) {
  out->clear();
  for (size_t i = 0; i < text.size();) {
    if (text.compare(i, 3, "$${") == 0) {
      *out += "${";
      i += 3;
      continue;
    }
    if (text.compare(i, 2, "${") != 0) {
      *out += text[i++];
      continue;
    }
    if (text.compare(i + 2, 5, "file:") == 0) {
      const size_t close = text.find('}', i);
      if (close == std::string::npos) return "'" + text.substr(i) + "' is not ${file:/path}";
      const std::string path = text.substr(i + 7, close - i - 7);
      std::string secret;
      secret_files_.insert(path);
      if (std::string wrong = read_secret(path, &secret); !wrong.empty()) return wrong;
      *out += secret;
      secrets_.push_back(std::move(secret));
      i = close + 1;
      continue;
    }
    size_t end = i + 2;
    while (end < text.size() && name_char(text[end])) ++end;
    const std::string name = text.substr(i + 2, end - i - 2);
    const size_t close = text.find('}', end);
    const bool has_default = text.compare(end, 2, ":-") == 0;
    if (const size_t inner = text.find("${", end); has_default && inner < close)
      return "'" + text.substr(i) + "': a default cannot hold another ${...}";
    if (name.empty() || close == std::string::npos || (!has_default && end != close))
      return "'" + text.substr(i) + "' is not ${NAME}, ${NAME:-default} or ${file:/path}";
    const char* variable = std::getenv(name.c_str());  // NOLINT(concurrency-mt-unsafe): nothing changes the environment
    if (variable != nullptr && (*variable != '\0' || !has_default))
      *out += variable;
    else if (has_default)
      *out += text.substr(end + 2, close - end - 2);
    else
      return std::string("the environment variable ")
          .append(name)
          .append(" is not set; set it, or write ${")
          .append(name)
          .append(":-default}");
    i = close + 1;
  }
  return {};
}

void wipe(std::string* text) {
  ::explicit_bzero(text->data(), text->size());
  text->clear();
}

void wipe(Json* value) {
  if (value->is_structured())
    for (Json& each : *value) wipe(&each);
  else if (value->is_string())
    wipe(&value->get_ref<std::string&>());
  *value = nullptr;
}

void Document::forget() {
  wipe(&value);
  for (std::string& secret : secrets_) wipe(&secret);
  secrets_.clear();
}

std::string pointer_token(std::string_view key) {
  std::string token;
  for (const char c : key) {
    if (c == '~')
      token += "~0";
    else if (c == '/')
      token += "~1";
    else
      token += c;
  }
  return token;
}

class Reader {
 public:
  explicit Reader(Document& document) : document_(document) {}

  Json read(const YAML::Node& node, const std::string& pointer) {
    // An alias may hold itself, or so many others that the whole is larger than any memory.
    if (++nodes_ > kMaxNodes || std::count(pointer.begin(), pointer.end(), '/') > kMaxDepth) {
      if (!std::exchange(too_large_, true))
        document_.issues_.push_back({pointer, "nested too deeply, or an alias that contains itself"});
      return nullptr;
    }
    const YAML::Mark mark = node.Mark();
    document_.marks_[pointer] = {std::max(mark.line, 0) + 1, std::max(mark.column, 0) + 1};
    switch (node.Type()) {
      case YAML::NodeType::Scalar:
        return scalar(node, pointer);
      case YAML::NodeType::Sequence: {
        Json list = Json::array();
        for (size_t i = 0; i < node.size(); ++i) list.push_back(read(node[i], pointer + "/" + std::to_string(i)));
        return list;
      }
      case YAML::NodeType::Map: {
        Json map = Json::object();
        for (const auto& entry : node) {
          const std::string key = entry.first.Scalar();
          const std::string at = pointer + "/" + pointer_token(key);
          if (map.contains(key)) {
            document_.marks_[at] = {entry.first.Mark().line + 1, entry.first.Mark().column + 1};
            document_.issues_.push_back({at, "the key '" + key + "' is given twice; keep one"});
            continue;
          }
          map[key] = read(entry.second, at);
          document_.marks_[at] = {entry.first.Mark().line + 1, entry.first.Mark().column + 1};
        }
        return map;
      }
      default:
        return nullptr;
    }
  }

 private:
  Json scalar(const YAML::Node& node, const std::string& pointer) {
    std::string text;
    if (const std::string wrong = document_.interpolate(node.Scalar(), &text); !wrong.empty()) {
      document_.issues_.push_back({pointer, wrong});
      return nullptr;
    }
    // Quoted, or !!str; a password of digits is no number.
    if (node.Tag() == "!" || node.Tag() == "tag:yaml.org,2002:str" ||
        node.Scalar().find("${file:") != std::string::npos)
      return text;
    return plain_scalar(text);
  }

  static constexpr size_t kMaxNodes = 100'000;
  static constexpr std::ptrdiff_t kMaxDepth = 64;
  Document& document_;
  size_t nodes_ = 0;
  bool too_large_ = false;
};

Document::Document(std::string file) : file_(std::move(file)) {
  errno = 0;
  std::ifstream in(file_, std::ios::binary);
  std::ostringstream text;
  if (!in || !(text << in.rdbuf())) {
    issues_.push_back(
        {"", std::string("cannot read the file: ") + (errno != 0 ? std::strerror(errno) : "it is empty")});
    return;
  }
  parse(text.str());
}

Document::Document(std::string file, const std::string& text) : file_(std::move(file)) { parse(text); }

namespace {

// The line where another document follows the first one, or 0. A marker at a line's begin is one in
// every context (YAML 1.2 §9.1.2), so the lines alone tell. yaml-cpp does not: on some malformed
// texts it finds documents without end.
int second_document(std::string_view text) {
  bool begun = false, ended = false;
  for (int line = 1; !text.empty(); ++line) {
    const size_t end = std::min(text.find('\n'), text.size());
    const std::string_view content = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    const auto marker = [content](std::string_view mark) {
      return content.starts_with(mark) &&
             (content.size() == mark.size() ||
              std::string_view(" \t\r").find(content[mark.size()]) != std::string_view::npos);
    };
    const size_t first = content.find_first_not_of(" \t\r");
    if (first == std::string_view::npos || content[first] == '#' || (!begun && content[0] == '%')) continue;
    if (marker("...")) {
      ended = begun;
      continue;
    }
    if (ended || (begun && marker("---"))) return line;
    begun = true;
  }
  return 0;
}

}  // namespace

void Document::parse(const std::string& text) {
  text_ = text;
  try {
    if (!is_utf8(text)) {
      issues_.push_back({"", "is not valid UTF-8"});
      return;
    }
    // yaml-cpp would guess another encoding, and pass on what no JSON can hold.
    if (text.find('\0') != std::string::npos) {
      issues_.push_back({"", "holds a NUL character; save it as UTF-8"});
      return;
    }
    if (const int line = second_document(text); line != 0) {
      marks_[""] = {line, 1};
      issues_.push_back({"", "a second document begins here; a configuration is one document"});
      return;
    }
    value = Reader(*this).read(YAML::Load(text), "");
  } catch (const YAML::Exception& error) {
    marks_[""] = {error.mark.line + 1, error.mark.column + 1};
    issues_.push_back({"", "not valid YAML: " + error.msg});
  }
}

std::string Document::describe(const Issue& issue) const {
  std::string text = file_;
  for (std::string at = issue.pointer;; at.resize(at.rfind('/'))) {
    if (const auto mark = marks_.find(at); mark != marks_.end()) {
      text += ":" + std::to_string(mark->second.line) + ":" + std::to_string(mark->second.column);
      break;
    }
    if (at.empty()) break;
  }
  text += ": ";
  if (!issue.pointer.empty()) text += issue.pointer + ": ";
  return without_secrets(text + issue.message);
}

std::string Document::without_secrets(std::string text) const {
  const auto hide = [&text](const std::string& secret) {
    for (size_t at = 0; (at = text.find(secret, at)) != std::string::npos; at += kHidden.size())
      text.replace(at, secret.size(), kHidden);
  };
  for (const std::string& secret : secrets_) {
    hide(secret);
    const std::string dumped = Json(secret).dump(), quoted = dumped.substr(1, dumped.size() - 2);
    if (quoted != secret) hide(quoted);
  }
  return text;
}

}  // namespace bulkhead::config

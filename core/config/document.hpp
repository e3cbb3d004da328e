// A YAML file as JSON, with the place each value came from.
//
// ${NAME}, ${NAME:-default} and ${file:/path} are replaced in every scalar: inside quotes the
// result stays a string, bare it takes the type it reads as. $${ is a literal ${. A file is a
// secret: without the line break at its end, and never shown. A key given twice is an error.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace bulkhead::config {

using Json = nlohmann::json;

// Something wrong at one place of a value: a JSON pointer and what to do about it.
struct Issue {
  std::string pointer, message;
};

class Document {
 public:
  // Reads and parses; what is wrong goes into issues().
  explicit Document(std::string file);
  // The same from text; `file` is for messages only.
  Document(std::string file, const std::string& text);

  // Overwrites the value and the secrets in it. describe() finds places still, but no secrets.
  void forget();

  Json value;
  // The same text again, with the files as they are now.
  Document again() const { return {file_, text_}; }
  const std::set<std::string>& secret_files() const { return secret_files_; }
  const std::vector<Issue>& issues() const { return issues_; }
  const std::string& file() const { return file_; }
  // "configs/x.yaml:12:3: /plugins/0/id: message"; the nearest enclosing value where the pointer
  // itself is absent. Secrets are cut out, also of messages that plugins wrote.
  std::string describe(const Issue& issue) const;
  // The text without secrets, as they are or as JSON writes them.
  std::string without_secrets(std::string text) const;

 private:
  friend class Reader;
  struct Mark {
    int line, column;
  };
  void parse(const std::string& text);
  std::string interpolate(const std::string& text, std::string* out);

  std::string file_, text_;
  std::set<std::string> secret_files_;
  std::vector<std::string> secrets_;  // what was read from them
  std::map<std::string, Mark> marks_;
  std::vector<Issue> issues_;
};

// Overwrites the texts, which may be secrets, before they are let go of.
void wipe(std::string* text);
void wipe(Json* value);

// "~1" for '/', "~0" for '~' (RFC 6901).
std::string pointer_token(std::string_view key);

}  // namespace bulkhead::config

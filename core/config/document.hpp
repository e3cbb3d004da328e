// A YAML file as JSON, with the place each value came from.
//
// ${NAME} and ${NAME:-default} are replaced in every scalar: inside quotes the
// result stays a string, bare it takes the type it reads as. $${ is a literal ${.
// A key given twice is an error.
#pragma once

#include <map>
#include <nlohmann/json.hpp>
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

  Json value;
  const std::vector<Issue>& issues() const { return issues_; }
  const std::string& file() const { return file_; }
  // "configs/x.yaml:12:3: /plugins/0/id: message"; the nearest enclosing value where the pointer itself is absent.
  std::string describe(const Issue& issue) const;

 private:
  friend class Reader;
  struct Mark {
    int line, column;
  };
  void parse(const std::string& text);

  std::string file_;
  std::map<std::string, Mark> marks_;
  std::vector<Issue> issues_;
};

// "~1" for '/', "~0" for '~' (RFC 6901).
std::string pointer_token(std::string_view key);

}  // namespace bulkhead::config

// Router: a trie of path segments. A literal wins over a {parameter}; both are tried.
//
// Matching reads the path as sent, with dot segments resolved, so that an encoded
// slash (%2F) stays inside its segment. Built once, then immutable; any thread may
// match.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "bulkhead/plugin.h"

namespace bulkhead::chain {

struct Plan;

// What is registered at one pattern.
struct Endpoint {
  std::string pattern;
  std::string allow;  // value of the Allow header
  std::vector<std::pair<std::string, const Plan*>> methods;
  std::vector<std::string> params;

  const Plan* find(std::string_view method) const;
};

class Router {
 public:
  // Decodes one segment that holds a '%'.
  using Decode = std::string_view (*)(void* context, std::string_view segment);

  // Adds a route. Empty on success, else why the pattern or the pair is refused.
  std::string add(std::string_view method, std::string_view pattern, const Plan* plan);
  // `params` gets the parameters in the pattern's order; its size bounds them.
  const Endpoint* match(std::string_view path, std::span<bh_pair> params, size_t* count, Decode decode,
                        void* context) const;

  // "" or what is wrong with a pattern.
  static std::string check_pattern(std::string_view pattern);
  // "" or what is wrong with a method: it is a token of upper case, as all registered ones are (RFC
  // 9110 §9.1).
  static std::string check_method(std::string_view method);

 private:
  struct Node {
    std::vector<std::pair<std::string, std::unique_ptr<Node>>> literals;  // sorted
    std::unique_ptr<Node> parameter;
    std::unique_ptr<Endpoint> endpoint;
  };
  struct Search;

  Node root_;
};

}  // namespace bulkhead::chain

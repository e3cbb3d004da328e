#include "core/chain/router.hpp"

#include <algorithm>
#include <array>
#include <cctype>

#include "bulkhead/value.hpp"
#include "core/chain/table.hpp"

namespace bulkhead::chain {

namespace {

constexpr size_t kMaxParams = 16;

// Splits "/a/b" into "a", "b"; calls `each` for every segment.
template <typename Each>
void for_segments(std::string_view path, Each each) {
  path.remove_prefix(1);
  while (true) {
    const size_t slash = path.find('/');
    each(path.substr(0, slash));
    if (slash == std::string_view::npos) return;
    path.remove_prefix(slash + 1);
  }
}

bool is_parameter(std::string_view segment) {
  return segment.size() > 2 && segment.front() == '{' && segment.back() == '}';
}

bool name_char(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-';
}

// The plugin that registered a plan, for messages.
std::string owner_of(const Plan* plan) {
  return plan != nullptr && plan->route != nullptr ? plan->route->step.owner->id + " has it" : "it is there already";
}

}  // namespace

const Plan* Endpoint::find(std::string_view method) const {
  for (const auto& [name, plan] : methods)
    if (name == method) return plan;
  return nullptr;
}

std::string Router::check_pattern(std::string_view pattern) {
  if (pattern.empty() || pattern.front() != '/') return "a pattern begins with '/'";
  if (std::any_of(pattern.begin(), pattern.end(),
                  [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }))
    return "a pattern holds no control characters";
  if (pattern.find_first_of("?#% ") != std::string_view::npos)
    return "a pattern is a decoded path without '?', '#', '%' and spaces";
  std::vector<std::string_view> names;
  std::string wrong;
  for_segments(pattern, [&](std::string_view segment) {
    if (segment == "." || segment == "..") wrong = "no request has the segment '" + std::string(segment) + "'";
    if (segment.find_first_of("{}") == std::string_view::npos) return;
    const std::string_view name = is_parameter(segment) ? segment.substr(1, segment.size() - 2) : std::string_view();
    if (name.empty() || name.find_first_of("{}") != std::string_view::npos) {
      wrong = "'{' and '}' enclose a whole segment, as in /people/{uuid}";
    } else if (!std::all_of(name.begin(), name.end(), name_char)) {
      wrong = "a parameter's name has letters, digits, '_' and '-'; '{" + std::string(name) + "}' is none";
    } else if (std::find(names.begin(), names.end(), name) != names.end()) {
      wrong = "the parameter '" + std::string(name) + "' is named twice";
    }
    names.push_back(name);
  });
  if (names.size() > kMaxParams) wrong = "more than 16 parameters";
  return wrong;
}

std::string Router::check_method(std::string_view method) {
  const auto upper = [](char c) { return (c >= 'A' && c <= 'Z') || c == '-' || c == '_'; };
  if (!method.empty() && std::all_of(method.begin(), method.end(), upper)) return {};
  std::string fixed(method);
  std::transform(fixed.begin(), fixed.end(), fixed.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  const bool lower = !method.empty() && std::all_of(fixed.begin(), fixed.end(), upper);
  return "'" + std::string(method) + "' is no method" + (lower ? ", did you mean '" + fixed + "'?" : "");
}

std::string Router::add(std::string_view method, std::string_view pattern, const Plan* plan) {
  if (std::string wrong = check_pattern(pattern); !wrong.empty()) return wrong;
  Node* node = &root_;
  std::vector<std::string> params;
  for_segments(pattern, [&](std::string_view segment) {
    if (is_parameter(segment)) {
      params.emplace_back(segment.substr(1, segment.size() - 2));
      if (!node->parameter) node->parameter = std::make_unique<Node>();
      node = node->parameter.get();
      return;
    }
    auto it = std::lower_bound(node->literals.begin(), node->literals.end(), segment,
                               [](const auto& entry, std::string_view key) { return entry.first < key; });
    if (it == node->literals.end() || it->first != segment)
      it = node->literals.emplace(it, std::string(segment), std::make_unique<Node>());
    node = it->second.get();
  });
  if (!node->endpoint) {
    node->endpoint = std::make_unique<Endpoint>();
    node->endpoint->pattern = pattern;
    node->endpoint->params = params;
  }
  Endpoint& endpoint = *node->endpoint;
  if (endpoint.pattern != pattern)
    return "the same paths are those of " + endpoint.pattern + ", and " + owner_of(endpoint.methods.front().second);
  if (const Plan* other = endpoint.find(method); other != nullptr) return owner_of(other);
  endpoint.methods.emplace_back(method, plan);

  std::vector<std::string_view> allow;
  for (const auto& [name, unused] : endpoint.methods) allow.emplace_back(name);
  if (endpoint.find("GET") != nullptr && endpoint.find("HEAD") == nullptr) allow.emplace_back("HEAD");
  if (endpoint.find("OPTIONS") == nullptr) allow.emplace_back("OPTIONS");
  std::sort(allow.begin(), allow.end());
  endpoint.allow.clear();
  for (const std::string_view name : allow) {
    if (!endpoint.allow.empty()) endpoint.allow += ", ";
    endpoint.allow += name;
  }
  return {};
}

struct Router::Search {
  std::span<bh_pair> params;
  Decode decode;
  void* context;
  size_t count = 0;
  std::array<std::string_view, kMaxParams> values{};

  const Endpoint* walk(const Node& node, std::string_view rest) {
    const size_t slash = rest.find('/');
    std::string_view segment = rest.substr(0, slash);
    if (segment.find('%') != std::string_view::npos) segment = decode(context, segment);
    const bool last = slash == std::string_view::npos;
    const std::string_view next = last ? std::string_view() : rest.substr(slash + 1);

    auto descend = [&](const Node& child) { return last ? child.endpoint.get() : walk(child, next); };
    auto it = std::lower_bound(node.literals.begin(), node.literals.end(), segment,
                               [](const auto& entry, std::string_view key) { return entry.first < key; });
    if (it != node.literals.end() && it->first == segment)
      if (const Endpoint* found = descend(*it->second); found != nullptr) return found;
    if (!node.parameter || segment.empty() || count == values.size()) return nullptr;
    values[count++] = segment;
    if (const Endpoint* found = descend(*node.parameter); found != nullptr) return found;
    --count;
    return nullptr;
  }
};

const Endpoint* Router::match(std::string_view path, std::span<bh_pair> params, size_t* count, Decode decode,
                              void* context) const {
  *count = 0;
  if (path.empty() || path.front() != '/') return nullptr;
  Search search{params, decode, context};
  const Endpoint* found = search.walk(root_, path.substr(1));
  if (found == nullptr || found->params.size() > params.size()) return nullptr;
  for (size_t i = 0; i < found->params.size(); ++i) params[i] = {to_str(found->params[i]), to_str(search.values[i])};
  *count = found->params.size();
  return found;
}

}  // namespace bulkhead::chain

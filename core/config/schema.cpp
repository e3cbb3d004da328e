#include "core/config/schema.hpp"

#include "bulkhead/text/nearest.hpp"

#include <algorithm>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

namespace bulkhead::config {

namespace {

// "$ref": "#/definitions/x" stands for that part of the schema.
const Json& resolve(const Json& root, const Json& schema) {
  if (!schema.is_object() || !schema.contains("$ref") || !schema["$ref"].is_string()) return schema;
  const std::string& reference = schema["$ref"].get_ref<const std::string&>();
  if (!reference.starts_with("#/")) return schema;
  try {
    return root.at(Json::json_pointer(reference.substr(1)));
  } catch (const Json::exception&) {  // Valijson says what is wrong with it
    return schema;
  }
}

// A schema may hold itself, with a default that holds it again.
constexpr std::ptrdiff_t kMaxDepth = 64;

void fill_and_find_unknown(const Json& root, const Json& part, Json& value, const std::string& pointer,
                           std::vector<Issue>* issues) {
  if (std::count(pointer.begin(), pointer.end(), '/') > kMaxDepth) return;
  const Json& schema = resolve(root, part);
  if (!schema.is_object()) return;
  if (value.is_array() && schema.contains("items")) {
    for (size_t i = 0; i < value.size(); ++i)
      fill_and_find_unknown(root, schema["items"], value[i], pointer + "/" + std::to_string(i), issues);
    return;
  }
  if (!value.is_object() || !schema.contains("properties")) return;
  const Json& properties = schema["properties"];
  std::vector<std::string> known;
  for (const auto& [name, reference] : properties.items()) {
    const Json& property = resolve(root, reference);
    known.push_back(name);
    if (!value.contains(name) && property.is_object() && property.contains("default"))
      value[name] = property["default"];
    if (value.contains(name))
      fill_and_find_unknown(root, property, value[name], pointer + "/" + pointer_token(name), issues);
  }
  if (!schema.contains("additionalProperties") || schema["additionalProperties"] != false) return;
  for (const auto& [name, unused] : value.items()) {
    if (properties.contains(name)) continue;
    const std::string near = nearest(name, known);
    std::string message = "unknown key '" + name + "'";
    if (!near.empty()) {
      message += ", did you mean '" + near + "'?";
    } else {
      message += "; known are";
      for (const std::string& each : known) message += (each == known.front() ? " " : ", ") + each;
    }
    issues->push_back({pointer + "/" + pointer_token(name), message});
  }
}

// Valijson's context is "<root>", "[\"key\"]", "[0]".
std::string pointer_of(const std::vector<std::string>& context) {
  std::string pointer;
  for (const std::string& step : context) {
    if (step.size() < 2 || step.front() != '[') continue;
    std::string key = step.substr(1, step.size() - 2);
    if (key.size() >= 2 && key.front() == '"') key = key.substr(1, key.size() - 2);
    pointer += "/" + pointer_token(key);
  }
  return pointer;
}

const Json* schema_at(const Json& root, const std::string& pointer) {
  const Json* at = &root;
  for (const std::string& token : [&] {
         std::vector<std::string> tokens;
         for (size_t i = 0; i < pointer.size();) {
           const size_t end = std::min(pointer.find('/', i + 1), pointer.size());
           tokens.push_back(pointer.substr(i + 1, end - i - 1));
           i = end;
         }
         return tokens;
       }()) {
    if (at->contains("properties") && (*at)["properties"].contains(token))
      at = &resolve(root, (*at)["properties"][token]);
    else if (at->contains("items") && (*at)["items"].is_object())
      at = &resolve(root, (*at)["items"]);
    else
      return nullptr;
  }
  return at;
}

std::string expectation(const Json& schema) {
  std::string text;
  if (schema.contains("enum")) {
    text = "expected one of";
    for (const Json& each : schema["enum"]) text += " " + each.dump();
    return text;
  }
  if (schema.contains("type")) {
    text = "expected ";
    if (schema["type"].is_array()) {
      for (const Json& each : schema["type"]) text += (text == "expected " ? "" : " or ") + each.get<std::string>();
    } else {
      text += schema["type"].get<std::string>();
    }
  }
  if (schema.contains("minimum")) text += ", at least " + schema["minimum"].dump();
  if (schema.contains("maximum")) text += ", at most " + schema["maximum"].dump();
  if (schema.contains("pattern")) text += ", like " + schema["pattern"].get<std::string>();
  return text;
}

}  // namespace

std::vector<Issue> check_schema(const Json& schema, Json& value) {
  std::vector<Issue> issues;
  fill_and_find_unknown(schema, schema, value, "", &issues);
  if (!issues.empty()) return issues;

  valijson::Schema compiled;
  valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
  try {
    parser.populateSchema(valijson::adapters::NlohmannJsonAdapter(schema), compiled);
  } catch (const std::exception& error) {
    return {{"", std::string("the schema itself is not valid: ") + error.what()}};
  }
  valijson::Validator validator;
  valijson::ValidationResults results;
  if (validator.validate(compiled, valijson::adapters::NlohmannJsonAdapter(value), &results)) return {};

  valijson::ValidationResults::Error error;
  while (results.popError(error)) issues.push_back({pointer_of(error.context), error.description});
  // An error inside a value is reported again for each value around it: keep the innermost.
  std::vector<Issue> innermost;
  for (const Issue& issue : issues) {
    const bool outer = std::any_of(issues.begin(), issues.end(), [&](const Issue& other) {
      return other.pointer.size() > issue.pointer.size() &&
             other.pointer.compare(0, issue.pointer.size(), issue.pointer) == 0 &&
             (other.pointer[issue.pointer.size()] == '/');
    });
    const bool repeated = std::any_of(innermost.begin(), innermost.end(),
                                      [&](const Issue& other) { return other.pointer == issue.pointer; });
    if (outer || repeated) continue;
    Issue kept = issue;
    if (issue.message.find("issing required property") == std::string::npos)
      if (const Json* part = schema_at(schema, issue.pointer); part != nullptr && !expectation(*part).empty()) {
        const Json::json_pointer pointer(issue.pointer);
        kept.message =
            (value.contains(pointer) ? value[pointer].dump() : "the value") + " is not accepted: " + expectation(*part);
      }
    innermost.push_back(kept);
  }
  return innermost;
}

}  // namespace bulkhead::config

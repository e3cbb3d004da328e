#include "patches.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "bulkhead/text/json.hpp"
#include "record.hpp"

namespace people {

using bulkhead::Json;
using bulkhead::Problem;

namespace {

// Enough to test and replace every field several times.
constexpr size_t kMostOperations = 100;

Problem refused_patch(size_t index, std::string_view member, std::string detail) {
  return {422,
          "The patch cannot be applied.",
          {{"/" + std::to_string(index) + (member.empty() ? "" : "/" + std::string(member)), std::move(detail)}}};
}

// Where an operation of a patch points: one field of the record, or "" for all of it.
std::string_view target_of(const Json& operation, size_t index, const char* member) {
  const auto found = operation.find(member);
  if (found == operation.end() || !found->is_string())
    throw refused_patch(index, member, "is required, and is a JSON pointer");
  const std::string& pointer = found->get_ref<const std::string&>();
  if (pointer.starts_with('/') && pointer.find('/', 1) == std::string::npos &&
      find_field(std::string_view(pointer).substr(1)) == nullptr)
    throw refused_patch(index, member, unknown_name(pointer.substr(1)));
  if (pointer.empty() || (pointer.front() == '/' && find_field(std::string_view(pointer).substr(1)) != nullptr))
    return pointer;
  throw refused_patch(index, member, "must point to one field of the record, as in /age, or be empty for all of it");
}

}  // namespace

void check_operations(const Json& patch) {
  if (!patch.is_array()) throw Problem(400, "A JSON patch is an array of operations (RFC 6902).");
  if (patch.size() > kMostOperations)
    throw Problem(422, "A patch of a record takes at most " + std::to_string(kMostOperations) +
                           " operations; this has " + std::to_string(patch.size()) + ".");
  for (size_t i = 0; i < patch.size(); ++i) {
    const Json& operation = patch[i];
    if (!operation.is_object() || !operation.contains("op") || !operation.contains("path"))
      throw Problem(400, "A JSON patch is an array of operations (RFC 6902).",
                    {{"/" + std::to_string(i), "must be an object with op and path"}});
    const std::string op = operation["op"].is_string() ? operation["op"].get<std::string>() : std::string();
    const std::string_view path = target_of(operation, i, "path");
    if (op == "add" || op == "replace" || op == "test") {
      if (!operation.contains("value")) throw refused_patch(i, "value", "is required");
      if (path.empty() && op != "test" && !operation["value"].is_object())
        throw refused_patch(i, "value", "must be an object with the fields of the record");
    } else if (op == "move" || op == "copy") {
      if (path.empty()) throw refused_patch(i, "path", "must point to one field");
      if (target_of(operation, i, "from").empty())
        throw refused_patch(i, "from", "must point to one field: a record is not put within itself");
    } else if (op == "remove") {
      if (path.empty()) throw refused_patch(i, "path", "must point to one field; DELETE removes the record");
    } else {
      throw refused_patch(i, "op", "must be add, remove, replace, move, copy or test");
    }
  }
}

Json patched(Json record, const Json& patch) {
  try {
    record.patch_inplace(patch);
    return record;
  } catch (const Json::exception& error) {  // "[json.exception.out_of_range.403] key 'age' not found"
    const std::string_view what = error.what();
    throw Problem(422, "The patch cannot be applied: " +
                           bulkhead::shortened(what.substr(std::min(what.find("] ") + 2, what.size()))) + ".");
  }
}

}  // namespace people

#include <gtest/gtest.h>

#include <random>

#include "bulkhead/text/glob.hpp"
#include "bulkhead/value.hpp"
#include "core/chain/order.hpp"
#include "core/chain/problem.hpp"
#include "core/chain/router.hpp"
#include "core/chain/table.hpp"

using namespace bulkhead;
using chain::Router;

namespace {

const chain::Plan kPlan;

std::string_view upper_decode(void*, std::string_view segment) { return segment == "%61" ? "a" : segment; }

struct Matched {
  std::string pattern;
  std::vector<std::string> values;
};

Matched match(const Router& router, std::string_view path) {
  bh_pair params[16];
  size_t count = 0;
  const chain::Endpoint* found = router.match(path, params, &count, upper_decode, nullptr);
  Matched out;
  if (found == nullptr) return out;
  out.pattern = found->pattern;
  for (size_t i = 0; i < count; ++i)
    out.values.push_back(std::string(to_view(params[i].name)) + "=" + std::string(to_view(params[i].value)));
  return out;
}

}  // namespace

TEST(Router, LiteralWinsOverParameter) {
  Router router;
  EXPECT_EQ(router.add("GET", "/people/{uuid}", &kPlan), "");
  EXPECT_EQ(router.add("GET", "/people/search", &kPlan), "");
  EXPECT_EQ(match(router, "/people/search").pattern, "/people/search");
  EXPECT_EQ(match(router, "/people/1").values, std::vector<std::string>{"uuid=1"});
}

TEST(Router, GoesBackFromALiteralThatLeadsNowhere) {
  Router router;
  router.add("GET", "/a/b/c", &kPlan);
  router.add("GET", "/a/{x}/d", &kPlan);
  EXPECT_EQ(match(router, "/a/b/d").pattern, "/a/{x}/d");
  EXPECT_EQ(match(router, "/a/b/d").values, std::vector<std::string>{"x=b"});
}

TEST(Router, WhatDoesNotMatch) {
  Router router;
  router.add("GET", "/people/{uuid}", &kPlan);
  for (const char* path : {"/", "/people", "/people/", "/people/1/", "/people/1/2", "people/1", "", "//people/1"})
    EXPECT_EQ(match(router, path).pattern, "") << path;
}

TEST(Router, EncodedSegmentsAreDecodedForComparison) {
  Router router;
  router.add("GET", "/a/{x}", &kPlan);
  EXPECT_EQ(match(router, "/%61/%61").values, std::vector<std::string>{"x=a"});
}

TEST(Router, RefusesBadPatterns) {
  Router router;
  EXPECT_NE(router.add("GET", "people", &kPlan), "");
  EXPECT_NE(router.add("GET", "/a{b}", &kPlan), "");
  EXPECT_NE(router.add("GET", "/{a}/{a}", &kPlan), "");
  EXPECT_NE(router.add("GET", "/a?b", &kPlan), "");
  EXPECT_EQ(router.add("GET", "/a/{b}", &kPlan), "");
  EXPECT_NE(router.add("GET", "/a/{b}", &kPlan), "") << "the same route twice";
  EXPECT_NE(router.add("POST", "/a/{c}", &kPlan), "") << "the same paths under another name";
}

TEST(Router, AllowNamesWhatIsThere) {
  Router router;
  router.add("POST", "/a", &kPlan);
  router.add("GET", "/a", &kPlan);
  bh_pair params[16];
  size_t count = 0;
  EXPECT_EQ(router.match("/a", params, &count, upper_decode, nullptr)->allow, "GET, HEAD, OPTIONS, POST");
}

// Whatever is registered is found again under any values of its parameters.
TEST(Router, PropertyEveryRegisteredPatternIsFound) {
  std::mt19937 random(7);
  const std::string names[] = {"a", "b", "cc", "x-y", "{p}"};
  for (int round = 0; round < 300; ++round) {
    Router router;
    std::vector<std::string> added;
    for (int i = 0; i < 8; ++i) {
      std::string pattern;
      for (auto n = 1 + random() % 4, k = n * 0; k < n; ++k) {
        std::string part = names[random() % 5];
        if (part == "{p}") part = "{p" + std::to_string(k) + "}";
        pattern += "/" + part;
      }
      if (router.add("GET", pattern, &kPlan).empty()) added.push_back(pattern);
    }
    for (const std::string& pattern : added) {
      std::string path = pattern;
      for (size_t at; (at = path.find("{p")) != std::string::npos;)
        path.replace(at, path.find('}', at) - at + 1, "value");
      EXPECT_EQ(match(router, path).pattern, pattern);
    }
  }
}

TEST(Glob, Matches) {
  EXPECT_TRUE(bulkhead::glob_match("", "/anything"));
  EXPECT_TRUE(bulkhead::glob_match("/people*", "/people/{uuid}"));
  EXPECT_TRUE(bulkhead::glob_match("*/live", "/health/live"));
  EXPECT_TRUE(bulkhead::glob_match("/a*b*c", "/aXbYbZc"));
  EXPECT_FALSE(bulkhead::glob_match("/people", "/people/{uuid}"));
  EXPECT_FALSE(bulkhead::glob_match("/a*b", "/aXc"));
}

TEST(Order, FollowsRulesThenIds) {
  const chain::Order order = chain::order_plugins({{"zeta", {}, {"alpha"}, {}, {}},
                                                   {"alpha", {}, {}, {}, {}},
                                                   {"mid", {"alpha"}, {}, {}, {}},
                                                   {"beta", {}, {}, {"mid"}, {}}});
  EXPECT_EQ(order.ids, (std::vector<std::string>{"zeta", "alpha", "mid", "beta"}));
  EXPECT_EQ(order.reasons[0], "by id");
  EXPECT_EQ(order.reasons[3], "after mid (configuration)");
}

TEST(Order, IgnoresAbsentPlugins) { EXPECT_EQ(chain::order_plugins({{"a", {"nobody"}, {}, {}, {}}}).ids.size(), 1u); }

TEST(Order, NamesTheCycle) {
  const chain::Order order =
      chain::order_plugins({{"a", {"c"}, {}, {}, {}}, {"b", {"a"}, {}, {}, {}}, {"c", {"b"}, {}, {}, {}}});
  EXPECT_TRUE(order.ids.empty());
  for (const char* id : {"a", "b", "c"}) EXPECT_NE(order.cycle.find(id), std::string::npos);
}

// Golden: phases in order, RESPOND reversed, hooks with a glob only where it matches.
TEST(Table, PlansAreFlatAndOrdered) {
  const chain::Owner first{"first"}, second{"second"};
  auto step = [](const chain::Owner& owner) {
    chain::StepRef ref;
    ref.run = [](void*, bh_exchange*, const bh_request*, bh_error*) -> bh_flow { return BH_NEXT; };
    ref.owner = &owner;
    return ref;
  };
  chain::TableInput input;
  input.plugin_order = {"first", "second"};
  input.order_reasons = {"by id", "by id"};
  input.hooks = {{BH_RESPOND, "", step(first)}, {BH_ADMIT, "", step(second)},     {BH_RESPOND, "", step(second)},
                 {BH_ADMIT, "", step(first)},   {BH_PREPARE, "/b*", step(first)}, {BH_COMPLETE, "", step(first)}};
  chain::Route a, b;
  a.method = b.method = "GET";
  a.pattern = "/a";
  b.pattern = "/b/{x}";
  a.step = b.step = step(first);
  input.routes = {a, b};
  std::string error;
  const auto table = chain::build_table(std::move(input), 1, &error);
  ASSERT_TRUE(table) << error;
  const chain::Plan& plan = table->plans[1];
  const auto at = [](const chain::Plan& of, uint32_t phase) { return of.at(chain::row_of(phase)); };
  ASSERT_EQ(at(plan, BH_ADMIT).size(), 2u);
  EXPECT_EQ(at(plan, BH_ADMIT)[0].owner->id, "first");
  EXPECT_EQ(at(plan, BH_RESPOND)[0].owner->id, "second");
  EXPECT_EQ(at(plan, BH_RESPOND)[1].owner->id, "first");
  EXPECT_EQ(plan.at(chain::kStepRow).size(), 1u);
  EXPECT_EQ(at(plan, BH_PREPARE).size(), 1u);
  EXPECT_EQ(at(table->plans[0], BH_PREPARE).size(), 0u);
  EXPECT_EQ(at(table->unmatched, BH_COMPLETE).size(), 1u);
  EXPECT_EQ(at(table->unmatched, BH_PREPARE).size(), 0u);
  EXPECT_EQ(table->unmatched.at(chain::kStepRow).size(), 0u);
}

// The contract's numbers and the course agree on the order.
TEST(Course, PhasesAreInTheContractsOrder) {
  uint32_t last = 0;
  for (const chain::Row& row : chain::kCourse) {
    if (row.work != chain::Work::kHooks) continue;
    EXPECT_GT(row.phase, last);
    EXPECT_EQ(chain::phase_name(row.phase), row.name);
    last = row.phase;
  }
  EXPECT_EQ(chain::phase_name(150), "");
}

TEST(Problem, IsJsonWhateverTheDetail) {
  EXPECT_EQ(chain::problem(404, "no \"x\"", "id-1"),
            R"({"type":"about:blank","title":"Not Found","status":404,"detail":"no \"x\"","instance":"id-1"})");
  EXPECT_NE(chain::problem(400, "bad \xff byte", ""), "");
}

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <random>

#include "core/hosting/elf.hpp"
#include "core/hosting/library.hpp"
#include "core/telemetry/metrics.hpp"

using namespace bulkhead;

namespace {
std::string contract(const std::string& name) { return std::string(BUILD_DIR) + "/lib/contract/" + name + ".so"; }
std::string first_party(const std::string& name) { return std::string(BUILD_DIR) + "/lib/bulkhead/" + name + ".so"; }
std::string read(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
}  // namespace

TEST(Elf, AcceptsPlugins) {
  for (const std::string& file :
       {first_party("people"), first_party("database"), contract("plain_c"), contract("cpp_hello")}) {
    const hosting::ElfInfo info = hosting::inspect_elf(file);
    EXPECT_EQ(info.error, "") << file;
    EXPECT_EQ(info.abi_major, BH_ABI_MAJOR);
  }
}

TEST(Elf, SaysWhatIsWrong) {
  EXPECT_NE(hosting::inspect_elf("/nowhere.so").error.find("No such file"), std::string::npos);
  EXPECT_NE(hosting::inspect_elf(SOURCE_DIR "/README.md").error.find("not a shared library"), std::string::npos);
  EXPECT_NE(hosting::inspect_elf(contract("noplugin")).error.find("not a Bulkhead plugin"), std::string::npos);
  EXPECT_NE(hosting::inspect_elf(contract("aborting")).error.find("plugin ABI 2.0, this host speaks 1."),
            std::string::npos);
  EXPECT_NE(hosting::inspect_elf(contract("toonew")).error.find("newer than this host's"), std::string::npos);
  EXPECT_NE(hosting::inspect_elf("/tmp").error, "");
}

// Cut off and damaged files are refused or accepted, never read out of bounds (run under ASan).
TEST(Elf, PropertyDamagedFilesAreSafe) {
  const std::string whole = read(contract("plain_c"));
  const std::string path = testing::TempDir() + "/damaged.so";
  std::mt19937 random(5);
  for (int round = 0; round < 400; ++round) {
    std::string bytes = whole;
    if (round % 2 == 0) bytes.resize(random() % bytes.size());
    for (int i = 0; i < 8 && !bytes.empty(); ++i)
      bytes[random() % std::min<size_t>(bytes.size(), 4096)] = static_cast<char>(random());
    std::ofstream(path, std::ios::binary) << bytes;
    hosting::inspect_elf(path);
  }
  std::remove(path.c_str());
}

TEST(Library, MapsOnceAndDescribes) {
  std::string error;
  const auto library = hosting::Library::open(contract("cpp_hello"), &error);
  ASSERT_TRUE(library) << error;
  EXPECT_EQ(library->descriptor().id.len, 5u);
}

TEST(Library, DescriptorRules) {
  EXPECT_NE(hosting::check_descriptor(nullptr), "");
  std::string error;
  bh_plugin copy = hosting::Library::open(contract("cpp_hello"), &error)->descriptor();
  EXPECT_EQ(hosting::check_descriptor(&copy), "");
  copy.id = BH_LIT("Not An Id");
  EXPECT_NE(hosting::check_descriptor(&copy), "");
  copy.id = BH_LIT("hello");
  copy.schema = BH_LIT("{");
  EXPECT_NE(hosting::check_descriptor(&copy), "");
  copy.schema = {nullptr, 0};
  copy.size = 40;
  EXPECT_NE(hosting::check_descriptor(&copy), "");
}

TEST(Metrics, OwnersAndSeries) {
  telemetry::Metrics metrics;
  const bh_str label = BH_LIT("route");
  bh_metric m{};
  m.size = sizeof m;
  m.name = BH_LIT("requests_total");
  m.labels = &label;
  m.label_count = 1;
  uint32_t id = 0, again = 0, series = 0, same = 0;
  EXPECT_EQ(metrics.add("a", m, &id), "");
  EXPECT_EQ(metrics.add("a", m, &again), "");
  EXPECT_EQ(id, again);
  EXPECT_NE(metrics.add("b", m, &again), "") << "another owner";
  m.name = BH_LIT("not a name");
  EXPECT_NE(metrics.add("a", m, &again), "");
  const bh_str value = BH_LIT("/x");
  EXPECT_EQ(metrics.series(id, &value, 1, &series), "");
  EXPECT_EQ(metrics.series(id, &value, 1, &same), "");
  EXPECT_EQ(series, same);
  EXPECT_NE(metrics.series(id, &value, 0, &same), "");
  EXPECT_NE(metrics.series(99, &value, 1, &same), "");
  metrics.record(series, 1, nullptr);  // no sink: nothing happens
}

#include "frontend/cli/compatibility.h"

#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/harness/text.h"

namespace cryo::cli {
namespace {

constexpr const char* kPage = CRYO_SOURCE_DIR "/docs/compatibility.md";
constexpr std::string_view kBegin =
    "<!-- begin: from the tables of src/frontend/cli and src/kinds -->\n";
constexpr std::string_view kEnd = "<!-- end -->";

// CRYO_UPDATE_DOCS=1 writes the page instead of comparing it.
TEST(Compatibility, PageIsTrue) {
  const std::string page = live::read_text(kPage);
  const size_t begin = page.find(kBegin);
  const size_t end = page.find(kEnd, begin);
  ASSERT_NE(begin, std::string::npos);
  ASSERT_NE(end, std::string::npos);
  const size_t start = begin + kBegin.size();
  if (std::getenv("CRYO_UPDATE_DOCS") != nullptr) {
    live::write_text(kPage, page.substr(0, start) + compatibility_text() + page.substr(end));
    return;
  }
  EXPECT_TRUE(page.substr(start, end - start) == compatibility_text())
      << "docs/compatibility.md is not what the tables say; update it with\n"
      << "  CRYO_UPDATE_DOCS=1 cryo_tests --gtest_filter=Compatibility.PageIsTrue";
}

}  // namespace
}  // namespace cryo::cli

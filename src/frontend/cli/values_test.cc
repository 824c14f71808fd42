#include "frontend/cli/values.h"

#include <gtest/gtest.h>

namespace cryo::cli {
namespace {

TEST(Values, NumbersAreDecimalAndWithinBounds) {
  EXPECT_EQ(parse_number("10", 1, 10).value(), 10U);
  for (const char* bad : {"", "0", "11", "-5", "+5", "5x", " 5", "0x5", "99999999999999999999"})
    EXPECT_FALSE(parse_number(bad, 1, 10)) << bad;
}

TEST(Values, SizesTakeASuffix) {
  EXPECT_EQ(parse_size("7").value(), 7U);
  EXPECT_EQ(parse_size("2K").value(), 2048U);
  EXPECT_EQ(parse_size("1M").value(), 1U << 20U);
  EXPECT_EQ(parse_size("3g").value(), 3ULL << 30U);
  for (const char* bad : {"", "K", "1T", "1MB", "18446744073709551615K"})
    EXPECT_FALSE(parse_size(bad)) << bad;
}

TEST(Values, CpuCapabilitiesAreAddedAndTakenAway) {
  const CpuCap all{.image = true, .cpu = true, .fpu = true, .instructions = true};
  EXPECT_EQ(parse_cpu_cap("").value(), all);
  EXPECT_EQ(parse_cpu_cap("all").value(), all);
  EXPECT_EQ(parse_cpu_cap("cpu,fpu,ins").value(), all);
  const CpuCap only_instructions{.image = true, .cpu = false, .fpu = false, .instructions = true};
  EXPECT_EQ(parse_cpu_cap("ins").value(), only_instructions);
  EXPECT_EQ(parse_cpu_cap("all,^cpu,^fpu").value(), only_instructions);
  const CpuCap none{.image = true, .cpu = false, .fpu = false, .instructions = false};
  EXPECT_EQ(parse_cpu_cap("none").value(), none);
  for (const char* bad : {"sse", "cpu,", "^", "CPU"}) EXPECT_FALSE(parse_cpu_cap(bad)) << bad;
}

TEST(Values, ExternalResourcesAreInHexadecimal) {
  CommonOptions options;
  ASSERT_TRUE(parse_external("file[1f:2a]", options));
  ASSERT_TRUE(parse_external("tty[8803:6]", options));
  EXPECT_EQ(options.external_files, (std::vector<ExternalFile>{{0x1f, 0x2a}}));
  EXPECT_EQ(options.external_ttys, (std::vector<ExternalTty>{{0x8803, 6}}));
  for (const char* bad : {"file", "file[1f]", "file[1f:2a", "file[1f:xy]", "file[1f:2a]:x",
                          "dir[1:2]", "file[100000000:1]"})
    EXPECT_FALSE(parse_external(bad, options)) << bad;
  const Result<void> later = parse_external("mnt[/x]:cookie", options);
  ASSERT_FALSE(later);
  EXPECT_EQ(later.error().kind(), ErrorKind::unsupported);
  EXPECT_EQ(later.error().message(), "--external mnt[...] is not supported yet");
}

TEST(Values, InheritedDescriptorsNameTheirFile) {
  EXPECT_EQ(parse_inherit_fd("fd[3]:pipe:[4711]").value(), (InheritFd{3, "pipe:[4711]"}));
  EXPECT_EQ(parse_inherit_fd("fd[10]:var/log/x").value(), (InheritFd{10, "var/log/x"}));
  EXPECT_EQ(parse_inherit_fd("fd[4]:file[1f:2a]").value(), (InheritFd{4, "file[1f:2a]"}));
  for (const char* bad : {"3:x", "fd[]:x", "fd[3]", "fd[3]:", "fd[3]x", "fd[-1]:x", "fe[3]:x"})
    EXPECT_FALSE(parse_inherit_fd(bad)) << bad;
}

TEST(Values, VerbosityIsAddedToOrSet) {
  EXPECT_EQ(parse_verbosity("", 2).value(), 3);
  EXPECT_EQ(parse_verbosity("v", 2).value(), 4);
  EXPECT_EQ(parse_verbosity("vvvvvv", 2).value(), 4);
  EXPECT_EQ(parse_verbosity("0", 2).value(), 0);
  EXPECT_EQ(parse_verbosity("4", 2).value(), 4);
  EXPECT_FALSE(parse_verbosity("x", 2));
}

}  // namespace
}  // namespace cryo::cli

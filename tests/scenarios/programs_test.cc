// Real programs, checkpointed in the middle of their work.
#include <gmock/gmock.h>

#include "tests/scenarios/program.h"

namespace cryo::live {
namespace {

PROGRAM_TEST(Xz, compresses_as_if_nothing_had_happened) {
  make_file("input", (3 << 20) + checkpoints() * (256 << 10));
  ASSERT_TRUE(start({"xz", "-4", "-T2", "--block-size=512KiB", "-k", "input"}));
  ASSERT_TRUE(wait_for_size("input.xz", 256 << 10));
  ASSERT_TRUE(checkpoint());
  ASSERT_TRUE(ends_with_status(0));
  ASSERT_TRUE(run({"sh", "-c", "xz -dc input.xz | cmp - input"}));
  ASSERT_TRUE(run({"sh", "-c", "xz -4 -T2 --block-size=512KiB -c input | cmp - input.xz"}));
}

// Works until it may end, and then does the same once more in a simple way.
constexpr const char* kPythonJob = R"(
import hashlib, os, threading
def link(digest, i):
    return hashlib.sha256(digest + b'%d' % i).digest()
class Chain(threading.Thread):
    def run(self):
        self.digest, self.length = b'', 0
        with open(self.name, 'wb') as links:
            while not os.path.exists('may-end'):
                self.digest = link(self.digest, self.length)
                self.length += 1
                links.write(self.digest)
                links.flush()
chains = [Chain(name='chain%d' % i) for i in range(4)]
for chain in chains: chain.start()
for chain in chains: chain.join()
for chain in chains:
    links = bytearray()
    digest = b''
    for i in range(chain.length):
        digest = link(digest, i)
        links += digest
    print(chain.name, 'right' if links == open(chain.name, 'rb').read() else 'wrong')
)";

PROGRAM_TEST(Python, finishes_job_with_threads_and_files) {
  ASSERT_TRUE(start({"python3", "-c", kPythonJob}));
  for (const char* chain : {"chain0", "chain1", "chain2", "chain3"}) {
    ASSERT_TRUE(wait_for_size(chain, 4096));
  }
  ASSERT_TRUE(checkpoint());
  ASSERT_TRUE(wait_for_size("chain0", text_of("chain0").size() + 4096));
  make_file("may-end", 0);
  ASSERT_TRUE(ends_with_status(0));
  EXPECT_EQ(output(), "chain0 right\nchain1 right\nchain2 right\nchain3 right\n");
}

// "1\n2\n3\n" and so on, as long as `text`.
std::string numbers_like(const std::string& text) {
  std::string numbers;
  for (int i = 1; numbers.size() < text.size(); i++) numbers += fmt::format("{}\n", i);
  return numbers;
}

PROGRAM_TEST(Perl, keeps_counting) {
  ASSERT_TRUE(start({"perl", "-e", "$| = 1; print ++$i, qq(\n) until -e q(may-end)"}));
  ASSERT_TRUE(wait_for_output("1000\n"));
  ASSERT_TRUE(checkpoint());
  ASSERT_TRUE(wait_for_size("../output", output().size() + 1000));
  make_file("may-end", 0);
  ASSERT_TRUE(ends_with_status(0));
  EXPECT_EQ(output(), numbers_like(output()));
}

// The look before the freeze meets files that are gone, or other files, a moment later.
constexpr const char* kOpener = R"(
$| = 1; print "begun\n";
until (-e 'may-end') {
  for (1..100) {
    open(my $null, '<', '/dev/null') or die; pipe(my $from, my $to) or die; open(my $self, '<', '.') or die;
    close($null); open(my $log, '>>', 'log') or die;
  }
}
print "end\n";)";

PROGRAM_TEST(Perl, opens_and_closes_all_the_time) {
  ASSERT_TRUE(start({"perl", "-e", kOpener}));
  ASSERT_TRUE(wait_for_output("begun\n"));
  ASSERT_TRUE(checkpoint());
  ASSERT_TRUE(works());
  make_file("may-end", 0);
  ASSERT_TRUE(ends_with_status(0));
  EXPECT_EQ(output(), "begun\nend\n");
}

constexpr const char* kAwkJob = R"(
BEGIN {
  while ((getline line < "may-end") < 0) {
    i++
    last[i % 1000] = last[i % 1000] " " i
    if (length(last[i % 1000]) > 500) last[i % 1000] = ""
    n = split("a b c " i, parts)
    if (n != 4 || parts[4] != i || sprintf("%x", i) !~ /^[0-9a-f]+$/) exit 1
    sum += i
    if (i % 1000 == 0) { print i; fflush() }
  }
  print sum == i * (i + 1) / 2 ? "right" : "wrong"
})";

PROGRAM_TEST(Gawk, keeps_counting) {
  ASSERT_TRUE(start({"gawk", kAwkJob}));
  ASSERT_TRUE(wait_for_output("5000\n"));
  ASSERT_TRUE(checkpoint());
  ASSERT_TRUE(wait_for_size("../output", output().size() + 100));
  make_file("may-end", 0);
  ASSERT_TRUE(ends_with_status(0));
  EXPECT_THAT(output(), testing::EndsWith("\nright\n"));
}

PROGRAM_TEST(Shell, keeps_counting) {
  ASSERT_TRUE(start({"sh", "-c", "while [ ! -e may-end ]; do i=$((i + 1)); echo $i; done"}));
  ASSERT_TRUE(wait_for_output("1000\n"));
  ASSERT_TRUE(checkpoint());
  ASSERT_TRUE(wait_for_size("../output", output().size() + 1000));
  make_file("may-end", 0);
  ASSERT_TRUE(ends_with_status(0));
  EXPECT_EQ(output(), numbers_like(output()));
}

// A debugger sees all threads of what was restored, and which libraries it has; the program goes on afterwards.
PROGRAM_TEST(Gdb, attaches_to_what_was_restored) {
  ASSERT_TRUE(start({"python3", "-c", kPythonJob}));
  for (const char* chain : {"chain0", "chain1", "chain2", "chain3"}) {
    ASSERT_TRUE(wait_for_size(chain, 4096));
  }
  ASSERT_TRUE(checkpoint());
  const std::string command = fmt::format(
      "gdb -nx -p {} -batch -ex 'info threads' -ex 'info sharedlibrary' -ex 'thread apply all bt' "
      "> gdb.txt 2>&1",
      pid());
  ASSERT_TRUE(run({"sh", "-c", command}));
  const std::string seen = text_of("gdb.txt");
  EXPECT_THAT(seen, testing::HasSubstr("libc.so.6"));
  EXPECT_THAT(seen, testing::HasSubstr("Thread 5 (Thread"));
  EXPECT_THAT(seen, testing::Not(testing::HasSubstr("Backtrace stopped")));
  EXPECT_THAT(seen, testing::HasSubstr("clone3 ()"));  // all the way down
  ASSERT_TRUE(wait_for_size("chain0", text_of("chain0").size() + 4096));
  make_file("may-end", 0);
  ASSERT_TRUE(ends_with_status(0));
  EXPECT_EQ(output(), "chain0 right\nchain1 right\nchain2 right\nchain3 right\n");
}

}  // namespace
}  // namespace cryo::live

// Real programs, checkpointed in the middle of their work.
#include "tests/scenarios/program.h"

namespace cryo::live {
namespace {

PROGRAM_TEST(Xz, compresses_as_if_nothing_had_happened) {
  make_file("input", 4 << 20);
  ASSERT_TRUE(start({"xz", "-3", "-T2", "--block-size=512KiB", "-k", "input"}));
  ASSERT_TRUE(wait_for_size("input.xz", 256 << 10));
  ASSERT_TRUE(checkpoint());
  ASSERT_TRUE(ends_with_status(0));
  ASSERT_TRUE(run({"sh", "-c", "xz -dc input.xz | cmp - input"}));
  ASSERT_TRUE(run({"sh", "-c", "xz -3 -T2 --block-size=512KiB -c input | cmp - input.xz"}));
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
    links = b''
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

PROGRAM_TEST(Generations, of_a_shell_loop) {
  ASSERT_TRUE(start({"sh", "-c", "while [ ! -e may-end ]; do i=$((i + 1)); echo $i; done"}));
  for (int generation = 1; generation <= 20; generation++) {
    ASSERT_TRUE(wait_for_size("../output", output().size() + 100)) << "generation " << generation;
    ASSERT_TRUE(checkpoint()) << "generation " << generation;
  }
  make_file("may-end", 0);
  ASSERT_TRUE(ends_with_status(0));
  EXPECT_EQ(output(), numbers_like(output()));
}

}  // namespace
}  // namespace cryo::live

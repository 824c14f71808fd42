// Programs of several processes, checkpointed in the middle of their work.
#include <gmock/gmock.h>

#include "tests/harness/text.h"
#include "tests/scenarios/program.h"

namespace cryo::live {
namespace {

// "1\n2\n3\n" and so on, as long as `text`.
std::string numbers_like(const std::string& text) {
  std::string numbers;
  for (int i = 1; numbers.size() < text.size(); i++) numbers += fmt::format("{}\n", i);
  return numbers;
}

constexpr const char* kJobs = R"(
for job in job1 job2 job3; do
  ( while [ ! -e may-end ]; do n=$((n + 1)); echo $n >&3; done 3>$job ) &
done
wait
echo end)";

PROGRAM_TEST(Bash, keeps_its_jobs) {
  ASSERT_TRUE(start({"bash", "-c", kJobs}));
  for (const char* job : {"job1", "job2", "job3"}) ASSERT_TRUE(wait_for_size(job, 2000));
  ASSERT_TRUE(checkpoint());
  for (const char* job : {"job1", "job2", "job3"})
    ASSERT_TRUE(wait_for_size(job, text_of(job).size() + 2000));
  make_file("may-end", 0);
  ASSERT_TRUE(ends_with_status(0));
  EXPECT_EQ(output(), "end\n");
  for (const char* job : {"job1", "job2", "job3"})
    EXPECT_EQ(text_of(job), numbers_like(text_of(job))) << job;
}

// What is on its way from one to the other arrives, once and in order.
constexpr const char* kPipeline = R"(
while [ ! -e may-end ]; do n=$((n + 1)); echo $n; done |
  gawk '{ if ($1 != NR) exit 1; if (NR % 1000 == 0) print > "progress"; fflush() } END { print "right" }')";

PROGRAM_TEST(Shell, keeps_a_pipeline) {
  ASSERT_TRUE(start({"sh", "-c", kPipeline}));
  ASSERT_TRUE(wait_for_size("progress", 100));
  ASSERT_TRUE(checkpoint());
  ASSERT_TRUE(wait_for_size("progress", text_of("progress").size() + 100));
  make_file("may-end", 0);
  ASSERT_TRUE(ends_with_status(0));
  EXPECT_EQ(output(), "right\n");
}

constexpr const char* kMakefile = R"(
parts := $(patsubst %.c,%.o,$(wildcard part*.c))
all: program again
program: $(parts)
	gcc -o $@ $^
# However fast the machine is, there is something to be done.
again:
	while [ ! -e may-end ]; do gcc -O1 -c part0.c -o again.o || exit 1; done
%.o: %.c
	gcc -O1 -c $< -o $@
)";

class MakeTest : public ProgramTest {
 protected:
  void make_project() {
    write_text(path("Makefile"), kMakefile);
    for (int i = 0; i < kParts; i++) {
      std::string part = "#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\n";
      for (int f = 0; f < 20; f++)
        part += fmt::format(
            "int f{}_{}(int n) {{ for (int i = 0; i < {}; i++) n = n * 31 + i; "
            "return n; }}\n",
            i, f, f + 3);
      write_text(path(fmt::format("part{}.c", i)), part);
    }
    write_text(path("part_main.c"), "int f0_1(int); int main(void) { return f0_1(1) == 0; }\n");
  }
  static constexpr int kParts = 24;
};

PROGRAM_TEST_OF(MakeTest, Make, builds_as_if_nothing_had_happened) {
  make_project();
  ASSERT_TRUE(start({"make", "-j4", "-s"}, {"TMPDIR=."}));
  ASSERT_TRUE(wait_for_size("part0.o", 1));
  ASSERT_TRUE(checkpoint());
  ASSERT_TRUE(wait_for_size("program", 1000));
  make_file("may-end", 0);
  ASSERT_TRUE(ends_with_status(0));
  ASSERT_TRUE(run({"sh", "-c", "mv program first && rm *.o && make -j4 -s && cmp program first"}));
}

constexpr const char* kPool = R"(
import multiprocessing, os
def square(n):
    return n, n * n
if __name__ == '__main__':
    multiprocessing.set_start_method('fork')
    with multiprocessing.Pool(3) as pool:
        done = 0
        while not os.path.exists('may-end'):
            for n, result in pool.imap_unordered(square, range(500), chunksize=7):
                assert result == n * n
            done += 1
            print('round', done, flush=True)
    print('right'))";

PROGRAM_TEST(Python, keeps_a_pool_of_processes) {
  ASSERT_TRUE(start({"python3", "-c", kPool}));
  ASSERT_TRUE(wait_for_output("round 3\n"));
  ASSERT_TRUE(checkpoint());
  ASSERT_TRUE(wait_for_size("../output", output().size() + 30));
  make_file("may-end", 0);
  ASSERT_TRUE(ends_with_status(0));
  EXPECT_THAT(output(), testing::EndsWith("\nright\n"));
}

// Every one of them is either there, or a zombie, or has been waited for.
constexpr const char* kForks = R"(
$| = 1; print "begun\n";
my $all = 0;
until (-e 'may-end') {
  my %children;
  for my $code (1..8) {
    my $pid = fork() // die;
    if (!$pid) { my $n = 0; $n += $_ for 1..1000; exit $code }
    $children{$pid} = $code;
  }
  for (1..8) {
    my $pid = wait();
    die "pid $pid\n" unless exists $children{$pid};
    die "status $?\n" unless $? == $children{$pid} << 8;
    $all++;
  }
}
print "right\n";)";

PROGRAM_TEST(Perl, forks_all_the_time) {
  ASSERT_TRUE(start({"perl", "-e", kForks}));
  ASSERT_TRUE(wait_for_output("begun\n"));
  ASSERT_TRUE(checkpoint());
  ASSERT_TRUE(works());
  make_file("may-end", 0);
  ASSERT_TRUE(ends_with_status(0));
  EXPECT_EQ(output(), "begun\nright\n");
}

}  // namespace
}  // namespace cryo::live

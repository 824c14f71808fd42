// Programs of other languages and C libraries (tests/programs), checkpointed in the middle of their work.
#include <gmock/gmock.h>
#include <unistd.h>

#include "tests/harness/text.h"
#include "tests/scenarios/program.h"

namespace cryo::live {
namespace {

using testing::EndsWith;
using testing::HasSubstr;
using testing::Not;

// For programs that print now and then until the file may-end exists.
class Printing : public ProgramTest {
 protected:
  void starts(const Words& argv, const std::string& what_it_needs) {
    ASSERT_EQ(access(built(what_it_needs).c_str(), R_OK), 0)
        << what_it_needs << " is not built: tools/install-deps test";
    ASSERT_TRUE(start(argv));
    ASSERT_TRUE(wait_for_size("../output", 40));
  }
  void goes_on_and_ends() {
    ASSERT_TRUE(wait_for_size("../output", output().size() + 40));
    make_file("may-end", 0);
    ASSERT_TRUE(ends_with_status(0));
  }
};

class StaticProgram : public Printing {
 protected:
  void runs(const std::string& name) {
    starts({built(name)}, name);
    ASSERT_TRUE(checkpoint());
    goes_on_and_ends();
    EXPECT_THAT(output(), EndsWith("\nright\n"));
  }
};

PROGRAM_TEST_OF(StaticProgram, CLibrary, glibc_static) { runs("counter-static"); }
PROGRAM_TEST_OF(StaticProgram, CLibrary, musl) { runs("counter-musl"); }
PROGRAM_TEST_OF(StaticProgram, CLibrary, musl_static) { runs("counter-musl-static"); }

PROGRAM_TEST_OF(Printing, Go, goroutines_go_on) {
  starts({built("churn-go")}, "churn-go");
  ASSERT_TRUE(checkpoint());
  goes_on_and_ends();
  EXPECT_THAT(output(), EndsWith("\nend\n"));
  EXPECT_THAT(output(), Not(HasSubstr("wrong")));
}

PROGRAM_TEST_OF(Printing, Rust, threads_go_on) {
  starts({built("churn-rust")}, "churn-rust");
  ASSERT_TRUE(checkpoint());
  goes_on_and_ends();
  EXPECT_THAT(output(), EndsWith("\nright 8\n"));
}

// Four threads that compute and allocate, with compiler and collector at work, and what the same prints undisturbed.
class Java : public Printing {
 protected:
  void computes(const Words& options) {
    Words argv = {"java", "-Xmx96m", "-cp", built("")};
    argv.insert(argv.end(), options.begin(), options.end());
    argv.insert(argv.end(), {"Churn", "4", "200"});
    starts(argv, "Churn.class");
    ASSERT_TRUE(wait_for_output("rounds 1"));
    ASSERT_TRUE(checkpoint());
    goes_on_and_ends();
    const std::string all = output();
    EXPECT_THAT(all, HasSubstr("\n" + sum() + "\n"));
    EXPECT_THAT(all, Not(HasSubstr("rror")));
  }

 private:
  std::string sum() {
    EXPECT_TRUE(
        run({"sh", "-c", fmt::format("java -Xmx96m -cp {} Churn 4 200 > whole", built(""))}));
    const std::vector<std::string> lines = split_lines(text_of("whole"));
    return lines.empty() ? "nothing" : lines.back();
  }
};

PROGRAM_TEST_OF(Java, Java, with_g1) { computes({"-XX:+UseG1GC"}); }
PROGRAM_TEST_OF(Java, Java, with_zgc) { computes({"-XX:+UseZGC"}); }

// The one that it has to give up for the peer: CRIU lets some of the calls fail.
PROGRAM_TEST(ThousandThreads, wait_on) {
  ASSERT_TRUE(start({built("thousand_waits"), by_cryo_alone() ? "0" : "1"}));
  ASSERT_TRUE(wait_for_output("ready\n"));
  ASSERT_TRUE(checkpoint());
  ASSERT_TRUE(works());
  make_file("may-end", 0);
  ASSERT_TRUE(ends_with_status(0));
  EXPECT_EQ(output(), "ready\nright 1000\n");
}

}  // namespace
}  // namespace cryo::live

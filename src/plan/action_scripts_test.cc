#include "plan/action_scripts.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "sys/file.h"
#include "sys/memory.h"
#include "sys/process.h"

namespace cryo {
namespace {

using testing::HasSubstr;

class ActionScriptsTest : public testing::Test {
 protected:
  void SetUp() override {
    directory_ = testing::TempDir() + "cryo_scripts_" + std::to_string(sys::getpid().value);
    std::filesystem::create_directory(directory_);
    work_ = sys::open(directory_, O_RDONLY | O_DIRECTORY).value();
    output_ = sys::memfd_create("log").value();
    log_.open(FdRef(output_));
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string script(const std::string& name, const std::string& body) {
    const std::string path = directory_ + "/" + name;
    Fd file = sys::open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755).value();
    (void)sys::write_all(file, "#!/bin/sh\n" + body);
    return path;
  }
  ActionScripts scripts(std::vector<std::string> all) {
    return {std::move(all), work_, work_, log_};
  }
  std::string output() {
    (void)sys::lseek(output_, 0, SEEK_SET);
    return sys::read_to_end(output_).value();
  }

  std::string directory_;
  Fd work_;
  Fd output_;
  Log log_;
};

TEST_F(ActionScriptsTest, RunInReverseOrderInTheWorkDirectory) {
  const std::string a = script("a", "echo a $# $PWD; echo error >&2");
  const std::string b = script("b", "echo b; cat");
  ASSERT_TRUE(scripts({a, b}).run(Action::pre_dump, Pid{5}));
  EXPECT_EQ(output(), "b\na 0 " + directory_ + "\nerror\n");
}

TEST_F(ActionScriptsTest, GetTheirVariables) {
  const std::string a = script("a", "env | grep ^CRTOOLS_ | sort; readlink $CRTOOLS_IMAGE_DIR");
  ASSERT_TRUE(scripts({a}).run(Action::post_restore, Pid{5}));
  EXPECT_EQ(output(),
            fmt::format("CRTOOLS_IMAGE_DIR=/proc/{}/fd/"
                        "{}\nCRTOOLS_INIT_PID=5\nCRTOOLS_SCRIPT_ACTION=post-restore\n{}\n",
                        sys::getpid(), work_.raw(), directory_));
}

TEST_F(ActionScriptsTest, GetNoPidBeforeThereIsOne) {
  const std::string a = script("a", "echo ${CRTOOLS_INIT_PID-none}");
  ASSERT_TRUE(scripts({a}).run(Action::pre_restore, Pid{}));
  EXPECT_EQ(output(), "none\n");
}

TEST_F(ActionScriptsTest, AllRunAndAllStatusesCount) {
  ActionScripts all = scripts({script("a", "echo a; exit 1"), script("b", "echo b; exit 6")});
  const Result<void> run = all.run(Action::post_dump, Pid{5});
  ASSERT_FALSE(run);
  EXPECT_EQ(all.failed_status(), 7);
  EXPECT_THAT(output(), HasSubstr("b\n"));
  EXPECT_THAT(output(), HasSubstr("a\n"));
}

TEST_F(ActionScriptsTest, AreOnlyLoggedWhenTheTasksRun) {
  ActionScripts all = scripts({script("a", "exit 1")});
  EXPECT_TRUE(all.run(Action::post_resume, Pid{5}));
  EXPECT_EQ(all.failed_status(), 0);
  EXPECT_THAT(output(), HasSubstr("post-resume script"));
}

TEST_F(ActionScriptsTest, ThatCannotBeExecutedFail) {
  const Result<void> run = scripts({directory_ + "/nothing here"}).run(Action::pre_dump, Pid{5});
  ASSERT_FALSE(run);
  EXPECT_THAT(output(), HasSubstr("No such file or directory"));
}

}  // namespace
}  // namespace cryo

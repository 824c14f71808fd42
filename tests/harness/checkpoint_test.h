// CHECKPOINT_TEST: a test whose body lives through a checkpoint.
//
//   CHECKPOINT_TEST(EventFd, keeps_counter) {
//     const int fd = eventfd(3, EFD_NONBLOCK);
//     checkpoint();                          // here the process is dumped, killed and restored
//     uint64_t value = 0;
//     ASSERT_EQ(read(fd, &value, 8), 8);
//     EXPECT_EQ(value, 3u);
//   }
//
// The body runs in a process of its own (the victim), as session leader, in an empty directory,
// with stdin on /dev/null, stdout and stderr on a file and no other descriptor. It becomes one test
// for each variant (variant.h), EventFdLive.keeps_counter_restore and so on. Traits may follow the
// name:
//
//   CHECKPOINT_TEST(Ghost, keeps_linked_file, dump_options({"--link-remap"}),
//                   except({"twice"}, "the remapped link of the first dump is in the way"))
//
// The victim's picture in /proc (proc_picture.h) is compared before
// and after: see proc_differs().
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "tests/harness/threads.h"
#include "tests/harness/tool.h"

namespace cryo::live {

class Victim;

// What the harness may look at and change while the victim is dead, between dump and restore.
struct Between {
  std::string directory;  // the victim's working directory
  std::string images;
  pid_t pid;
};

// What a test says about itself beside its body.
struct Traits {
  struct Exception {
    std::vector<std::string> variants;
    std::string reason;
  };
  std::vector<Exception> exceptions;
  Words dump_options;
  Words restore_options;
  std::function<void(const Between&)> between;
  std::vector<std::string> proc_differences;  // beginnings of keys
  std::string dump_refusal;
  std::string restore_refusal;
};
using Trait = std::function<void(Traits&)>;

// The base of every body: its members are what a body and its traits can use without a prefix.
class Body {
 public:
  virtual ~Body() = default;
  virtual void run() = 0;
  Victim* victim = nullptr;

 protected:
  // Returns when the harness has done with this process whatever the variant says. Call it as often
  // as you like. Not from two threads at once.
  void checkpoint();

  // These variants are skipped, with this reason.
  static Trait except(std::vector<std::string> variants, std::string reason);
  // Options for every dump or every restore, for cryo and for the peer.
  static Trait dump_options(Words options);
  static Trait restore_options(Words options);
  // Runs in the harness, after each dump and before its restore. May use EXPECT and ASSERT.
  static Trait between(std::function<void(const Between&)> action);
  // What /proc shows under keys that begin so may differ after the restore, for this reason.
  static Trait proc_differs(std::vector<std::string> keys, std::string reason);
  // The dump has to fail with this text in its log and to leave the victim as it was. The body goes
  // on after checkpoint() as usual. Makes one variant, `refused`, beside `off`.
  static Trait dump_refused(std::string text);
  // The same for the restore. Nothing may be left of the process: what follows checkpoint() never
  // runs.
  static Trait restore_refused(std::string text);
};

struct TestName {
  const char* suite;
  const char* name;
  const char* file;
  int line;
};

// Registers one test for each variant. Ends the program when a trait names an unknown variant.
bool add_checkpoint_tests(const TestName& name, const std::vector<Trait>& traits,
                          std::function<std::unique_ptr<Body>()> make_body);

}  // namespace cryo::live

#define CHECKPOINT_TEST(suite, name, ...)                                                  \
  class suite##_##name##_Body final : public ::cryo::live::Body {                          \
   public:                                                                                 \
    void run() override;                                                                   \
    static std::vector<::cryo::live::Trait> traits() { return {__VA_ARGS__}; }             \
  };                                                                                       \
  [[maybe_unused]] const bool suite##_##name##_added = ::cryo::live::add_checkpoint_tests( \
      {#suite, #name, __FILE__, __LINE__}, suite##_##name##_Body::traits(),                \
      [] { return std::unique_ptr<::cryo::live::Body>(new suite##_##name##_Body); });      \
  void suite##_##name##_Body::run()

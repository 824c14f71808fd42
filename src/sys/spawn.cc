#include "sys/spawn.h"

#include <fcntl.h>
#include <spawn.h>
#include <unistd.h>

#include <csignal>

#include "sys/call.h"

namespace cryo::sys {
namespace {

std::vector<char*> pointers_to(const std::vector<std::string>& words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (const std::string& word : words) pointers.push_back(const_cast<char*>(word.c_str()));
  pointers.push_back(nullptr);
  return pointers;
}

// The posix_spawn objects with their ends.
class SpawnSetup {
 public:
  explicit SpawnSetup(const Program& program) {
    posix_spawn_file_actions_init(&actions_);
    posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions_, program.output.raw(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions_, program.output.raw(), STDERR_FILENO);
    posix_spawn_file_actions_addfchdir_np(&actions_, program.directory.raw());
    sigset_t none;
    sigemptyset(&none);
    posix_spawnattr_init(&attributes_);
    posix_spawnattr_setsigmask(&attributes_, &none);
    posix_spawnattr_setflags(&attributes_, POSIX_SPAWN_SETSIGMASK);
  }
  SpawnSetup(const SpawnSetup&) = delete;
  SpawnSetup& operator=(const SpawnSetup&) = delete;
  ~SpawnSetup() {
    posix_spawn_file_actions_destroy(&actions_);
    posix_spawnattr_destroy(&attributes_);
  }
  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_;
  posix_spawnattr_t attributes_;
};

}  // namespace

Result<Pid> spawn(const Program& program) {
  CHECK(!program.words.empty());
  const SpawnSetup setup(program);
  const std::vector<char*> words = pointers_to(program.words);
  const std::vector<char*> variables = pointers_to(program.environment);
  pid_t pid = 0;
  const int failure = posix_spawnp(&pid, words[0], setup.actions(), setup.attributes(),
                                   words.data(), variables.data());
  if (failure != 0) return Error::os(failure, fmt::format("executing {}", program.words[0]));
  return Pid{pid};
}

Error exec(const std::vector<std::string>& words) {
  CHECK(!words.empty());
  const std::vector<char*> pointers = pointers_to(words);
  (void)::execvp(pointers[0], pointers.data());
  const int err = errno;
  return Error::os(err, fmt::format("executing {}", words[0]));
}

std::vector<std::string> environment() {
  std::vector<std::string> all;
  for (char** at = environ; at != nullptr && *at != nullptr; ++at) all.emplace_back(*at);
  return all;
}

}  // namespace cryo::sys

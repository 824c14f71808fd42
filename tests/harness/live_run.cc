#include "tests/harness/live_run.h"

#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include "procfs/stat.h"
#include "tests/harness/text.h"
#include "tests/harness/victim.h"

namespace cryo::live {
namespace {

constexpr std::chrono::seconds kTimeLimit{60};

Error unexpected(std::string what) { return Error::of(ErrorKind::os, std::move(what)); }

Tool tool_for(By by) { return by == By::cryo ? tool_under_test() : *peer(); }

Result<void> must_refuse(const ToolRun& run, const std::string& text) {
  if (!exited_with(run.wait_status, 1)) {
    return unexpected("should have been refused with exit status 1:\n" + run.report());
  }
  if ((run.log + run.output).find(text) == std::string::npos) {
    return unexpected(fmt::format("refused, but without a word of '{}':\n{}", text, run.report()));
  }
  return {};
}

// What matters of a process that has ended; empty if it has not.
std::string last_picture(pid_t pid) {
  const Result<procfs::TaskStat> stat =
      procfs::parse_stat(read_text(fmt::format("/proc/{}/stat", pid)));
  if (!stat || !stat.value().zombie()) return "";
  const procfs::TaskStat& s = stat.value();
  return fmt::format("{} child of {} in group {} and session {}: status {}", s.comm, s.ppid, s.pgrp,
                     s.session, s.exit_code);
}

}  // namespace

LiveRun::LiveRun(std::string test_name, const Variant& variant, const Traits& traits)
    : test_name_(std::move(test_name)),
      variant_(variant),
      traits_(traits),
      files_(test_name_),
      deadline_(deadline_in(kTimeLimit)) {}

Result<Outcome> LiveRun::run() {
  TRY(start());
  while (TRY(next_checkpoint())) {
    const Pictures before = TRY(pictures());
    for (const Step& step : variant_.steps) {
      TRY(perform(step));
      if (refused_) return Outcome::passed;
      compare(before, TRY(pictures()));
    }
    (*shared_)->released++;
    futex_wake((*shared_)->released);
  }
  return last_words();
}

// Taken when the victim sleeps in checkpoint() again.
Result<LiveRun::Pictures> LiveRun::pictures() const {
  Pictures all;
  if (variant_.steps.empty()) return all;
  const std::string path =
      fmt::format("/proc/{}/task/{}/syscall", target_.pid(), (*shared_)->checkpointer.load());
  // A wait with a time limit that a stop has interrupted goes on as restart_syscall.
  const std::string beginning = fmt::format("{} ", SYS_futex);
  const std::string again = fmt::format("{} ", SYS_restart_syscall);
  const auto sleeps = [&] {
    const std::string call = read_text(path);
    return call.starts_with(beginning) || call.starts_with(again);
  };
  if (!wait_until(sleeps, deadline_)) {
    return unexpected("the victim does not sleep in checkpoint(), but is here: " + read_text(path));
  }
  all[target_.pid()] = TRY(ProcPicture::of(target_.pid()));
  for (const pid_t pid : descendants_of(target_.pid())) {
    const std::string end = last_picture(pid);
    if (end.empty())
      all[pid] = TRY(ProcPicture::of(pid));
    else
      all[pid] = {pid, {{"zombie", end}}};
  }
  return all;
}

void LiveRun::compare(const Pictures& before, const Pictures& after) {
  std::vector<ProcDifference> found;
  for (const auto& [pid, picture] : before) {
    const auto same = after.find(pid);
    if (same == after.end()) {
      found.push_back({fmt::format("process {}", pid), "there", "gone"});
      continue;
    }
    std::vector<ProcDifference> some = differences(picture, same->second, traits_.proc_differences);
    // CRIU lets children inherit mappings, which stay accounted ("ac") as what can be written to, so that neighbours
    // become one.
    if (!variant_.by_cryo_alone() && before.size() > 1)
      std::erase_if(some, [](const ProcDifference& d) { return d.key.starts_with("smaps/"); });
    std::ranges::move(some, std::back_inserter(found));
  }
  if (!variant_.by_cryo_alone()) std::erase_if(found, is_lost_by_peer);
  if (!found.empty() && proc_differences_.empty()) proc_differences_ = to_string(found);
}

Result<void> LiveRun::start() {
  TRY(files_.make("cwd"));
  shared_.emplace(TRY(SharedPage::map(files_.path("sync"))));

  SpawnOptions options;
  options.argv = {read_link("/proc/self/exe"), "--gtest_filter=" + test_name_, "--gtest_color=no"};
  options.environment = plain_environment();
  options.environment.push_back(std::string(kVictimVariable) + "=" + files_.directory());
  options.directory = files_.path("cwd");
  options.output = files_.path("output");
  options.new_session = true;
  options.dies_with_parent = true;
  return target_.start(options);
}

Result<bool> LiveRun::next_checkpoint() {
  SharedState& state = **shared_;
  for (;;) {
    const uint32_t reached = state.reached;
    if (reached > state.released) return true;
    if (state.outcome != Outcome::none || target_.process().has_ended()) return false;
    if (milliseconds_left(deadline_) == 0) {
      return unexpected("the victim neither ended nor came to a checkpoint in time; it is in:\n" +
                        read_text(fmt::format("/proc/{}/syscall", target_.pid())) +
                        read_text(fmt::format("/proc/{}/status", target_.pid())));
    }
    // Short, because nobody wakes us when the victim dies.
    futex_wait(state.reached, reached, std::chrono::milliseconds(50));
  }
}

Result<void> LiveRun::perform(const Step& step) {
  const std::string images = files_.new_images();
  const Tool tool = tool_for(step.dump);
  switch (step.kind) {
    case Step::Kind::restart:
      TRY(target_.dump_and_kill(tool, images, traits_.dump_options, deadline_));
      return restore(step, images);
    case Step::Kind::leave_running:
      return target_.dump_and_leave(tool, images, traits_.dump_options, deadline_);
    case Step::Kind::kill_running:
      TRY(target_.dump_and_leave(tool, images, traits_.dump_options, deadline_));
      TRY(target_.kill(deadline_));
      return restore(step, images);
    case Step::Kind::refused_dump:
      return expect_dump_refused(images);
    case Step::Kind::refused_restore:
      TRY(target_.dump_and_kill(tool, images, traits_.dump_options, deadline_));
      return expect_restore_refused(images);
  }
  return {};
}

void LiveRun::act_between(const std::string& images) const {
  if (traits_.between) traits_.between({files_.path("cwd"), images, target_.pid()});
}

Result<void> LiveRun::restore(const Step& step, const std::string& images) {
  act_between(images);
  return target_.restore(tool_for(step.restore), images, traits_.restore_options, deadline_);
}

Result<void> LiveRun::expect_dump_refused(const std::string& images) {
  const ToolRun run =
      TRY(dump(tool_under_test(), target_.pid(), images, traits_.dump_options, deadline_));
  TRY(must_refuse(run, traits_.dump_refusal));
  return target_.check_undisturbed();
}

Result<void> LiveRun::expect_restore_refused(const std::string& images) {
  act_between(images);
  const ToolRun run =
      TRY(live::restore(tool_under_test(), images, traits_.restore_options, deadline_));
  TRY(must_refuse(run, traits_.restore_refusal));
  refused_ = true;
  // What it killed itself may still have to be reaped.
  const auto gone = [&] {
    waitpid(target_.pid(), nullptr, WNOHANG | __WALL);
    return kill(target_.pid(), 0) != 0;
  };
  if (wait_until(gone, deadline_in(std::chrono::seconds(5)))) return {};
  return unexpected("the refused restore has left a process");
}

Result<Outcome> LiveRun::last_words() {
  const int status = TRY(target_.process().wait(deadline_));
  const Outcome outcome = (*shared_)->outcome;
  if (outcome == Outcome::none || !exited_with(status, outcome == Outcome::failed ? 1 : 0)) {
    return unexpected("the victim ended too early: " + describe_wait_status(status));
  }
  if (outcome == Outcome::passed && (*shared_)->reached == 0) {
    return unexpected("the body never called checkpoint()");
  }
  if (const int left = target_.clean_up(); left > 0 && outcome == Outcome::passed) {
    return unexpected(fmt::format("the victim left {} processes behind", left));
  }
  return outcome;
}

std::string LiveRun::victim_output() const { return read_text(files_.path("output")); }

}  // namespace cryo::live

// The end of a restore: every thread leaves its puppet for what it was about to do when it was dumped.
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstring>

#include "arch/core_image.h"
#include "arch/interrupted.h"
#include "engine/stage.h"
#include "engine/stopped_state.h"
#include "kinds/mm/vma_status.h"
#include "sys/file.h"
#include "sys/process.h"
#include "sys/ptrace.h"

namespace cryo {

Result<void> Stage::stop_all() {
  for (const Puppet& puppet : puppets_) TRY(puppet.task().interrupt());
  for (const Puppet& puppet : puppets_) {
    Running running = puppet.task();
    stopped_.push_back(TRY(std::move(running).wait_for_interrupt()));
  }
  return {};
}

namespace {

constexpr uint64_t kMostVdso = 1 << 20;

// 0 if it is not there.
uint64_t find_in(FdRef mem, uint64_t start, uint64_t end) {
  const std::span<const std::byte> wanted = arch::syscall_instruction();
  std::vector<std::byte> text(end - start);
  if (!sys::pread_all(mem, text.data(), text.size(), start)) return 0;
  const auto at = std::search(text.begin(), text.end(), wanted.begin(), wanted.end());
  return at == text.end() ? 0 : start + static_cast<uint64_t>(at - text.begin());
}

}  // namespace

Result<uint64_t> Stage::find_syscall_instruction() const {
  const Fd mem = TRY(proc_->open("mem", O_RDONLY));
  // Where it was in the image it is as a rule; to read all mappings takes a while if there are many.
  for (const pb::vma_entry& vma : image_->mm.vmas()) {
    const bool is_vdso = (vma.status() & kVmaVdso) != 0 && vma.end() - vma.start() <= kMostVdso;
    const uint64_t found = is_vdso ? find_in(mem, vma.start(), vma.end()) : 0;
    if (found != 0) return found;
  }
  const std::vector<procfs::Vma> vmas = TRY(proc_->maps());
  for (const procfs::Vma& vma : vmas) {
    const uint64_t found = vma.name == "[vdso]" ? find_in(mem, vma.start, vma.end) : 0;
    if (found != 0) return found;
  }
  return Error::of(ErrorKind::bug, "no system call instruction in the vDSO");
}

Result<void> Stage::unmap_area() {
  const Stopped& leader = stopped_[0];
  const uint64_t instruction = TRY(find_syscall_instruction());
  const auto unmap = [&](uint64_t start, uint64_t size) -> Result<void> {
    arch::Registers registers = TRY(leader.registers());
    registers.call(instruction, SYS_munmap, {start, size, 0, 0, 0, 0});
    TRY(leader.set_registers(registers));
    const int64_t result = TRY(leader.execute_call());
    if (result != 0)
      return Error::os(static_cast<int>(-result),
                       fmt::format("in the task: munmap({:#x}, {})", start, size));
    return {};
  };
  TRY(unmap(area_->remote(), area_->size()));
  const auto& vmas = image_->mm.vmas();
  if (std::ranges::any_of(vmas,
                          [](const pb::vma_entry& vma) { return (vma.status() & kVmaVdso) != 0; }))
    return {};
  // The task had no vDSO. Ours goes last of all: the instruction is in it, and none is executed after it.
  for (const bool code : {false, true})
    for (const SpecialMapping& special : restore_->special)
      if ((special.name == "[vdso]") == code) TRY(unmap(special.parked, special.size));
  return {};
}

// Gives a thread the time to fall asleep.
Result<void> Stage::let_it_sleep(Tid tid) const {
  for (int tries = 0; tries < 1000; ++tries) {
    const std::string text = TRY(sys::read_file(proc_->dir(), fmt::format("task/{}/stat", tid)));
    if (text.find(") S ") != std::string::npos) break;
    sys::sched_yield();
  }
  return {};
}

// Whether the thread has taken up its wait again (Phase::wait), so that the kernel can continue it. It may not have
// come to it yet, or its time is over already.
Result<bool> Stage::wait_until_it_waits(size_t index) {
  Stopped& thread = stopped_[index];
  if (!image_->threads[index].extra.interrupted_call().has_left_ns()) return false;
  for (;;) {
    const arch::Registers registers = TRY(thread.registers());
    const std::optional<arch::InterruptedCall> call = registers.interrupted_call();
    if (call && call->restart == arch::Restart::restart_block) return true;
    if (call || !puppets_[index].is_under_way()) return false;
    Running running = TRY(std::move(thread).resume());
    TRY(let_it_sleep(running.tid()));
    TRY(running.interrupt());
    thread = TRY(std::move(running).wait_for_interrupt());
  }
}

namespace {

// In the images an interrupted call is about to start again. Here the kernel is to decide that, as it would have
// at the stop: with a handler to run first, some calls fail instead.
void interrupt_again(const pb::cryo_interrupted_call& image, bool waiting,
                     arch::Registers& registers) {
  constexpr uint64_t kSoon = 1'000'000'000;
  if (!registers.is_in_front_of(image.nr()) || image.restart() > 3) return;
  auto restart = static_cast<arch::Restart>(image.restart());
  if (restart == arch::Restart::restart_block && !waiting) {
    // It has returned at once: its time was over, or what it waits for was there.
    if (image.has_left_ns() && image.left_ns() < kSoon) {
      registers.skip_call(arch::timed_wait(image.nr()) == arch::TimedWait::futex ? -ETIMEDOUT : 0);
      return;
    }
    restart = arch::Restart::nohand;
  }
  registers.enter({image.nr(), restart});
}

// The signal that stopped it before, as waitpid shows it, if that can stop it now. In an orphaned process group, such as
// that of a session leader, only SIGSTOP can.
int stop_signal(const TaskImage& image) {
  const auto signal = static_cast<int>(image.tc().stop_signo());
  if (signal != SIGTSTP && signal != SIGTTIN && signal != SIGTTOU) return SIGSTOP;
  const int entry = signal - 1 - (signal > SIGKILL ? 1 : 0) - (signal > SIGSTOP ? 1 : 0);
  const bool is_default =
      entry < image.tc().sigactions_size() && image.tc().sigactions(entry).sigaction() == 0;
  const bool is_blocked = (image.tc().blk_sigset() & sys::sig_bit(signal)) != 0;
  const bool is_orphaned = image.node.sid() == image.node.pid();
  return is_default && !is_blocked && !is_orphaned ? signal : SIGSTOP;
}

// A SIGSTOP was pending: the kinds leave it to us.
bool is_about_to_stop(const TaskImage& image) {
  const auto has_stop = [](const pb::signal_queue_entry& queue) {
    return std::ranges::any_of(queue.signals(), [](const pb::siginfo_entry& entry) {
      int signal = 0;
      if (entry.siginfo().size() >= sizeof(signal))
        std::memcpy(&signal, entry.siginfo().data(), sizeof(signal));
      return signal == SIGSTOP;
    });
  };
  return has_stop(image.tc().signals_s()) ||
         std::ranges::any_of(image.threads, [&](const ThreadImage& thread) {
           return has_stop(thread.core.thread_core().signals_p());
         });
}

Result<void> set_dispatch(const ThreadImage& thread) {
  const pb::cryo_dispatch_entry& entry = thread.extra.dispatch();
  return sys::ptrace_set_syscall_user_dispatch(
      thread.tid, {PR_SYS_DISPATCH_ON, entry.selector(), entry.offset(), entry.length()});
}

}  // namespace

Result<void> Stage::prepare_to_go() {
  TRY(stop_all());
  std::vector<bool> waiting;
  for (size_t i = 0; i < stopped_.size(); ++i) waiting.push_back(TRY(wait_until_it_waits(i)));
  TRY(unmap_area());
  for (size_t i = 0; i < stopped_.size(); ++i) {
    const ThreadImage& image = image_->threads[i];
    arch::ThreadState state = TRY(arch::decode_thread(image.core));
    if (image.extra.has_interrupted_call())
      interrupt_again(image.extra.interrupted_call(), waiting[i], state.general);
    const uint64_t mask =
        i == 0 ? image_->tc().blk_sigset() : image.core.thread_core().blk_sigset();
    TRY(stopped_[i].set_signal_mask(mask));
    TRY_IN(stopped_[i].set_thread_state(state), "setting the registers of thread {}", image.tid);
    // Not earlier: a thread that dispatches its system calls could not make ours.
    if (image.extra.has_dispatch())
      TRY_IN(set_dispatch(image), "setting the system call dispatch of thread {}", image.tid);
  }
  return {};
}

Result<void> Stage::stop_again(bool wanted) const {
  const bool was_stopped = image_->tc().task_state() == kTaskStopped;
  if (!wanted && !was_stopped && !is_about_to_stop(*image_)) return {};
  return sys::kill(pid(), stop_signal(*image_));
}

Result<void> Stage::outlive_us() const {
  for (const Stopped& thread : stopped_) TRY(sys::ptrace_setoptions(thread.tid(), 0));
  return {};
}

Result<void> Stage::let_go() {
  for (Stopped& thread : stopped_) TRY(std::move(thread).detach());
  return {};
}

void Stage::bury() {
  for (size_t i = tids_.size(); i-- > 0;)
    for (;;) {
      const Result<sys::WaitStatus> status = tracer_->wait(tids_[i]);
      if (!status || status.value().dead()) break;
    }
  tids_.clear();
}

}  // namespace cryo

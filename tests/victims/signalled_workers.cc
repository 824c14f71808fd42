#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/time.h>

#include <atomic>
#include <cerrno>

#include "tests/victims/channel.h"
#include "tests/victims/interruptible_wait.h"
#include "tests/victims/self_checking.h"

namespace cryo::victim {
namespace {

constexpr timespec kPause = {0, 3'000'000};
// A signal that has not done its work after that is lost.
constexpr int64_t kLost = 10'000'000'000;

void handle(int signal, int flags, void (*handler)(int, siginfo_t*, void*)) {
  struct sigaction action = {};
  action.sa_sigaction = handler;
  action.sa_flags = SA_SIGINFO | flags;
  sigaction(signal, &action, nullptr);
}

void change_mask(int how, int signal) {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, signal);
  pthread_sigmask(how, &set, nullptr);
}

void pause_a_moment() { nanosleep(&kPause, nullptr); }

// Every signal interrupts something: waits until it has, or complains.
void wait_for(const std::atomic<uint64_t>& count, uint64_t wanted, const char* what) {
  const int64_t end = now_ns() + kLost;
  while (count < wanted) {
    if (now_ns() > end) {
      complain(fmt::format("{}: {} of {}", what, count.load(), wanted));
      return;
    }
    pause_a_moment();
  }
}

// An interval timer of 1 ms that interrupts, with SA_RESTART, one thread's blocking wait.
std::atomic<uint64_t> alarms{0};
void on_alarm(int, siginfo_t*, void*) { alarms++; }

Channel& line() {
  static Channel channel;
  return channel;
}

void start_alarms() {
  handle(SIGALRM, SA_RESTART, on_alarm);
  change_mask(SIG_UNBLOCK, SIGALRM);
  const itimerval every_millisecond = {{0, 1000}, {0, 1000}};
  setitimer(ITIMER_REAL, &every_millisecond, nullptr);
}

void wait_through_alarms() {
  const uint64_t alarms_before = alarms;
  if (line().receive_next() % 16 == 0)
    wait_for(alarms, alarms_before + 1, "the interval timer has stopped");
}

void feed_waiter() {
  line().send();
  pause_a_moment();
}

// A thread that blocks in a wait that only EINTR can end, and one that sends it signals.
std::atomic<pthread_t> blocked_waiter{0};
std::atomic<uint64_t> waits_begun{0}, waits_hit{0}, waits_interrupted{0};

void on_interruption(int, siginfo_t*, void* context_pointer) {
  const auto& context = *static_cast<const ucontext_t*>(context_pointer);
  // Just before the call is where a restart leads, too. To be there by chance is a matter of one
  // instruction in milliseconds. After a dump that was killed, a signal may look as if it had come there.
  if (program_counter(context) == interruptible_wait_call) note_interruption();
  if (program_counter(context) != interruptible_wait_after) return;
  if (answer_of_call(context) == -EINTR) waits_hit++;
}

void prepare_interruptions() {
  handle(SIGUSR1, 0, on_interruption);
  change_mask(SIG_UNBLOCK, SIGUSR1);
  blocked_waiter = pthread_self();
}

void wait_until_interrupted() {
  static const std::atomic<uint32_t> never_changes{0};
  waits_begun++;
  expect(interruptible_wait(&never_changes, 0) == -EINTR, "a wait ended without EINTR");
  waits_interrupted++;
}

void interrupt_waits() {
  while (blocked_waiter == 0) pause_a_moment();
  const uint64_t round = waits_interrupted;
  while (waits_begun == round) pause_a_moment();
  pause_a_moment();
  pthread_kill(blocked_waiter, SIGUSR1);
  pause_a_moment();
  // A signal that came before the call has hit nothing, and the next round sends another.
  if (waits_hit > round) wait_for(waits_interrupted, round + 1, "a wait was to end with EINTR");
}

// A signal that is open only while its thread waits in ppoll: exactly one EINTR for each.
std::atomic<pthread_t> poller{0};
std::atomic<uint64_t> polls_interrupted{0}, polls_handled{0};
void on_poll_signal(int, siginfo_t*, void*) { polls_handled++; }

void prepare_poll() {
  handle(SIGUSR2, SA_RESTART, on_poll_signal);
  change_mask(SIG_BLOCK, SIGUSR2);
  poller = pthread_self();
}

void wait_in_ppoll() {
  sigset_t open;
  pthread_sigmask(SIG_BLOCK, nullptr, &open);
  sigdelset(&open, SIGUSR2);
  expect(ppoll(nullptr, 0, nullptr, &open) == -1 && errno == EINTR, "ppoll ended without EINTR");
  const uint64_t round = ++polls_interrupted;
  expect(polls_handled == round, "ppoll ended, but its signal was not handled once");
}

void interrupt_poll() {
  while (poller == 0) pause_a_moment();
  const uint64_t round = polls_interrupted;
  pthread_kill(poller, SIGUSR2);
  wait_for(polls_interrupted, round + 1, "a signal did not end ppoll");
  pause_a_moment();
}

// Queued signals with values: all of them, in their order.
constexpr int kQueued = 6;  // + SIGRTMIN
std::atomic<pthread_t> receiver{0};
std::atomic<uint64_t> received{0};

void prepare_receiver() {
  change_mask(SIG_BLOCK, SIGRTMIN + kQueued);
  receiver = pthread_self();
}

void receive_queued() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGRTMIN + kQueued);
  siginfo_t info = {};
  const int answer = sigwaitinfo(&set, &info);
  if (answer == -1 && errno == EINTR) return note_interruption();
  expect(answer == SIGRTMIN + kQueued, "sigwaitinfo failed");
  expect(static_cast<uint64_t>(info.si_value.sival_int) == received, "a queued signal is missing");
  received++;
}

void send_queued() {
  static uint64_t sent = 0;
  while (receiver == 0) pause_a_moment();
  for (int i = 0; i < 8; i++) {
    sigval value = {};
    value.sival_int = static_cast<int>(sent++);
    expect(pthread_sigqueue(receiver, SIGRTMIN + kQueued, value) == 0, "sigqueue failed");
  }
  wait_for(received, sent, "queued signals are missing");
  pause_a_moment();
}

}  // namespace

std::vector<Worker> signalled_workers() {
  for (int signal : {SIGALRM, SIGUSR1, SIGUSR2}) change_mask(SIG_BLOCK, signal);
  return {{"alarmed_waiter", wait_through_alarms, start_alarms},
          {"feeder", feed_waiter},
          {"blocked_waiter", wait_until_interrupted, prepare_interruptions},
          {"interrupter", interrupt_waits},
          {"poller", wait_in_ppoll, prepare_poll},
          {"poll_waker", interrupt_poll},
          {"receiver", receive_queued, prepare_receiver},
          {"sender", send_queued}};
}

}  // namespace cryo::victim

/* The puppet: a loop that runs batches of raw system calls in a foreign task and knows nothing of
 * what they mean. No libc, no data, no floating point; its stack lies in the shared area.
 *
 * When the coordinator dies (robust futex), a puppet of a dump
 * undoes what its calls left behind and gives the task back through the thunk (see thunk.h); one
 * of a restore ends the half-made task. */
#include "puppet/abi.h"

#include "puppet_asm.h" /* puppet_syscall, puppet_spawn, puppet_leave, puppet_pause, numbers */

enum {
  kFutexWait = 0,
  kFutexWake = 1,
  kOwnerDied = 0x40000000,
  kFutex32 = 2, /* FUTEX2_SIZE_U32: shared, not private */
  kSaRestart = 0x10000000,
  kYields = 1000, /* before naps, while a leader waits for its peers */
  kNap = 1000000, /* ns */
  kMonotonic = 1, /* CLOCK_MONOTONIC */
  kSecond = 1000000000,
  kBetweenLooks = 100000000, /* ns */
  kPatience = 300,           /* naps for a peer that may never have come in */
};

struct waitv {
  uint64_t value, address;
  uint32_t flags, unused;
};

struct timespec64 {
  int64_t sec, nsec;
};

struct kernel_sigaction {
  uint64_t handler, flags, restorer, mask;
};

static long call1(long nr, uint64_t a) { return puppet_syscall(nr, a, 0, 0, 0, 0, 0); }
static long call4(long nr, uint64_t a, uint64_t b, uint64_t c, uint64_t d) {
  return puppet_syscall(nr, a, b, c, d, 0, 0);
}

static int coordinator_died(const struct puppet_area* area) {
  return (__atomic_load_n(&area->coordinator, __ATOMIC_ACQUIRE) & kOwnerDied) != 0;
}

static void forget_fd(struct puppet_slot* slot, int32_t fd) {
  for (uint32_t i = 0; i < slot->undo_fd_count; ++i)
    if (slot->undo_fds[i] == fd) slot->undo_fds[i] = slot->undo_fds[--slot->undo_fd_count];
}

static void remember_fd(struct puppet_slot* slot, int32_t fd) {
  if (slot->undo_fd_count < PUPPET_MOST_UNDO_FDS) slot->undo_fds[slot->undo_fd_count++] = fd;
}

/* Whether a handler that waits for the unmasked signals would have made the interrupted call fail
 * with EINTR: then it must not be restarted. */
static int wants_eintr(const struct puppet_slot* slot) {
  if (slot->restart != PUPPET_RESTART_SYS && slot->restart != PUPPET_RESTART_NOHAND) return 0;
  uint64_t pending = 0;
  (void)puppet_syscall(NR_rt_sigpending, (uint64_t)(uintptr_t)&pending, 8, 0, 0, 0, 0);
  pending &= ~slot->mask;
  for (uint64_t sig = 1; sig <= 64; ++sig) {
    if ((pending >> (sig - 1) & 1) == 0) continue;
    struct kernel_sigaction action = {0, 0, 0, 0};
    (void)call4(NR_rt_sigaction, sig, 0, (uint64_t)(uintptr_t)&action, 8);
    if (action.handler <= 1) continue; /* SIG_DFL, SIG_IGN */
    if (slot->restart == PUPPET_RESTART_NOHAND || (action.flags & kSaRestart) == 0) return 1;
  }
  return 0;
}

static long run_call(struct puppet_slot* slot, struct puppet_call* call) {
  if (call->flags & PUPPET_SPAWN) return puppet_spawn(call->arg[0], call->arg[1], call->arg[2]);
  if (call->flags & PUPPET_COMPAT)
    return puppet_compat_syscall(call->nr, call->arg[0], call->arg[1], call->arg[2], call->arg[3],
                                 call->arg[4]);
  const long result = puppet_syscall(call->nr, call->arg[0], call->arg[1], call->arg[2],
                                     call->arg[3], call->arg[4], call->arg[5]);
  if (result < 0) return result;
  if (call->flags & PUPPET_RESULT_IS_FD) remember_fd(slot, (int32_t)result);
  if (call->flags & PUPPET_CLOSES_FD) forget_fd(slot, (int32_t)call->arg[0]);
  if (call->flags & PUPPET_FDS_AT_ARG) {
    const int32_t* fds = (const int32_t*)(uintptr_t)call->arg[call->fds_arg];
    for (uint32_t i = 0; i < call->fds_count; ++i) remember_fd(slot, fds[i]);
  }
  return result;
}

static uint32_t peers_state(const struct puppet_area* area) {
  uint32_t most = PUPPET_PEER_OUT;
  for (int i = 0; i < PUPPET_MOST_PEERS; ++i) {
    const uint32_t state = __atomic_load_n(&area->peers[i], __ATOMIC_ACQUIRE);
    if (state > most) most = state;
  }
  return most;
}

/* The area must not go away under a peer that is inside, however long that takes. One that was moving when
 * the coordinator died runs by now if it is inside, so a while is enough. */
static void wait_for_peers(const struct puppet_area* area) {
  const struct timespec64 nap = {0, kNap};
  for (uint32_t turn = 0;; ++turn) {
    const uint32_t state = peers_state(area);
    if (state == PUPPET_PEER_OUT) return;
    if (state == PUPPET_PEER_MOVING && turn > kYields + kPatience) return;
    if (turn < kYields)
      (void)call1(NR_sched_yield, 0);
    else
      (void)call4(NR_nanosleep, (uint64_t)(uintptr_t)&nap, 0, 0, 0);
  }
}

__attribute__((noreturn)) static void heal(struct puppet_slot* slot) {
  struct puppet_area* area = (struct puppet_area*)(uintptr_t)slot->area;
  /* The kernel wakes one waiter of the robust word: pass it on. */
  (void)call4(NR_futex, (uint64_t)(uintptr_t)&area->coordinator, kFutexWake, 0x7fffffff, 0);
  if (slot->on_death == PUPPET_EXIT)
    for (;;) (void)call1(NR_exit_group, 70);
  if (!slot->is_peer) wait_for_peers(area);
  for (uint32_t i = slot->undo_call_count; i-- > 0;) {
    const struct puppet_call* c = &slot->undo_calls[i];
    (void)puppet_syscall(c->nr, c->arg[0], c->arg[1], c->arg[2], c->arg[3], c->arg[4], c->arg[5]);
  }
  for (uint32_t i = 0; i < slot->undo_fd_count; ++i)
    (void)call1(NR_close, (uint64_t)(int64_t)slot->undo_fds[i]);
  puppet_leave(slot->thunk, slot->flags, wants_eintr(slot));
}

static void finish(struct puppet_slot* slot, uint32_t batch) {
  __atomic_store_n(&slot->done, batch, __ATOMIC_SEQ_CST);
  if (__atomic_load_n(&slot->waited, __ATOMIC_SEQ_CST))
    (void)call4(NR_futex, (uint64_t)(uintptr_t)&slot->done, kFutexWake, 1, 0);
}

static void run_batch(struct puppet_slot* slot, uint32_t batch) {
  const struct puppet_area* area = (const struct puppet_area*)(uintptr_t)slot->area;
  struct puppet_call* calls = (struct puppet_call*)(uintptr_t)slot->calls;
  uint32_t i = 0;
  for (; i < slot->count; ++i) {
    if (coordinator_died(area)) heal(slot);
    struct puppet_call* call = &calls[i];
    if (call->flags & PUPPET_NO_REPLY) {
      slot->finished = i + 1;
      finish(slot, batch);
    }
    call->result = run_call(slot, call);
    if (call->result < call->at_least || call->result > call->at_most) break;
  }
  slot->finished = i;
  finish(slot, batch);
}

/* Of the puppets that sleep on one word, the kernel wakes one when the coordinator dies, and that one may be killed before
 * it has passed it on (PTRACE_O_EXITKILL): those that nobody traces yet look by themselves. */
static const struct timespec64* next_look(const struct puppet_slot* slot,
                                          struct timespec64* until) {
  if (slot->on_death != PUPPET_EXIT) return 0;
  (void)call4(NR_clock_gettime, kMonotonic, (uint64_t)(uintptr_t)until, 0, 0);
  until->nsec += kBetweenLooks;
  if (until->nsec >= kSecond) {
    until->nsec -= kSecond;
    until->sec += 1;
  }
  return until;
}

/* Sleeps until the next batch or the coordinator's death. */
static void sleep_for_batch(struct puppet_slot* slot, uint32_t last) {
  struct puppet_area* area = (struct puppet_area*)(uintptr_t)slot->area;
  const uint32_t alive = __atomic_load_n(&area->coordinator, __ATOMIC_ACQUIRE);
  if (alive & kOwnerDied) heal(slot);
  const struct waitv waits[2] = {{last, (uint64_t)(uintptr_t)&slot->posted, kFutex32, 0},
                                 {alive, (uint64_t)(uintptr_t)&area->coordinator, kFutex32, 0}};
  __atomic_store_n(&slot->asleep, 1, __ATOMIC_SEQ_CST);
  struct timespec64 until;
  const struct timespec64* limit = next_look(slot, &until);
  (void)puppet_syscall(NR_futex_waitv, (uint64_t)(uintptr_t)waits, 2, 0, (uint64_t)(uintptr_t)limit,
                       kMonotonic, 0);
  __atomic_store_n(&slot->asleep, 0, __ATOMIC_SEQ_CST);
}

__attribute__((noreturn)) void puppet_main(struct puppet_slot* slot) {
  uint32_t last = slot->done;
  const struct puppet_area* area = (const struct puppet_area*)(uintptr_t)slot->area;
  for (uint32_t spin = 0;; ++spin) {
    const uint32_t posted = __atomic_load_n(&slot->posted, __ATOMIC_SEQ_CST);
    if (posted != last) {
      last = posted;
      run_batch(slot, posted);
      spin = 0;
    } else if (coordinator_died(area)) {
      heal(slot);
    } else if (spin < slot->spins) {
      puppet_pause();
    } else {
      sleep_for_batch(slot, last);
      spin = 0;
    }
  }
}

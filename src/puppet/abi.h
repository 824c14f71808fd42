/* The memory that the coordinator and its puppets share, in C for the freestanding loop.
 *
 * One area per dumped or restored task, mapped MAP_SHARED in both: a header, then one slot per
 * puppet (thread). The coordinator posts a batch of calls in a slot; the puppet runs them in order
 * and stops at the first result outside the expected range. Addresses are the puppet's.
 * What comes back from a foreign task is untrusted: copy, then validate. */
#pragma once

#ifdef __cplusplus
#include <cstddef>
#include <cstdint>
#define PUPPET_ASSERT static_assert
#else
#include <stddef.h>
#include <stdint.h>
#define PUPPET_ASSERT _Static_assert
#endif

enum {
  PUPPET_RESULT_IS_FD = 1, /* success adds the result to the undo list */
  PUPPET_FDS_AT_ARG = 2, /* success adds the ints that arg[fds_arg] points at: socketpair, pipe2 */
  PUPPET_CLOSES_FD = 4,  /* success takes arg[0] off the undo list */
  PUPPET_SPAWN = 8,      /* clone3 whose child runs the slot at arg[2] */
  PUPPET_NO_REPLY = 16,  /* does not return; the batch counts as done before the call is made */
  PUPPET_COMPAT = 32,    /* by the 32-bit entry (x86_64: int 0x80) */
};

enum {
  PUPPET_HEAL = 0, /* the coordinator died: give the task back as it was (dump) */
  PUPPET_EXIT = 1, /* the coordinator died: the half-made task exits (restore, snapshots) */
};

/* Where a peer is. Its thunk, outside the area, sets PUPPET_PEER_OUT. Moving: between the coordinator's
 * decision and the thread's new registers, so that nobody can know whether it will ever come out. */
enum { PUPPET_PEER_OUT = 0, PUPPET_PEER_MOVING = 1, PUPPET_PEER_INSIDE = 2 };

enum { PUPPET_MOST_UNDO_FDS = 40, PUPPET_MOST_UNDO_CALLS = 8, PUPPET_MOST_PEERS = 8 };

struct puppet_call {
  uint16_t nr;
  uint16_t flags;
  uint8_t fds_arg, fds_count;
  uint16_t unused;
  uint64_t arg[6];
  int64_t at_least, at_most;
  int64_t result;
};
PUPPET_ASSERT(sizeof(struct puppet_call) == 80, "puppet_call");

/* How the task was interrupted in a system call; decides what heals it (see heal() in blob/loop.c). */
enum {
  PUPPET_NOT_IN_SYSCALL = 0,
  PUPPET_RESTART_SYS = 1,    /* -ERESTARTSYS: a handler without SA_RESTART makes it EINTR */
  PUPPET_RESTART_NOINTR = 2, /* -ERESTARTNOINTR: always restarts */
  PUPPET_RESTART_NOHAND =
      3, /* -ERESTARTNOHAND, -ERESTART_RESTARTBLOCK: any handler makes it EINTR */
};

struct puppet_slot {
  uint32_t posted; /* futex: number of the last batch posted (coordinator) */
  uint32_t asleep; /* the puppet sleeps on `posted` */
  uint32_t done;   /* futex: number of the last batch finished (puppet) */
  uint32_t waited; /* the coordinator sleeps on `done` */
  uint64_t calls;  /* struct puppet_call[] of the batch posted */
  uint32_t count;  /* calls in it */
  uint32_t
      finished;  /* how many gave an expected result; < count: calls[finished] is the surprise */
  uint64_t area; /* struct puppet_area, where the puppet sees it */
  uint32_t on_death; /* PUPPET_HEAL, PUPPET_EXIT */
  uint32_t is_peer;  /* another slot unmaps the area: this one only leaves */
  uint32_t spins;    /* how often to look at `posted` before sleeping */
  uint32_t restart;  /* PUPPET_NOT_IN_SYSCALL ... */
  uint64_t thunk;    /* where to jump after healing */
  uint64_t flags;    /* processor flags to leave with */
  uint64_t mask;     /* signal mask the task had */
  uint64_t stack;    /* top of the puppet's stack */
  uint32_t undo_fd_count;
  int32_t undo_fds[PUPPET_MOST_UNDO_FDS];
  uint32_t undo_call_count;
  struct puppet_call undo_calls[PUPPET_MOST_UNDO_CALLS];
};

/* The robust futex word: the coordinator's tid while it lives. The kernel sets FUTEX_OWNER_DIED in
 * it and wakes one waiter when that thread ends in any way. */
struct puppet_area {
  uint64_t robust_node; /* struct robust_list of the coordinator: its own addresses */
  uint32_t coordinator; /* the word */
  uint32_t unused;
  uint32_t peers[PUPPET_MOST_PEERS]; /* PUPPET_PEER_OUT ... */
};
PUPPET_ASSERT(offsetof(struct puppet_area, coordinator) == 8,
              "distance between robust node and word");
PUPPET_ASSERT(offsetof(struct puppet_slot, stack) == 80, "entry.S loads it");

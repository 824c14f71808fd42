// Declarations of the kinds, for the registry.
#pragma once

#include "plan/kind.h"

namespace cryo {

extern const TaskKind core_kind;                // task/core.cc
extern const TaskKind registers_kind;           // task/registers.cc
extern const TaskKind sigactions_kind;          // task/sigactions.cc
extern const TaskKind itimers_kind;             // task/itimers.cc
extern const TaskKind posix_timers_kind;        // task/posix_timers.cc
extern const TaskKind rseq_kind;                // task/rseq.cc
extern const TaskKind membarrier_kind;          // task/membarrier.cc
extern const TaskKind signals_kind;             // task/signals.cc
extern const TaskKind thread_addresses_kind;    // task/thread_addresses.cc
extern const TaskKind rlimits_kind;             // task/rlimits.cc
extern const TaskKind creds_kind;               // task/creds.cc
extern const TaskKind seccomp_kind;             // task/seccomp.cc
extern const TaskKind scheduling_kind;          // task/scheduling.cc
extern const TaskKind thread_attributes_kind;   // task/thread_attributes.cc
extern const TaskKind process_attributes_kind;  // task/process_attributes.cc
extern const TaskKind surroundings_kind;        // task/surroundings.cc
extern const TaskKind sharing_kind;             // task/sharing.cc
extern const TaskKind vmas_kind;                // mm/vmas.cc
extern const TaskKind memory_objects_kind;      // mm/memfd.cc
extern const TaskKind layout_kind;              // mm/layout.cc
extern const TaskKind page_marks_kind;          // mm/page_marks.cc
extern const TaskKind memory_policy_kind;       // mm/policy.cc
extern const TaskKind pages_kind;               // mm/pages.cc
extern const TaskKind mm_fields_kind;           // mm/fields.cc
extern const TaskKind vdso_kind;                // mm/vdso.cc
extern const TaskKind fd_table_kind;            // files/fd_table.cc
extern const TaskKind epoll_targets_kind;       // files/epoll.cc
extern const TaskKind file_locks_kind;          // files/file_locks.cc
extern const TaskKind fs_kind;                  // files/fs.cc

extern const TaskKind controlling_terminal_kind;  // files/tty.cc

extern const FileKind memfd_kind;    // mm/memfd.cc
extern const FileKind regular_kind;  // files/regular.cc
extern const FileKind pipe_kind;     // files/pipe.cc
extern const FileKind eventfd_kind;  // files/eventfd.cc
extern const FileKind epoll_kind;    // files/epoll.cc
extern const FileKind tty_kind;      // files/tty.cc

}  // namespace cryo

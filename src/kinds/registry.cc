#include "kinds/registry.h"

#include "fdinfo.pb.h"
#include "kinds/all.h"

namespace cryo {
namespace {

// Order matters only where a comment says so.
constexpr const TaskKind* kTaskKinds[] = {
    &core_kind,
    &rlimits_kind,  // before whatever takes resources: it raises the limits for the time of the restore
    &registers_kind,
    &vmas_kind,
    &page_marks_kind,      // after vmas
    &memory_objects_kind,  // before whatever refers to them
    &memory_policy_kind,
    &layout_kind,
    &pages_kind,
    &mm_fields_kind,
    &vdso_kind,
    &fd_table_kind,
    &epoll_targets_kind,
    &file_locks_kind,  // after fd_table, which says what descriptors share
    &controlling_terminal_kind,
    &fs_kind,
    &sigactions_kind,
    &thread_addresses_kind,
    &itimers_kind,
    &posix_timers_kind,
    &signals_kind,
    &rseq_kind,
    &membarrier_kind,
    &creds_kind,
    &seccomp_kind,
    &scheduling_kind,
    &thread_attributes_kind,
    &process_attributes_kind,
    &surroundings_kind,
    &sharing_kind,
};

// The first one that matches takes the file.
constexpr const FileKind* kFileKinds[] = {
    &memfd_kind,  // before regular: they are regular files, too
    &regular_kind, &pipe_kind, &eventfd_kind, &epoll_kind, &tty_kind,
};

}  // namespace

std::span<const TaskKind* const> task_kinds() { return kTaskKinds; }
std::span<const FileKind* const> file_kinds() { return kFileKinds; }

const FileKind* file_kind_of(const FdView& view) {
  for (const FileKind* kind : kFileKinds)
    if (kind->matches(view)) return kind;
  return nullptr;
}

const FileKind* file_kind_of(pb::fd_types type) {
  for (const FileKind* kind : kFileKinds)
    if (kind->type == type) return kind;
  return nullptr;
}

}  // namespace cryo

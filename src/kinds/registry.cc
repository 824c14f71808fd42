#include "kinds/registry.h"

#include "fdinfo.pb.h"
#include "kinds/all.h"

namespace cryo {
namespace {

// Order matters only where a comment says so.
constexpr const TaskKind* kTaskKinds[] = {
    &core_kind,
    &registers_kind,
    &vmas_kind,
    &layout_kind,
    &pages_kind,
    &mm_fields_kind,
    &vdso_kind,
    &fd_table_kind,
    &controlling_terminal_kind,
    &fs_kind,
    &sigactions_kind,
    &thread_addresses_kind,
};

// The first one that matches takes the file.
constexpr const FileKind* kFileKinds[] = {
    &regular_kind,
    &pipe_kind,
    &eventfd_kind,
    &tty_kind,
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

// All kinds, one line each in registry.cc.
#pragma once

#include <span>

#include "plan/kind.h"

namespace cryo {

std::span<const TaskKind* const> task_kinds();
std::span<const FileKind* const> file_kinds();

// The kind of an open file; null if there is none.
const FileKind* file_kind_of(const FdView& view);
const FileKind* file_kind_of(pb::fd_types type);

}  // namespace cryo

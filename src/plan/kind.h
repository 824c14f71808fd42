// The interfaces of the kinds: everything that the engine needs to know about one kernel resource.
// Adding one is a source file, a test beside it and a line in kinds/registry.cc (docs/adding-a-kind.md).
#pragma once

#include "plan/capture.h"
#include "plan/restore.h"

namespace cryo {

// State of a task or of its threads. Every function may be absent; they are called in this order.
struct TaskKind {
  const char* name;

  // --- dump
  // Finds what would block a dump (TaskView::block), from /proc alone: the task may be running.
  Result<void> (*examine)(const TaskView&) = nullptr;
  // Frozen, nothing injected yet: /proc, ptrace, and system calls that name another task.
  Result<void> (*capture)(TaskCapture&) = nullptr;
  Result<void> (*capture_thread)(ThreadCapture&) = nullptr;
  // Adds calls that the leader will make (all kinds share one batch, so an answer that may be an error must be
  // marked any_result()), and returns what to do with the answers.
  Result<Answer> (*ask)(TaskCapture&, Batch&) = nullptr;
  // The same for each thread; they must be few and small.
  Result<Answer> (*ask_thread)(ThreadCapture&, Batch&) = nullptr;
  // In place of ask_thread, for a thread that in the kernel is like one that has been asked (ThreadRecord::likeness):
  // fills the image from that one's and from thread.record(), which is there. False: it has to be asked.
  // Without this function every thread is asked.
  bool (*adopt_thread)(ThreadCapture& thread, const ThreadImage& like) = nullptr;
  // Whether the threads have to be asked one at a time: what one answers depends on which others run.
  bool (*one_at_a_time)(const TaskCapture&) = nullptr;
  // Moves bulk data while the puppet is in.
  Result<void> (*drain)(TaskCapture&, Injection&) = nullptr;
  // The puppet is out, everything still frozen: what has come in meanwhile.
  Result<void> (*look_again)(TaskCapture&) = nullptr;

  // --- restore
  // Checks the image and appends to the plan. No side effects.
  Result<void> (*compile)(TaskRestore&) = nullptr;
};

// Open file descriptions of one type.
struct FileKind {
  const char* name;
  pb::fd_types type;
  bool (*matches)(const FdView&);
  // Finds what would block a dump, from outside: the task may be running.
  Result<void> (*examine)(const TaskView&, const FdView&) = nullptr;
  // Fills everything of the entry but type, id and owner.
  Result<void> (*capture)(const TaskView&, const FdView&, FileId, pb::file_entry&);
  // Makes the description, in the coordinator.
  Result<Fd> (*restore)(const FileRestore&, const pb::file_entry&);
  // Where the entry has the owner of its signals.
  const pb::fown_entry& (*owner)(const pb::file_entry&) = nullptr;
  pb::fown_entry* (*mutable_owner)(pb::file_entry&) = nullptr;
};

}  // namespace cryo

// The picture of a frozen process tree: what a dump captures, what the images hold, what a restore compiles
// into a plan. It is made of the image messages themselves (one representation, no second set of structs);
// what they leave open is checked when a snapshot is loaded (load.h) and by the kinds that use it.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "base/ids.h"
#include "core.pb.h"
#include "cryo.pb.h"
#include "fdinfo.pb.h"
#include "fs.pb.h"
#include "inventory.pb.h"
#include "mm.pb.h"
#include "pstree.pb.h"
#include "seccomp.pb.h"

namespace cryo {

// task_core_entry.task_state
constexpr uint32_t kTaskAlive = 1, kTaskDead = 2, kTaskStopped = 3;

struct ThreadImage {
  Tid tid;
  pb::core_entry core;
  pb::cryo_thread_entry extra;  // state that CRIU's messages have no field for
};

struct TaskImage {
  pb::pstree_entry node;
  std::vector<ThreadImage> threads;  // the leader first
  pb::task_kobj_ids_entry ids;
  pb::mm_entry mm;
  pb::fs_entry fs;
  std::vector<pb::fdinfo_entry> fds;  // ascending
  pb::cryo_task_entry extra;  // its `threads` are filled from ThreadImage::extra when written

  Pid pid() const { return Pid{static_cast<int32_t>(node.pid())}; }
  ThreadImage& leader() { return threads.front(); }
  const ThreadImage& leader() const { return threads.front(); }
  const pb::task_core_entry& tc() const { return leader().core.tc(); }
  // A zombie: there are only its node and its leader's core.
  bool dead() const { return tc().task_state() == kTaskDead; }
  pb::task_core_entry& mutable_tc() { return *leader().core.mutable_tc(); }
};

struct Snapshot {
  pb::inventory_entry inventory;
  std::vector<TaskImage> tasks;  // parents before children
  std::map<FileId, pb::file_entry> files;
  pb::seccomp_entry seccomp;
};

}  // namespace cryo

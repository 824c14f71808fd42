// Memory objects: files without a name on the kernel's own tmpfs and hugetlbfs mounts. memfd_create(2) makes them,
// and so does mmap(MAP_SHARED | MAP_ANONYMOUS). The image has them as inodes in memfd.img, with contents in
// pagemap-shmem-N.img.
#pragma once

#include <optional>
#include <string>

#include "memfd.pb.h"
#include "plan/capture.h"
#include "plan/restore.h"

namespace cryo {

enum class Unnamed : uint8_t { no, memory_object, sysv_segment, secret_memory, other };

// What an open file is, by its name and the file system that it is on.
Unnamed unnamed_memory(const FdView& view);

// --- dump: records the object, contents included, the first time; returns its inode_id.
Result<uint32_t> capture_memory_object(const TaskView& task, const FdView& view);

// --- restore
// Stages every object of memfd.img; the seals come when everything that needs to write has been mapped.
Result<void> stage_memory_objects(TaskRestore& task);
// The staged descriptor (open for reading and writing) of an object.
Result<int> staged_memory_object(Restore& restore, uint64_t inode_id);
// The same for memory that the image has as ANON_SHARED: keyed by the number of its contents.
struct AnonymousObject {
  uint64_t number;
  uint64_t size;
  uint32_t hugetlb_flag;  // MAP_HUGETLB and the size's logarithm, or 0
};
Result<int> stage_anonymous_object(Restore& restore, const AnonymousObject& object);

}  // namespace cryo

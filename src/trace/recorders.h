// What reads the kernel's own records for one dump.
#pragma once

#include "sys/btf.h"
#include "trace/mapping_records.h"
#include "trace/thread_records.h"

namespace cryo {

struct Recorders {
  sys::KernelBtf btf{};
  ThreadRecorder threads{btf};
  MappingRecorder mappings{btf};
};

}  // namespace cryo

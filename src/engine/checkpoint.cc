#include "engine/checkpoint.h"

namespace cryo {

Result<DumpReport> checkpoint(const DumpOptions&, Job&) {
  return Error::unsupported("dump is not there yet");
}

Result<std::vector<Blocker>> explain_checkpoint(const DumpOptions&, Job&) {
  return Error::unsupported("dump --explain is not there yet");
}

}  // namespace cryo

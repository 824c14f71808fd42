#include "engine/restore.h"

namespace cryo {

Result<RestoreReport> restore(const RestoreOptions&, Job&) {
  return Error::unsupported("restore is not there yet");
}

Result<std::string> explain_restore(const RestoreOptions&, Job&) {
  return Error::unsupported("restore --explain is not there yet");
}

}  // namespace cryo

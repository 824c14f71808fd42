#include "frontend/cli/settings.h"

namespace cryo::cli {

DumpOptions dump_options(const Settings& settings) {
  DumpOptions options = settings.dump;
  static_cast<CommonOptions&>(options) = settings.common;
  return options;
}

RestoreOptions restore_options(const Settings& settings) {
  RestoreOptions options = settings.restore;
  static_cast<CommonOptions&>(options) = settings.common;
  return options;
}

}  // namespace cryo::cli

// The sub-commands, each from its understood command line to its exit status.
#pragma once

#include "base/log.h"
#include "frontend/cli/invocation.h"
#include "frontend/cli/session.h"

namespace cryo::cli {

constexpr int kOk = 0;
constexpr int kFailure = 1;

struct Session {
  const Invocation& call;
  Workplace place;
  Log& log;
};

int dump_command(Session& session);
int restore_command(Session& session);
int check_command(Session& session);
// What would keep `pid` from being dumped: dump --explain and check -t.
int explain_dump(Session& session);

}  // namespace cryo::cli

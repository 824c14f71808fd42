#include "procfs/stat.h"

#include <array>
#include <variant>

#include "procfs/text.h"

namespace cryo::procfs {
namespace {

using Target =
    std::variant<std::monostate, int32_t TaskStat::*, int64_t TaskStat::*, uint64_t TaskStat::*>;
constexpr Target kSkip{};

// Fields 4 to 52, in order.
constexpr std::array kFields = {
    Target(&TaskStat::ppid),
    Target(&TaskStat::pgrp),
    Target(&TaskStat::session),
    Target(&TaskStat::tty),
    Target(&TaskStat::tpgid),
    Target(&TaskStat::flags),
    kSkip,  // minflt
    kSkip,  // cminflt
    kSkip,  // majflt
    kSkip,  // cmajflt
    Target(&TaskStat::utime),
    Target(&TaskStat::stime),
    Target(&TaskStat::cutime),
    Target(&TaskStat::cstime),
    Target(&TaskStat::priority),
    Target(&TaskStat::nice),
    Target(&TaskStat::threads),
    kSkip,  // itrealvalue
    Target(&TaskStat::start_time),
    Target(&TaskStat::vsize),
    Target(&TaskStat::rss_pages),
    kSkip,  // rsslim
    Target(&TaskStat::start_code),
    Target(&TaskStat::end_code),
    Target(&TaskStat::start_stack),
    kSkip,  // kstkesp
    kSkip,  // kstkeip
    kSkip,
    kSkip,
    kSkip,
    kSkip,  // signal, blocked, sigignore, sigcatch: 32 bits only, see status
    kSkip,  // wchan
    kSkip,
    kSkip,  // nswap, cnswap
    Target(&TaskStat::exit_signal),
    Target(&TaskStat::processor),
    Target(&TaskStat::rt_priority),
    Target(&TaskStat::policy),
    kSkip,  // delayacct_blkio_ticks
    kSkip,
    kSkip,  // guest_time, cguest_time
    Target(&TaskStat::start_data),
    Target(&TaskStat::end_data),
    Target(&TaskStat::start_brk),
    Target(&TaskStat::arg_start),
    Target(&TaskStat::arg_end),
    Target(&TaskStat::env_start),
    Target(&TaskStat::env_end),
    Target(&TaskStat::exit_code),
};
static_assert(kFields.size() == 49);

bool read_field(Scanner& in, const Target& target, TaskStat& stat) {
  if (const auto* narrow = std::get_if<int32_t TaskStat::*>(&target))
    return in.decimal(stat.**narrow);
  if (const auto* wide = std::get_if<int64_t TaskStat::*>(&target)) return in.decimal(stat.**wide);
  if (const auto* plain = std::get_if<uint64_t TaskStat::*>(&target))
    return in.decimal(stat.**plain);
  std::string_view skipped;
  return in.token(skipped);
}

}  // namespace

Result<TaskStat> parse_stat(std::string_view text) {
  TaskStat stat;
  Scanner head(text);
  // The name is not escaped: it ends at the *last* parenthesis.
  const size_t close = text.rfind(')');
  if (!head.decimal(stat.pid) || !head.skip(" (") || close == std::string_view::npos ||
      head.rest().data() > text.data() + close) {
    return malformed("stat", text);
  }
  const auto open = static_cast<size_t>(head.rest().data() - text.data());
  stat.comm = text.substr(open, close - open);

  Scanner in(text.substr(close + 1));
  std::string_view state;
  if (!in.skip(' ') || !in.token(state) || state.size() != 1) return malformed("stat", text);
  stat.state = state.front();
  for (const Target& field : kFields) {
    if (!in.skip(' ') || !read_field(in, field, stat)) return malformed("stat", text);
  }
  return stat;
}

}  // namespace cryo::procfs

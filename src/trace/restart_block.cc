#include "trace/restart_block.h"

#include <cerrno>
#include <cstring>
#include <ctime>

namespace cryo {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

struct Continuation {
  std::string_view function;
  arch::TimedWait wait;
};
// Compilers append ".constprop.0" and the like.
constexpr Continuation kContinuations[] = {
    {"hrtimer_nanosleep_restart", arch::TimedWait::nanosleep},
    {"posix_cpu_nsleep_restart", arch::TimedWait::nanosleep},
    {"alarm_timer_nsleep_restart", arch::TimedWait::nanosleep},
    {"futex_wait_restart", arch::TimedWait::futex},
    {"do_restart_poll", arch::TimedWait::poll},
};

template <class T>
T at(std::span<const std::byte> block, size_t offset) {
  T value{};
  if (offset + sizeof(value) <= block.size())
    std::memcpy(&value, block.data() + offset, sizeof(value));
  return value;
}

}  // namespace

Result<RestartBlockLayout> RestartBlockLayout::find(const sys::Btf& btf, uint32_t type) {
  const auto offset = [&](std::string_view path) { return btf.member_at(type, path); };
  const auto function = offset("fn"), futex = offset("futex.time"),
             clock = offset("nanosleep.clockid"), expires = offset("nanosleep.expires"),
             limited = offset("poll.has_timeout");
  // A struct timespec64 in 6.18, in older kernels two words of the same meaning.
  auto end = offset("poll.end_time");
  if (!end) end = offset("poll.tv_sec");
  if (!function || !futex || !clock || !expires || !limited || !end)
    return Error::os(ENOENT, "the kernel's restart_block is not the one that we know");
  return RestartBlockLayout{function->offset, futex->offset,   clock->offset,
                            expires->offset,  limited->offset, end->offset};
}

RestartBlock decode_restart_block(std::string_view function, std::span<const std::byte> block,
                                  const RestartBlockLayout& layout) {
  RestartBlock out;
  for (const Continuation& one : kContinuations)
    if (function.starts_with(one.function)) out.wait = one.wait;
  out.clock = CLOCK_MONOTONIC;
  if (out.wait == arch::TimedWait::nanosleep) {
    out.clock = at<int32_t>(block, layout.nanosleep_clock);
    out.until_ns = at<uint64_t>(block, layout.nanosleep_expires);
  }
  // FUTEX_WAIT alone has a time that it lasts, and it knows no other clock.
  if (out.wait == arch::TimedWait::futex) out.until_ns = at<uint64_t>(block, layout.futex_time);
  if (out.wait == arch::TimedWait::poll && at<int32_t>(block, layout.poll_has_timeout) != 0)
    out.until_ns = at<uint64_t>(block, layout.poll_end) * kSecond +
                   at<uint64_t>(block, layout.poll_end + sizeof(uint64_t));
  return out;
}

}  // namespace cryo

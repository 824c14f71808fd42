#include "procfs/reader.h"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>

#include "procfs/text.h"
#include "sys/file.h"

namespace cryo::procfs {
namespace {

std::string map_file_name(const Vma& vma) {
  return fmt::format("map_files/{:x}-{:x}", vma.start, vma.end);
}

template <class N>
Result<N> narrow(Result<int64_t> number) {
  return static_cast<N>(TRY(std::move(number)));
}

}  // namespace

Error ProcTask::explain(Error error, sys::PathRef path) const {
  const bool absent = error.code() == ENOENT;
  if (error.kind() != ErrorKind::gone && !absent)
    return std::move(error).during(fmt::format("reading {} of {}", path.c_str(), name_));
  const bool alive = absent && static_cast<bool>(sys::openat(dir_, "stat", O_PATH));
  if (alive) return std::move(error).during(fmt::format("reading {} of {}", path.c_str(), name_));
  return Error::gone(fmt::format("{} is gone ({})", name_, error.message()));
}

Result<Fd> ProcTask::open(sys::PathRef path, int flags) const {
  Result<Fd> fd = sys::openat(dir_, path, flags);
  if (!fd) return explain(std::move(fd).error(), path);
  return fd;
}

Result<std::string> ProcTask::read(sys::PathRef path) const {
  Result<std::string> text = sys::read_file(dir_, path);
  if (!text) return explain(std::move(text).error(), path);
  return text;
}

Result<void> ProcTask::write(sys::PathRef path, std::string_view text) const {
  Result<void> written = sys::write_file(dir_, path, text);
  if (!written) return explain(std::move(written).error(), path);
  return written;
}

Result<Link> ProcTask::link(sys::PathRef path) const {
  Result<std::string> text = sys::readlinkat(dir_, path);
  if (!text) return explain(std::move(text).error(), path);
  return parse_link(std::move(text).value());
}

template <class Parse>
auto ProcTask::parsed(sys::PathRef path, Parse&& parse) const -> decltype(parse(std::string())) {
  const std::string text = TRY(read(path));
  return TRY_IN(parse(text), "reading {} of {}", path.c_str(), name_);
}

Result<TaskStat> ProcTask::stat() const {
  return parsed("stat", [](const std::string& text) { return parse_stat(text); });
}

Result<TaskStatus> ProcTask::status() const {
  return parsed("status", [](const std::string& text) { return parse_status(text); });
}

Result<std::vector<Vma>> ProcTask::maps() const {
  return parsed("maps", [](const std::string& text) { return parse_maps(text); });
}

Result<std::vector<Vma>> ProcTask::smaps(size_t most) const {
  const Fd fd = TRY(open("smaps", O_RDONLY));
  SmapsParser parser;
  // The kernel gives at most a page at a time. Lines are taken where they were read; the beginning
  // of one that is not complete moves to the front.
  std::string buffer(64 * 1024, '\0');
  size_t filled = 0;
  while (true) {
    if (filled == buffer.size()) buffer.resize(buffer.size() * 2);
    Result<size_t> n = sys::read(fd, buffer.data() + filled, buffer.size() - filled);
    if (!n && n.error().code() == EINTR) continue;
    if (!n) return explain(std::move(n).error(), "smaps");
    filled += n.value();
    const std::string_view all(buffer.data(), filled);
    const bool end = n.value() == 0;
    const size_t complete = end ? filled : all.rfind('\n') + 1;  // npos + 1 == 0
    Scanner in(all.substr(0, complete));
    for (std::string_view line; in.line(line);)
      TRY_IN(parser.line(line), "reading smaps of {}", name_);
    if (end || parser.count() > most) {
      std::vector<Vma> vmas = std::move(parser).take();
      if (vmas.size() > most) vmas.resize(most);
      return vmas;
    }
    std::memmove(buffer.data(), buffer.data() + complete, filled - complete);
    filled -= complete;
  }
}

Result<std::vector<NumaPolicy>> ProcTask::numa_maps() const {
  return parsed("numa_maps", [](const std::string& text) { return parse_numa_maps(text); });
}

Result<std::string> ProcTask::comm() const {
  std::string text = TRY(read("comm"));
  if (!text.empty() && text.back() == '\n') text.pop_back();
  return text;
}

Result<std::string> ProcTask::auxv() const { return read("auxv"); }

Result<std::array<Limit, kLimits>> ProcTask::limits() const {
  return parsed("limits", [](const std::string& text) { return parse_limits(text); });
}

Result<std::vector<PosixTimer>> ProcTask::timers() const {
  return parsed("timers", [](const std::string& text) { return parse_timers(text); });
}

Result<std::vector<Mount>> ProcTask::mountinfo() const {
  return parsed("mountinfo", [](const std::string& text) { return parse_mountinfo(text); });
}

Result<std::vector<CgroupMembership>> ProcTask::cgroup() const {
  return parsed("cgroup", [](const std::string& text) { return parse_cgroup(text); });
}

Result<SyscallState> ProcTask::syscall() const {
  return parsed("syscall", [](const std::string& text) { return parse_syscall(text); });
}

Result<int32_t> ProcTask::oom_score_adj() const {
  return narrow<int32_t>(parsed("oom_score_adj", [](const std::string& text) {
    return parse_signed("oom_score_adj", text);
  }));
}

Result<uint32_t> ProcTask::coredump_filter() const {
  const uint64_t value = TRY(parsed("coredump_filter", [](const std::string& text) {
    return parse_hex("coredump_filter", text);
  }));
  return static_cast<uint32_t>(value);
}

Result<uint32_t> ProcTask::loginuid() const {
  Result<int64_t> value =
      parsed("loginuid", [](const std::string& text) { return parse_signed("loginuid", text); });
  if (!value && value.error().code() == ENOENT) return ~uint32_t{0};
  return narrow<uint32_t>(std::move(value));
}

Result<uint64_t> ProcTask::timerslack_ns() const {
  return parsed("timerslack_ns",
                [](const std::string& text) { return parse_decimal("timerslack_ns", text); });
}

Result<uint32_t> ProcTask::personality() const {
  const uint64_t value = TRY(parsed(
      "personality", [](const std::string& text) { return parse_hex("personality", text); }));
  return static_cast<uint32_t>(value);
}

// --- threads and children

Result<std::vector<Tid>> ProcTask::threads() const {
  Result<std::vector<int32_t>> numbers = sys::list_numbers(dir_, "task");
  if (!numbers) return explain(std::move(numbers).error(), "task");
  std::vector<Tid> tids;
  for (const int32_t number : numbers.value()) tids.emplace_back(number);
  return tids;
}

Result<std::vector<Pid>> ProcTask::children() const {
  std::vector<Pid> all;
  const std::vector<Tid> tids = TRY(threads());
  for (const Tid tid : tids) {
    const std::string path = fmt::format("task/{}/children", tid);
    Result<std::string> text = read(path);
    // That thread has ended; its children have moved to another one.
    const bool ended =
        !text && (text.error().code() == ENOENT || text.error().kind() == ErrorKind::gone);
    if (ended) continue;
    if (!text) return std::move(text).error();
    const std::vector<int32_t> pids = TRY(parse_children(text.value()));
    for (const int32_t pid : pids) all.emplace_back(pid);
  }
  std::sort(all.begin(), all.end());
  return all;
}

Result<ProcTask> ProcTask::thread(Tid tid) const {
  const std::string path = fmt::format("task/{}", tid);
  Result<Fd> fd = sys::openat(dir_, path, O_PATH | O_DIRECTORY);
  std::string name = fmt::format("thread {} of {}", tid, name_);
  if (!fd && fd.error().code() == ENOENT) return Error::gone(fmt::format("{} is gone", name));
  if (!fd) return explain(std::move(fd).error(), path);
  return ProcTask(std::move(fd).value(), std::move(name));
}

// --- descriptors and mapped files

Result<std::vector<FdNo>> ProcTask::fds() const {
  Result<std::vector<int32_t>> numbers = sys::list_numbers(dir_, "fd");
  if (!numbers) return explain(std::move(numbers).error(), "fd");
  std::vector<FdNo> fds;
  for (const int32_t number : numbers.value()) fds.emplace_back(number);
  return fds;
}

Result<Link> ProcTask::fd_link(FdNo fd) const { return link(fmt::format("fd/{}", fd)); }

Result<FdInfo> ProcTask::fdinfo(FdNo fd) const {
  return parsed(fmt::format("fdinfo/{}", fd),
                [](std::string text) { return FdInfo::parse(std::move(text)); });
}

Result<ProcTask::MapFile> ProcTask::map_file(const Vma& vma) const {
  const std::string path = map_file_name(vma);
  MapFile file{TRY(link(path)), {}};
  Result<struct stat> stat = sys::fstatat(dir_, path, 0);
  if (!stat) return explain(std::move(stat).error(), path);
  file.stat = stat.value();
  return file;
}

Result<Fd> ProcTask::open_map_file(const Vma& vma, int flags) const {
  return open(map_file_name(vma), flags);
}

// --- the tree

Result<ProcDir> ProcDir::open(sys::PathRef root) {
  return ProcDir(TRY(sys::open(root, O_PATH | O_DIRECTORY)));
}

Result<ProcTask> ProcDir::task(Pid pid) const {
  Result<Fd> fd = sys::openat(root_, fmt::format("{}", pid), O_PATH | O_DIRECTORY);
  if (!fd && fd.error().code() == ENOENT)
    return Error::gone(fmt::format("there is no process {}", pid));
  if (!fd) return std::move(fd).error();
  return ProcTask(std::move(fd).value(), fmt::format("process {}", pid));
}

Result<ProcTask> ProcDir::self() const {
  return ProcTask(TRY(sys::openat(root_, "thread-self", O_PATH | O_DIRECTORY)), "this thread");
}

Result<std::vector<Pid>> ProcDir::pids() const {
  std::vector<Pid> pids;
  const std::vector<int32_t> numbers = TRY(sys::list_numbers(root_, "."));
  for (const int32_t number : numbers) pids.emplace_back(number);
  return pids;
}

Result<std::string> ProcDir::read(sys::PathRef path) const { return sys::read_file(root_, path); }

}  // namespace cryo::procfs

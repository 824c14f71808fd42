#include "plan/host_probes.h"

#include <fcntl.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <linux/kcmp.h>
#include <linux/membarrier.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>

#include <array>
#include <cerrno>

#include "sys/file.h"
#include "sys/memory.h"
#include "sys/process.h"
#include "sys/ptrace.h"
#include "sys/raw.h"
#include "sys/uapi.h"

namespace cryo::probes {
namespace {

using sys::raw;
using sys::raw_call;

// A child that does nothing, stopped under ptrace; gone at the end of the scope.
class TracedChild {
 public:
  TracedChild() {
    const Result<int32_t> child = sys::clone3({.exit_signal = SIGCHLD});
    if (!child) return;
    if (child.value() == 0) {
      (void)raw_call(SYS_prctl, PR_SET_PDEATHSIG, SIGKILL);
      while (true)
        (void)raw_call(SYS_rt_sigsuspend, 0, 8);  // a bad mask or not: it only has to stay
    }
    tid_ = Tid{child.value()};
    stopped_ = sys::ptrace_seize(tid_, 0) && sys::ptrace_interrupt(tid_) && sys::wait_for(tid_);
  }
  ~TracedChild() {
    if (tid_.value == 0) return;
    (void)sys::kill(Pid{tid_.value}, SIGKILL);
    while (true) {
      const Result<sys::WaitStatus> status = sys::wait_for(tid_);
      if (!status || status.value().dead()) return;
    }
  }
  TracedChild(const TracedChild&) = delete;
  TracedChild& operator=(const TracedChild&) = delete;

  bool stopped() const { return stopped_; }
  Tid tid() const { return tid_; }

 private:
  Tid tid_;
  bool stopped_ = false;
};

Fd new_fd(long number, uint64_t a = 0, uint64_t b = 0) {
  return Fd(static_cast<int>(raw_call(number, a, b)));
}

std::string fdinfo(FdRef fd) {
  return sys::read_file(sys::cwd(), fmt::format("/proc/self/fdinfo/{}", fd.raw())).value_or("");
}

bool has_line(const std::string& text, std::string_view beginning) {
  return text.starts_with(beginning) ||
         text.find(fmt::format("\n{}", beginning)) != std::string::npos;
}

Result<sys::Mapping> anonymous_page(int flags = MAP_PRIVATE) {
  return sys::Mapping::make(sys::page_size(), PROT_READ | PROT_WRITE, flags | MAP_ANONYMOUS);
}

}  // namespace

bool map_files() {
  const Result<sys::Mapping> shared = anonymous_page(MAP_SHARED);
  if (!shared) return false;
  const uint64_t start = raw(shared.value().address());
  const std::string name =
      fmt::format("/proc/self/map_files/{:x}-{:x}", start, start + shared.value().size());
  return sys::open(name, O_RDWR).has_value();
}

bool kcmp() {
  const Tid self = leader_of(sys::getpid());
  return sys::kcmp(self, self, KCMP_VM).has_value() &&
         sys::kcmp(self, self, KCMP_FILE, 0, 0).has_value();
}

bool set_mm_map() {
  uint32_t size = 0;
  return raw_call(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP_SIZE, raw(&size)) == 0 && size != 0;
}

bool get_tid_address() {
  uint64_t address = 0;
  return raw_call(SYS_prctl, PR_GET_TID_ADDRESS, raw(&address)) == 0;
}

bool peeksiginfo() {
  const TracedChild child;
  std::array<siginfo_t, 1> room;
  return child.stopped() && sys::ptrace_peeksiginfo(child.tid(), true, 0, room).has_value();
}

// A negative tid is refused as such (EINVAL) before anything is made; a kernel that does not know the
// field refuses the size of the structure (E2BIG).
bool clone3_set_tid() {
  const int32_t impossible = -1;
  const sys::CloneArgs arguments{
      .exit_signal = SIGCHLD, .set_tid = raw(&impossible), .set_tid_size = 1};
  return raw_call(SYS_clone3, raw(&arguments), sizeof arguments) == -EINVAL;
}

bool mnt_id() {
  const Result<Fd> null = sys::open("/dev/null", O_RDONLY);
  return null && has_line(fdinfo(null.value()), "mnt_id:");
}

bool pidfd_getfd() {
  const Result<Fd> self = sys::pidfd_open(sys::getpid());
  const Result<Fd> null = sys::open("/dev/null", O_RDONLY);
  return self && null && sys::pidfd_getfd(self.value(), FdNo{null.value().raw()}).has_value();
}

// No waiters is an invalid argument, after the call itself is known.
bool futex_waitv() { return raw_call(SYS_futex_waitv, 0, 0, 0, 0, 0) == -EINVAL; }

bool openat2() {
  return sys::openat2(sys::cwd(), "/",
                      {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_MAGICLINKS})
      .has_value();
}

// Without CAP_SYS_ADMIN it is refused here, as it would be in a dump.
bool seccomp_suspend() {
  const TracedChild child;
  return child.stopped() &&
         sys::ptrace_setoptions(child.tid(), PTRACE_O_SUSPEND_SECCOMP).has_value();
}

// The child has no filter: the answer for that (ENOENT, EINVAL) needs the request to be there, and EIO says
// that it is not.
bool seccomp_filters() {
  const TracedChild child;
  if (!child.stopped()) return false;
  const int64_t answer = raw_call(SYS_ptrace, PTRACE_SECCOMP_GET_FILTER,
                                  static_cast<uint64_t>(child.tid().value), 0, 0);
  return answer == -ENOENT || answer == -EINVAL;
}

bool get_rseq_conf() {
  const TracedChild child;
  return child.stopped() && sys::ptrace_get_rseq_configuration(child.tid()).has_value();
}

bool timer_cr_ids() {
  return raw_call(SYS_prctl, PR_TIMER_CREATE_RESTORE_IDS, PR_TIMER_CREATE_RESTORE_IDS_GET) >= 0;
}

bool timerfd() {
  const Fd timer = new_fd(SYS_timerfd_create, CLOCK_MONOTONIC, TFD_CLOEXEC);
  if (!timer || !has_line(fdinfo(timer), "clockid:")) return false;
  const uint64_t none = 0;  // setting no ticks is invalid; without the request it is ENOTTY
  constexpr uint64_t kSetTicks = _IOW('T', 0, uint64_t);
  return raw_call(SYS_ioctl, static_cast<uint64_t>(timer.raw()), kSetTicks, raw(&none)) == -EINVAL;
}

bool memfd_hugetlb() { return sys::memfd_create("probe", MFD_HUGETLB).has_value(); }

bool loginuid() { return sys::open("/proc/self/loginuid", O_RDWR).has_value(); }

// A context is a mapping that knows its place: after a move its id has to be the new address.
bool aio_remap() {
  uint64_t context = 0;
  if (raw_call(SYS_io_setup, 1, raw(&context)) != 0) return false;
  // struct aio_ring: the number of events is its second word, the events follow 32 bytes of head.
  const uint64_t events = reinterpret_cast<const uint32_t*>(context)[1];
  const size_t size =
      (32 + events * sizeof(io_event) + sys::page_size() - 1) / sys::page_size() * sys::page_size();
  Result<sys::Mapping> place = sys::Mapping::make(size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS);
  bool works = false;
  if (place) {
    void* const target = place.value().address();
    if (sys::mremap(reinterpret_cast<void*>(context), size, size, MREMAP_MAYMOVE | MREMAP_FIXED,
                    target)) {
      place.value().release();  // the context's now
      context = raw(target);
      std::array<io_event, 1> event;
      const timespec now{};
      works = raw_call(SYS_io_getevents, context, 0, 1, raw(event.data()), raw(&now)) == 0;
    }
  }
  (void)raw_call(SYS_io_destroy, context);
  return works;
}

bool kcmp_epoll() {
  const Fd epoll = new_fd(SYS_epoll_create1, EPOLL_CLOEXEC);
  const Fd event = new_fd(SYS_eventfd2, 0, EFD_CLOEXEC);
  epoll_event interest{};
  if (!epoll || !event) return false;
  if (raw_call(SYS_epoll_ctl, static_cast<uint64_t>(epoll.raw()), EPOLL_CTL_ADD,
               static_cast<uint64_t>(event.raw()), raw(&interest)) != 0)
    return false;
  const kcmp_epoll_slot slot{static_cast<uint32_t>(epoll.raw()), static_cast<uint32_t>(event.raw()),
                             0};
  const auto self = static_cast<uint64_t>(sys::getpid().value);
  return raw_call(SYS_kcmp, self, self, KCMP_EPOLL_TFD, static_cast<uint64_t>(event.raw()),
                  raw(&slot)) == 0;
}

bool fdinfo_lock() {
  const Result<Fd> file = sys::memfd_create("probe");
  return file && sys::flock(file.value(), LOCK_EX) && has_line(fdinfo(file.value()), "lock:");
}

bool owner_uids() {
  const Result<Fd> null = sys::open("/dev/null", O_RDONLY);
  return null && sys::get_owner_uids(null.value()).has_value();
}

bool ns_pid() {
  return has_line(sys::read_file(sys::cwd(), "/proc/self/status").value_or(""), "NSpid:");
}

bool syscall_user_dispatch() {
  const TracedChild child;
  return child.stopped() && sys::ptrace_get_syscall_user_dispatch(child.tid()).has_value();
}

bool set_vma_name() {
  const Result<sys::Mapping> page = anonymous_page();
  return page && raw_call(SYS_prctl, PR_SET_VMA, PR_SET_VMA_ANON_NAME, raw(page.value().address()),
                          page.value().size(), raw("probe")) == 0;
}

bool droppable_memory() {
  return sys::Mapping::make(sys::page_size(), PROT_READ | PROT_WRITE, MAP_ANONYMOUS | MAP_DROPPABLE)
      .has_value();
}

namespace {

// What PAGEMAP_SCAN answers for one page of ours.
int64_t scan_one_page(uint64_t return_mask) {
  const Result<sys::Mapping> page = anonymous_page();
  const Result<Fd> pagemap = sys::open("/proc/self/pagemap", O_RDONLY);
  if (!page || !pagemap) return -ENOENT;
  std::array<sys::PageRegion, 1> room;
  const uint64_t start = raw(page.value().address());
  const sys::PmScanArg argument{.start = start,
                                .end = start + page.value().size(),
                                .vec = raw(room.data()),
                                .vec_len = room.size(),
                                .return_mask = return_mask};
  constexpr uint64_t kPagemapScan = _IOWR('f', 16, sys::PmScanArg);
  return raw_call(SYS_ioctl, static_cast<uint64_t>(pagemap.value().raw()), kPagemapScan,
                  raw(&argument));
}

}  // namespace

bool pagemap_scan() { return scan_one_page(PAGE_IS_PRESENT) >= 0; }
bool pagemap_scan_guard_pages() { return scan_one_page(PAGE_IS_GUARD) >= 0; }

bool guard_pages() {
  const Result<sys::Mapping> page = anonymous_page();
  return page &&
         sys::madvise(page.value().address(), page.value().size(), MADV_GUARD_INSTALL).has_value();
}

// Too small a structure is an invalid argument; an unknown request is EIO.
bool set_syscall_info() {
  const TracedChild child;
  if (!child.stopped()) return false;
  const int64_t answer =
      raw_call(SYS_ptrace, PTRACE_SET_SYSCALL_INFO, static_cast<uint64_t>(child.tid().value), 0, 0);
  return answer == -EINVAL;
}

bool membarrier_registrations() {
  constexpr int kGetRegistrations = 1 << 9;  // MEMBARRIER_CMD_GET_REGISTRATIONS, 6.3
  return raw_call(SYS_membarrier, kGetRegistrations, 0) >= 0;
}

bool memory_merge() { return raw_call(SYS_prctl, PR_GET_MEMORY_MERGE) >= 0; }

}  // namespace cryo::probes

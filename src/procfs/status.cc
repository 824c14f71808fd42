#include "procfs/status.h"

#include <algorithm>

#include "procfs/text.h"

namespace cryo::procfs {
namespace {

// One reader per shape of value; each gets the text after "Key:\t".
template <auto member>
bool plain(Scanner& in, TaskStatus& status) {
  in.spaces();
  return in.decimal(status.*member);
}

template <auto member>
bool boolean(Scanner& in, TaskStatus& status) {
  uint32_t value = 0;
  if (!in.decimal(value)) return false;
  status.*member = value != 0;
  return true;
}

template <auto member>
bool mask(Scanner& in, TaskStatus& status) {
  uint64_t value = 0;
  if (!in.hex(value)) return false;
  status.*member = value;
  return true;
}

template <auto member>
bool kilobytes(Scanner& in, TaskStatus& status) {
  uint64_t value = 0;
  in.spaces();
  if (!in.decimal(value) || in.rest() != " kB") return false;
  status.*member = value * 1024;
  return true;
}

template <auto member>
bool words(Scanner& in, TaskStatus& status) {
  std::string_view text = in.rest();
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  status.*member = text;
  return true;
}

template <auto member>
bool four(Scanner& in, TaskStatus& status) {
  for (uint32_t& id : status.*member) {
    in.spaces();
    if (!in.decimal(id)) return false;
  }
  return true;
}

template <auto member>
bool list(Scanner& in, TaskStatus& status) {
  for (in.spaces(); !in.at_end(); in.spaces()) {
    typename std::remove_reference_t<decltype(status.*member)>::value_type value{};
    if (!in.decimal(value)) return false;
    (status.*member).push_back(value);
  }
  return true;
}

bool name(Scanner& in, TaskStatus& status) {
  // Newline and backslash are written as C would.
  std::string_view text = in.rest();
  for (; !text.empty(); text.remove_prefix(1)) {
    char c = text.front();
    if (c == '\\' && text.size() > 1 && (text[1] == 'n' || text[1] == '\\')) {
      c = text[1] == 'n' ? '\n' : '\\';
      text.remove_prefix(1);
    }
    status.name += c;
  }
  return true;
}

bool umask(Scanner& in, TaskStatus& status) {
  uint32_t value = 0;
  if (!in.octal(value)) return false;
  status.umask = value;
  return true;
}

bool state(Scanner& in, TaskStatus& status) {
  std::string_view letter;
  if (!in.token(letter) || letter.size() != 1) return false;
  status.state = letter.front();
  return true;
}

bool vm_size(Scanner& in, TaskStatus& status) {
  status.has_mm = true;
  return kilobytes<&TaskStatus::vm_size>(in, status);
}

bool signals(Scanner& in, TaskStatus& status) {
  return in.decimal(status.signals_queued) && in.skip('/') && in.decimal(status.signals_limit);
}

struct Line {
  std::string_view key;
  bool (*read)(Scanner&, TaskStatus&);
  bool required = false;
};

using S = TaskStatus;
constexpr bool kRequired = true;
// In the kernel's order.
constexpr std::array kLines = {
    Line{"Name", name, kRequired},
    Line{"Umask", umask},
    Line{"State", state, kRequired},
    Line{"Tgid", plain<&S::tgid>, kRequired},
    Line{"Pid", plain<&S::pid>, kRequired},
    Line{"PPid", plain<&S::ppid>, kRequired},
    Line{"TracerPid", plain<&S::tracer_pid>, kRequired},
    Line{"Uid", four<&S::uids>, kRequired},
    Line{"Gid", four<&S::gids>, kRequired},
    Line{"FDSize", plain<&S::fd_size>},
    Line{"Groups", list<&S::groups>, kRequired},
    Line{"NStgid", list<&S::ns_tgid>},
    Line{"NSpid", list<&S::ns_pid>},
    Line{"NSpgid", list<&S::ns_pgid>},
    Line{"NSsid", list<&S::ns_sid>},
    Line{"Kthread", boolean<&S::kernel_thread>},
    Line{"VmSize", vm_size},
    Line{"VmLck", kilobytes<&S::vm_locked>},
    Line{"VmPin", kilobytes<&S::vm_pinned>},
    Line{"VmRSS", kilobytes<&S::vm_rss>},
    Line{"RssAnon", kilobytes<&S::rss_anon>},
    Line{"RssFile", kilobytes<&S::rss_file>},
    Line{"RssShmem", kilobytes<&S::rss_shmem>},
    Line{"VmSwap", kilobytes<&S::vm_swap>},
    Line{"HugetlbPages", kilobytes<&S::hugetlb>},
    Line{"CoreDumping", boolean<&S::core_dumping>},
    Line{"THP_enabled", boolean<&S::thp_enabled>},
    Line{"untag_mask", mask<&S::untag_mask>},
    Line{"Threads", plain<&S::threads>, kRequired},
    Line{"SigQ", signals},
    Line{"SigPnd", mask<&S::sig_pending>, kRequired},
    Line{"ShdPnd", mask<&S::shd_pending>, kRequired},
    Line{"SigBlk", mask<&S::sig_blocked>, kRequired},
    Line{"SigIgn", mask<&S::sig_ignored>, kRequired},
    Line{"SigCgt", mask<&S::sig_caught>, kRequired},
    Line{"CapInh", mask<&S::cap_inheritable>, kRequired},
    Line{"CapPrm", mask<&S::cap_permitted>, kRequired},
    Line{"CapEff", mask<&S::cap_effective>, kRequired},
    Line{"CapBnd", mask<&S::cap_bounding>, kRequired},
    Line{"CapAmb", mask<&S::cap_ambient>, kRequired},
    Line{"NoNewPrivs", boolean<&S::no_new_privs>},
    Line{"Seccomp", plain<&S::seccomp>},
    Line{"Seccomp_filters", plain<&S::seccomp_filters>},
    Line{"Speculation_Store_Bypass", words<&S::speculation_store_bypass>},
    Line{"SpeculationIndirectBranch", words<&S::speculation_indirect_branch>},
    Line{"Cpus_allowed_list", words<&S::cpus_allowed_list>},
    Line{"Mems_allowed_list", words<&S::mems_allowed_list>},
    Line{"x86_Thread_features", words<&S::x86_thread_features>},
    Line{"x86_Thread_features_locked", words<&S::x86_thread_features_locked>},
};
static_assert(kLines.size() <= 64);

}  // namespace

Result<TaskStatus> parse_status(std::string_view text) {
  TaskStatus status;
  uint64_t seen = 0;
  Scanner in(text);
  for (std::string_view line; in.line(line);) {
    Scanner value(line);
    std::string_view key;
    if (!value.until(':', key)) return malformed("status", line);
    const auto* known =
        std::find_if(kLines.begin(), kLines.end(), [&](const Line& l) { return l.key == key; });
    if (known == kLines.end()) continue;
    (void)value.skip('\t');
    if (!known->read(value, status)) return malformed("status", line);
    seen |= uint64_t{1} << (known - kLines.begin());
  }
  for (size_t i = 0; i < kLines.size(); ++i) {
    if (kLines[i].required && (seen >> i & 1) == 0) {
      return Error::of(ErrorKind::os, fmt::format("status has no line {}", kLines[i].key));
    }
  }
  return status;
}

}  // namespace cryo::procfs

// Credentials: user and group ids, capability sets, securebits, no_new_privs. They belong to threads, not to
// processes; only libc keeps those of a process equal.
//
// All but securebits is in /proc/PID/task/TID/status. A restore starts from the credentials of the coordinator and
// can only give things up; a thread whose credentials are the same needs no call at all.
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>

#include "kinds/all.h"

namespace cryo {
namespace {

constexpr uint32_t kMostGroups = 65536;  // NGROUPS_MAX

struct Creds {
  std::array<uint32_t, 4> uids{}, gids{};  // real, effective, saved, file system
  std::vector<uint32_t> groups;
  uint64_t inheritable = 0, permitted = 0, effective = 0, bounding = 0, ambient = 0;
  uint32_t securebits = 0;
  bool no_new_privs = false;
  friend bool operator==(const Creds&, const Creds&) = default;
};

Creds from_status(const procfs::TaskStatus& status) {
  return {status.uids,
          status.gids,
          status.groups,
          status.cap_inheritable,
          status.cap_permitted,
          status.cap_effective,
          status.cap_bounding,
          status.cap_ambient,
          0,
          status.no_new_privs};
}

using Words = google::protobuf::RepeatedField<uint32_t>;

void encode_set(uint64_t set, Words* words) {
  words->Add(static_cast<uint32_t>(set));
  words->Add(static_cast<uint32_t>(set >> 32));
}

Result<uint64_t> decode_set(const Words& words, const char* name) {
  uint64_t set = 0;
  for (int i = 0; i < words.size(); ++i) {
    if (i >= 2 && words[i] != 0)
      return Error::bad_image(fmt::format("creds: {} capability words in {}", words.size(), name));
    if (i < 2) set |= uint64_t{words[i]} << (32 * i);
  }
  return set;
}

void encode(const Creds& creds, pb::creds_entry& entry) {
  entry.set_uid(creds.uids[0]);
  entry.set_euid(creds.uids[1]);
  entry.set_suid(creds.uids[2]);
  entry.set_fsuid(creds.uids[3]);
  entry.set_gid(creds.gids[0]);
  entry.set_egid(creds.gids[1]);
  entry.set_sgid(creds.gids[2]);
  entry.set_fsgid(creds.gids[3]);
  encode_set(creds.inheritable, entry.mutable_cap_inh());
  encode_set(creds.permitted, entry.mutable_cap_prm());
  encode_set(creds.effective, entry.mutable_cap_eff());
  encode_set(creds.bounding, entry.mutable_cap_bnd());
  encode_set(creds.ambient, entry.mutable_cap_amb());
  entry.set_secbits(creds.securebits);
  entry.mutable_groups()->Add(creds.groups.begin(), creds.groups.end());
  entry.set_no_new_privs(creds.no_new_privs ? 1 : 0);
}

Result<Creds> decode(const pb::creds_entry& entry) {
  Creds creds;
  creds.uids = {entry.uid(), entry.euid(), entry.suid(), entry.fsuid()};
  creds.gids = {entry.gid(), entry.egid(), entry.sgid(), entry.fsgid()};
  if (entry.groups_size() > static_cast<int>(kMostGroups))
    return Error::bad_image(fmt::format("creds: {} groups", entry.groups_size()));
  creds.groups.assign(entry.groups().begin(), entry.groups().end());
  creds.inheritable = TRY(decode_set(entry.cap_inh(), "cap_inh"));
  creds.permitted = TRY(decode_set(entry.cap_prm(), "cap_prm"));
  creds.effective = TRY(decode_set(entry.cap_eff(), "cap_eff"));
  creds.bounding = TRY(decode_set(entry.cap_bnd(), "cap_bnd"));
  creds.ambient = TRY(decode_set(entry.cap_amb(), "cap_amb"));
  creds.securebits = entry.secbits();
  creds.no_new_privs = entry.no_new_privs() != 0;
  return creds;
}

Result<void> capture_thread(ThreadCapture& thread) {
  encode(from_status(thread.status()), *thread.core().mutable_creds());
  return {};
}

Result<Answer> ask_thread(ThreadCapture& thread, Batch& batch) {
  const uint32_t securebits = batch.size();
  batch.call(SYS_prctl, PR_GET_SECUREBITS, 0, 0, 0, 0);
  pb::creds_entry* entry = thread.core().mutable_creds();
  return Answer([=](const Outcome& outcome) -> Result<void> {
    entry->set_secbits(static_cast<uint32_t>(outcome.result(securebits)));
    return {};
  });
}

bool adopt_thread(ThreadCapture& thread, const ThreadImage& like) {
  thread.core().mutable_creds()->set_secbits(like.core.thread_core().creds().secbits());
  return true;
}

// --- restore

Result<Creds> own_creds() {
  const procfs::ProcDir proc = TRY(procfs::ProcDir::open());
  const procfs::ProcTask self = TRY(proc.self());
  const procfs::TaskStatus status = TRY(self.status());
  Creds creds = from_status(status);
  creds.securebits = static_cast<uint32_t>(TRY(sys::prctl(PR_GET_SECUREBITS)));
  return creds;
}

// The capabilities that this kernel knows.
Result<uint64_t> known_capabilities() {
  const procfs::ProcDir proc = TRY(procfs::ProcDir::open());
  const std::string text = TRY(proc.read("sys/kernel/cap_last_cap"));
  const unsigned last = static_cast<unsigned>(std::strtoul(text.c_str(), nullptr, 10));
  return last >= 63 ? ~uint64_t{0} : (uint64_t{1} << (last + 1)) - 1;
}

void set_capabilities(Batch& batch, uint64_t inheritable, uint64_t permitted, uint64_t effective) {
  const __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  for (unsigned i = 0; i < 2; ++i)
    data[i] = {static_cast<uint32_t>(effective >> 32 * i),
               static_cast<uint32_t>(permitted >> 32 * i),
               static_cast<uint32_t>(inheritable >> 32 * i)};
  batch.call(SYS_capset, batch.put(header), batch.put(data));
}

template <class Act>
void for_each_capability(uint64_t set, Act act) {
  for (int capability = 0; capability < 64; ++capability)
    if ((set >> capability & 1) != 0) act(capability);
}

void set_ids(Batch& batch, const Creds& from, const Creds& to) {
  if (from.groups != to.groups) {
    const Data groups = batch.put(std::as_bytes(std::span(to.groups)));
    batch.call(SYS_setgroups, to.groups.size(), groups);
  }
  if (from.gids != to.gids) {
    batch.call(SYS_setresgid, to.gids[0], to.gids[1], to.gids[2]);
    // These two never fail; they answer what was there before, and asking with an impossible id changes nothing.
    batch.call(SYS_setfsgid, to.gids[3]);
    batch.call(SYS_setfsgid, -1).expect_exactly(static_cast<int32_t>(to.gids[3]));
  }
  if (from.uids != to.uids) {
    batch.call(SYS_setresuid, to.uids[0], to.uids[1], to.uids[2]);
    batch.call(SYS_setfsuid, to.uids[3]);
    batch.call(SYS_setfsuid, -1).expect_exactly(static_cast<int32_t>(to.uids[3]));
  }
}

// Each step needs what a later one takes away: inheritable capabilities may exceed the bounding set only if they
// were there before it shrank; ids change without touching capabilities while SECBIT_NO_SETUID_FIXUP is set;
// ambient capabilities must be permitted and inheritable and are blocked by a securebit; securebits need
// CAP_SETPCAP.
void set_creds(Batch& batch, const Creds& from, const Creds& to) {
  if (from.inheritable != to.inheritable)
    set_capabilities(batch, to.inheritable, from.permitted, from.permitted);
  for_each_capability(from.bounding & ~to.bounding, [&](int capability) {
    batch.call(SYS_prctl, PR_CAPBSET_DROP, capability, 0, 0, 0);
  });
  uint32_t securebits = from.securebits;
  if (from.uids != to.uids) {
    securebits |= SECBIT_NO_SETUID_FIXUP;
    if (securebits != from.securebits)
      batch.call(SYS_prctl, PR_SET_SECUREBITS, securebits, 0, 0, 0);
  }
  set_ids(batch, from, to);
  if ((from.ambient & ~to.ambient) != 0)
    batch.call(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
  const uint64_t kept = (from.ambient & ~to.ambient) != 0 ? 0 : from.ambient;
  for_each_capability(to.ambient & ~kept, [&](int capability) {
    batch.call(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability, 0, 0);
  });
  if (securebits != to.securebits) batch.call(SYS_prctl, PR_SET_SECUREBITS, to.securebits, 0, 0, 0);
  const uint64_t effective = from.inheritable != to.inheritable ? from.permitted : from.effective;
  if (from.permitted != to.permitted || effective != to.effective)
    set_capabilities(batch, to.inheritable, to.permitted, to.effective);
  if (to.no_new_privs && !from.no_new_privs) batch.call(SYS_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
}

// What we cannot give: more than we have.
Result<void> check(const TaskRestore& task, Tid tid, const Creds& ours, uint64_t known,
                   Creds& wanted) {
  Log& log = task.restore.log;
  const uint64_t all =
      wanted.inheritable | wanted.permitted | wanted.effective | wanted.bounding | wanted.ambient;
  if ((all & ~known) != 0) {
    log.warn("Thread {} has capabilities that this kernel does not have ({:#x}), ignoring", tid,
             all & ~known);
    for (uint64_t* set : {&wanted.inheritable, &wanted.permitted, &wanted.effective,
                          &wanted.bounding, &wanted.ambient})
      *set &= known;
  }
  const uint64_t missing = (wanted.permitted & ~ours.permitted) |
                           (wanted.inheritable & ~(ours.permitted | ours.inheritable));
  if (missing != 0)
    return Error::unsupported(
               fmt::format("thread {} has capabilities that cryo has not: {:#x}", tid, missing))
        .hint("run the restore with them");
  if ((wanted.bounding & ~ours.bounding) != 0) {
    log.warn(
        "The capability bounding set of thread {} cannot include {:#x}, which cryo's own does not, "
        "ignoring",
        tid, wanted.bounding & ~ours.bounding);
    wanted.bounding &= ours.bounding;
  }
  if (ours.no_new_privs && !wanted.no_new_privs) {
    log.warn("Thread {} will have no_new_privs, because cryo has, ignoring", tid);
    wanted.no_new_privs = true;
  }
  return {};
}

bool is_among(const std::array<uint32_t, 4>& wanted, const std::array<uint32_t, 4>& ours) {
  return std::ranges::all_of(
      wanted, [&](uint32_t id) { return std::ranges::find(ours, id) != ours.end(); });
}

// What takes a capability to change. The kernel would refuse it too, but in the middle of the restore.
Result<void> check_rights(Tid tid, const Creds& ours, const Creds& wanted) {
  const auto refuse = [&](int capability, const char* name, std::string what) -> Result<void> {
    if ((ours.effective >> capability & 1) != 0) return {};
    return Error::of(ErrorKind::denied,
                     fmt::format("thread {} {}, and cryo, which runs as user {} without {}, "
                                 "cannot give it that",
                                 tid, what, ours.uids[1], name))
        .hint("run the restore as root, or as the user who ran the process");
  };
  if (!is_among(wanted.uids, ours.uids))
    TRY(refuse(CAP_SETUID, "CAP_SETUID",
               fmt::format("belongs to user {}", fmt::join(wanted.uids, "/"))));
  if (!is_among(wanted.gids, ours.gids) || wanted.groups != ours.groups)
    TRY(refuse(CAP_SETGID, "CAP_SETGID",
               fmt::format("has the groups {} {}", fmt::join(wanted.gids, "/"),
                           fmt::join(wanted.groups, ","))));
  if ((ours.bounding & ~wanted.bounding) != 0)
    TRY(refuse(CAP_SETPCAP, "CAP_SETPCAP",
               fmt::format("has fewer capabilities within reach ({:#x})", wanted.bounding)));
  if (ours.uids != wanted.uids || ours.securebits != wanted.securebits)
    TRY(refuse(CAP_SETPCAP, "CAP_SETPCAP",
               fmt::format("has the user ids {} and securebits {:#x}", fmt::join(wanted.uids, "/"),
                           wanted.securebits)));
  return {};
}

Result<void> compile(TaskRestore& task) {
  const Creds ours = TRY(own_creds());
  const uint64_t known = TRY(known_capabilities());
  // Images of old have them in a file of their own.
  const std::optional<pb::creds_entry> of_process =
      TRY(task.restore.images.record<pb::creds_entry>({ImageKind::creds, task.image.node.pid()}));
  for (size_t i = 0; i < task.image.threads.size(); ++i) {
    const ThreadImage& thread = task.image.threads[i];
    const bool own = thread.core.thread_core().has_creds();
    if (!own && !of_process)
      return Error::bad_image(fmt::format("core-{}.img: no credentials", thread.tid));
    const pb::creds_entry& entry = own ? thread.core.thread_core().creds() : *of_process;
    if (!entry.lsm_profile().empty() && entry.lsm_profile() != "unconfined")
      return Error::unsupported(
          fmt::format("thread {} has the security label '{}', which cannot be restored yet",
                      thread.tid, entry.lsm_profile()));
    Creds wanted = TRY(decode(entry));
    TRY(check(task, thread.tid, ours, known, wanted));
    TRY(check_rights(thread.tid, ours, wanted));
    if (wanted != ours) set_creds(task.plan.calls(Phase::creds, i), ours, wanted);
  }
  return {};
}

}  // namespace

const TaskKind creds_kind = {.name = "credentials",
                             .capture_thread = capture_thread,
                             .ask_thread = ask_thread,
                             .adopt_thread = adopt_thread,
                             .compile = compile};

}  // namespace cryo

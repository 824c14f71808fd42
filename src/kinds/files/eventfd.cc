// eventfd: a counter.
#include "sys/eventfd.h"
#include "fdinfo.pb.h"
#include "kinds/all.h"
#include "procfs/fdinfo.h"
#include "sys/file.h"

namespace cryo {
namespace {

bool matches(const FdView& view) { return view.anon_name() == "eventfd"; }

Result<void> examine(const TaskView& task, const FdView& view) {
  // The line is there since 6.5, the format has no field for it.
  const std::optional<std::string_view> semaphore = view.field("eventfd-semaphore");
  if (semaphore && semaphore->starts_with('1'))
    task.block(fmt::format("fd {}", *view.fd),
               "is an eventfd that counts as a semaphore, which cannot be dumped yet",
               "close it before the dump");
  return {};
}

Result<void> capture(const TaskView& /*task*/, const FdView& view, FileId id,
                     pb::file_entry& entry) {
  const procfs::FdInfo info = TRY(procfs::FdInfo::parse(view.info));
  pb::eventfd_file_entry& event = *entry.mutable_efd();
  event.set_id(id.value);
  event.set_flags(view.flags);
  event.set_counter(TRY(info.hex("eventfd-count")));
  return {};
}

Result<Fd> restore(const FileRestore& /*file*/, const pb::file_entry& entry) {
  const pb::eventfd_file_entry& event = entry.efd();
  // The initial value has 32 bits, the counter 64.
  Fd fd = TRY(sys::eventfd(0, O_NONBLOCK));
  if (event.counter() != 0) TRY(sys::write_value(fd, event.counter()));
  TRY(sys::set_status_flags(fd, static_cast<int>(event.flags())));
  return fd;
}

}  // namespace

const FileKind eventfd_kind = {
    .name = "eventfd",
    .type = pb::EVENTFD,
    .matches = matches,
    .examine = examine,
    .capture = capture,
    .restore = restore,
    .owner = [](const pb::file_entry& entry) -> const pb::fown_entry& {
      return entry.efd().fown();
    },
    .mutable_owner = [](pb::file_entry& entry) { return entry.mutable_efd()->mutable_fown(); },
};

}  // namespace cryo

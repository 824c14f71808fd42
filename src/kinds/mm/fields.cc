// What the kernel remembers of an address space besides its mappings: where code, data, heap, stack, arguments
// and environment are, the auxiliary vector, the executable, dumpability, huge-page policy.
#include <linux/prctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <vector>

#include "kinds/all.h"
#include "kinds/registry.h"

namespace cryo {
namespace {

// It need not be mapped any more; if it is, the mappings are looked at.
Result<void> examine(const TaskView& task) {
  const FdView exe = TRY(FdView::of_link(task.proc.dir(), "exe", O_RDONLY));
  const bool mapped =
      std::ranges::any_of(task.vmas, [&](const procfs::Vma& vma) { return vma.name == exe.link; });
  const FileKind* kind = mapped ? nullptr : file_kind_of(exe);
  return kind == nullptr || kind->examine == nullptr ? Result<void>() : kind->examine(task, exe);
}

Result<void> capture(TaskCapture& task) {
  pb::mm_entry& mm = task.image.mm;
  mm.set_mm_start_code(task.stat.start_code);
  mm.set_mm_end_code(task.stat.end_code);
  mm.set_mm_start_data(task.stat.start_data);
  mm.set_mm_end_data(task.stat.end_data);
  mm.set_mm_start_stack(task.stat.start_stack);
  mm.set_mm_start_brk(task.stat.start_brk);
  mm.set_mm_arg_start(task.stat.arg_start);
  mm.set_mm_arg_end(task.stat.arg_end);
  mm.set_mm_env_start(task.stat.env_start);
  mm.set_mm_env_end(task.stat.env_end);
  const FdView exe = TRY(FdView::of_link(task.proc.dir(), "exe", O_RDONLY));
  const FileId id = TRY(task.capture.files.add(task, exe));
  mm.set_exe_file_id(id.value);
  const std::string bytes = TRY(task.proc.auxv());
  const std::vector<procfs::AuxEntry> auxv = TRY(procfs::parse_auxv(bytes));
  // Without the closing AT_NULL, which the kernel adds by itself: CRIU takes no more than 44 words, and
  // the 22 entries of today's x86_64 are that many.
  for (const auto& [type, value] : auxv) {
    mm.add_mm_saved_auxv(type);
    mm.add_mm_saved_auxv(value);
  }
  return {};
}

Result<Answer> ask(TaskCapture& task, Batch& batch) {
  const uint32_t first = batch.size();
  batch.call(SYS_brk, 0);
  batch.call(SYS_prctl, PR_GET_DUMPABLE, 0, 0, 0, 0);
  batch.call(SYS_prctl, PR_GET_THP_DISABLE, 0, 0, 0, 0);
  return Answer([&task, first](const Outcome& outcome) -> Result<void> {
    task.image.mm.set_mm_brk(static_cast<uint64_t>(outcome.result(first)));
    task.image.mm.set_dumpable(static_cast<int32_t>(outcome.result(first + 1)));
    task.image.mm.set_thp_disabled(outcome.result(first + 2) != 0);
    return {};
  });
}

Result<void> compile(TaskRestore& task) {
  const pb::mm_entry& mm = task.image.mm;
  Batch& batch = task.plan.calls(Phase::mm);
  prctl_mm_map map{};
  map.start_code = mm.mm_start_code();
  map.end_code = mm.mm_end_code();
  map.start_data = mm.mm_start_data();
  map.end_data = mm.mm_end_data();
  map.start_brk = mm.mm_start_brk();
  map.brk = mm.mm_brk();
  map.start_stack = mm.mm_start_stack();
  map.arg_start = mm.mm_arg_start();
  map.arg_end = mm.mm_arg_end();
  map.env_start = mm.mm_env_start();
  map.env_end = mm.mm_env_end();
  map.auxv_size = static_cast<uint32_t>(mm.mm_saved_auxv_size()) * 8;
  map.exe_fd = static_cast<uint32_t>(task.restore.files.file(FileId{mm.exe_file_id()}, O_RDONLY));
  const Data auxv = batch.put(std::as_bytes(
      std::span(mm.mm_saved_auxv().data(), static_cast<size_t>(mm.mm_saved_auxv_size()))));
  const Data at = batch.put(map);
  batch.point(at, offsetof(prctl_mm_map, auxv), auxv);
  batch.call(SYS_prctl, PR_SET_MM, PR_SET_MM_MAP, at, sizeof(map), 0);
  if (mm.thp_disabled()) batch.call(SYS_prctl, PR_SET_THP_DISABLE, 1, 0, 0, 0);
  if (mm.has_dumpable())
    task.plan.calls(Phase::late)
        .call(SYS_prctl, PR_SET_DUMPABLE, mm.dumpable() == 1 ? 1 : 0, 0, 0, 0);
  return {};
}

}  // namespace

const TaskKind mm_fields_kind = {
    .name = "mm fields", .examine = examine, .capture = capture, .ask = ask, .compile = compile};

}  // namespace cryo

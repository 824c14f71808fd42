#include "engine/threads_dump.h"

#include <algorithm>
#include <map>

#include "engine/stopped_state.h"
#include "kinds/registry.h"
#include "sys/file.h"

namespace cryo {
namespace {

// So few threads are asked faster than the kernel is.
constexpr size_t kFew = 8;

Result<procfs::TaskStatus> read_status(const TaskView& task, Tid tid) {
  if (tid == leader_of(task.pid)) return task.status;
  const std::string text = TRY(sys::read_file(task.proc.dir(), fmt::format("task/{}/status", tid)));
  return procfs::parse_status(text);
}

// Whether the threads have other numbers in a PID namespace of their own.
bool has_other_numbers(const TaskView& task) { return task.status.ns_pid.size() > 1; }

Result<int32_t> number_of(const TaskView& task, Tid tid) {
  if (!has_other_numbers(task)) return tid.value;
  const procfs::TaskStatus status = TRY(read_status(task, tid));
  return status.ns_pid.back();
}

Result<std::vector<ThreadRecord>> read_records(const TaskCapture& task, ThreadRecorder& recorder) {
  ThreadRecords records = TRY(recorder.read(task.pid));
  std::vector<ThreadRecord> out;
  for (const FrozenThread& thread : task.threads) {
    const auto found = records.find(TRY(number_of(task, thread.task.tid())));
    if (found == records.end())
      return Error::unsupported(fmt::format("there is no record of thread {}", thread.task.tid()));
    out.push_back(std::move(found->second));
  }
  return out;
}

Result<void> take_records(TaskCapture& task, ThreadRecorder& recorder) {
  const bool unknown_time = std::ranges::any_of(task.threads, [&](const FrozenThread& thread) {
    return waits_for_unknown_time(thread, task.mem);
  });
  if (task.threads.size() < kFew && !unknown_time) return {};
  Result<std::vector<ThreadRecord>> records = read_records(task, recorder);
  if (records) {
    task.records = std::move(*records);
    return {};
  }
  if (records.error().kind() == ErrorKind::gone) return std::move(records).error();
  if (unknown_time)
    task.capture.log.warn("Waits with a time limit may begin anew in {}: {}", task.pid,
                          records.error().message());
  return {};
}

// The first thread that is like thread `i`; itself when there is none.
std::vector<size_t> find_likes(const TaskCapture& task) {
  std::map<std::string_view, size_t> first;
  std::vector<size_t> likes;
  for (size_t i = 0; i < task.threads.size(); ++i)
    likes.push_back(
        task.records.empty() ? i : first.emplace(task.records[i].likeness, i).first->second);
  return likes;
}

// /proc/PID/status of a thread that is like another one.
procfs::TaskStatus status_like(const procfs::TaskStatus& other, const FrozenThread& thread,
                               const ThreadRecord& record) {
  procfs::TaskStatus out = other;
  out.name = record.comm;
  out.pid = thread.task.tid().value;
  out.ns_pid = {out.pid};
  out.sig_pending = record.pending;
  out.sig_blocked = thread.mask;
  return out;
}

Result<void> take_statuses(TaskCapture& task) {
  const std::vector<size_t> likes = find_likes(task);
  for (size_t i = 0; i < task.threads.size(); ++i) {
    const FrozenThread& thread = task.threads[i];
    if (likes[i] == i || has_other_numbers(task))
      task.statuses.push_back(TRY(read_status(task, thread.task.tid())));
    else
      task.statuses.push_back(status_like(task.statuses[likes[i]], thread, task.records[i]));
  }
  return {};
}

bool adopt(TaskCapture& task, size_t index, size_t like) {
  ThreadCapture thread{task, index};
  return std::ranges::all_of(task_kinds(), [&](const TaskKind* kind) {
    return kind->ask_thread == nullptr ||
           (kind->adopt_thread != nullptr && kind->adopt_thread(thread, task.image.threads[like]));
  });
}

Result<void> ask(TaskCapture& task, Injection& injection, const std::vector<size_t>& indexes) {
  std::vector<const FrozenThread*> threads;
  for (const size_t index : indexes) threads.push_back(&task.threads[index]);
  std::vector<std::vector<Answer>> answers(threads.size());
  std::optional<Error> failure;
  const auto make = [&](size_t i) {
    Batch batch;
    ThreadCapture thread{task, indexes[i]};
    for (const TaskKind* kind : task_kinds()) {
      if (kind->ask_thread == nullptr) continue;
      Result<Answer> answer = kind->ask_thread(thread, batch);
      if (answer)
        answers[i].push_back(std::move(answer).value());
      else if (!failure)
        failure = std::move(answer).error();
    }
    return batch;
  };
  const auto take = [&](size_t i, const Outcome& outcome) -> Result<void> {
    if (!outcome.complete())
      return Error::of(ErrorKind::os, fmt::format("thread {} did not answer call {}",
                                                  threads[i]->task.tid(), outcome.finished()));
    for (const Answer& answer : answers[i]) TRY(answer(outcome));
    return {};
  };
  const bool alone = std::ranges::any_of(task_kinds(), [&](const TaskKind* kind) {
    return kind->one_at_a_time != nullptr && kind->one_at_a_time(task);
  });
  TRY(injection.run_in_threads(threads, make, take, alone));
  if (failure) return std::move(*failure);
  return {};
}

}  // namespace

Result<void> take_threads(TaskCapture& task, std::span<const Stopped> stopped,
                          ThreadRecorder& recorder) {
  for (const Stopped& thread : stopped) {
    arch::ThreadState state = TRY(thread.thread_state());
    const sys::SigSet mask = TRY(thread.signal_mask());
    task.threads.push_back({thread, std::move(state), mask});
    task.image.threads.push_back({thread.tid(), {}, {}});
    TRY(take_back_the_stop(task.threads.back(), task.proc, task.mem));
  }
  TRY(take_records(task, recorder));
  TRY(take_statuses(task));
  for (size_t i = 0; i < task.threads.size(); ++i) {
    ThreadCapture thread{task, i};
    record_interrupted_call(thread);
  }
  return {};
}

Result<void> ask_threads(TaskCapture& task, Injection& injection) {
  const std::vector<size_t> likes = find_likes(task);
  std::vector<size_t> unique, refused;
  for (size_t i = 1; i < likes.size(); ++i)
    if (likes[i] == i) unique.push_back(i);
  TRY(ask(task, injection, unique));
  for (size_t i = 1; i < likes.size(); ++i)
    if (likes[i] != i && !adopt(task, i, likes[i])) refused.push_back(i);
  return ask(task, injection, refused);
}

}  // namespace cryo

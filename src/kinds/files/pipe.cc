// Pipes. Their contents are in pipes-data.img when an end to read from is in the dump. An end whose other side is
// outside of the dump comes back either from --inherit-fd fd[N]:pipe:[INODE], or without its other side.
#include <map>
#include <set>

#include "fdinfo.pb.h"
#include "kinds/all.h"
#include "kinds/files/inherit.h"
#include "pipe-data.pb.h"
#include "sys/file.h"
#include "sys/process.h"

namespace cryo {
namespace {

// What F_SETFL sets.
constexpr int kStatusFlags = O_NONBLOCK | O_APPEND | O_ASYNC | O_NOATIME;

int access_of(uint32_t flags) { return static_cast<int>(flags) & O_ACCMODE; }
bool reads(uint32_t flags) { return access_of(flags) != O_WRONLY; }
bool writes(uint32_t flags) { return access_of(flags) != O_RDONLY; }

bool matches(const FdView& view) {
  return view.link.starts_with("pipe:[") && (view.flags & O_PATH) == 0;
}

// --- dump

struct CapturedPipes {
  struct Ends {
    bool has_reader = false, has_writer = false;
    std::string where;  // of the first one seen
    std::string link;
  };
  std::set<ino_t> with_data;
  std::map<ino_t, Ends> ends;
};

Result<void> examine(const TaskView& task, const FdView& view) {
  const std::string where = fmt::format("fd {}", *view.fd);
  if ((view.flags & O_DIRECT) != 0)
    task.block(where, fmt::format("is a pipe of packets ({}), which cannot be dumped", view.link),
               "open it without O_DIRECT");
  return {};
}

// Known when all tasks have been looked at.
void warn_of_halves(Log& log, const CapturedPipes& pipes) {
  for (const auto& [inode, ends] : pipes.ends)
    if (!ends.has_reader || !ends.has_writer)
      log.warn("{}: the end to {} {} is not part of the dump: restore with --inherit-fd fd[N]:{}",
               ends.where, ends.has_reader ? "write to" : "read from", ends.link, ends.link);
}

void note_end(const TaskView& task, const FdView& view) {
  Capture& capture = task.capture;
  CapturedPipes& pipes = capture.shelf.get<CapturedPipes>();
  if (pipes.ends.empty())
    capture.finally.emplace_back([&capture, &pipes] { warn_of_halves(capture.log, pipes); });
  CapturedPipes::Ends& ends = pipes.ends[view.st.st_ino];
  if (ends.where.empty()) {
    ends.where = fmt::format("fd {} of {}", *view.fd, task.pid);
    ends.link = view.link;
  }
  ends.has_reader |= reads(view.flags);
  ends.has_writer |= writes(view.flags);
}

Result<std::string> peek(FdRef pipe, int size) {
  const sys::Pipe copy = TRY(sys::pipe2(O_NONBLOCK));
  TRY(sys::fcntl(copy.write, F_SETPIPE_SZ, size));
  Result<size_t> bytes = sys::tee(pipe, copy.write, static_cast<size_t>(size), SPLICE_F_NONBLOCK);
  if (!bytes && bytes.error().code() == EAGAIN) return std::string();  // empty
  if (!bytes) return std::move(bytes).error();
  std::string data(bytes.value(), '\0');
  if (!data.empty()) TRY(sys::read_all(copy.read, data.data(), data.size()));
  return data;
}

Result<void> capture_data(const TaskView& task, const FdView& view) {
  const Fd pidfd = TRY(sys::pidfd_open(task.pid));
  const Fd pipe = TRY(view.steal(pidfd));
  const int size = TRY(sys::fcntl(pipe, F_GETPIPE_SZ));
  const std::string data = TRY(peek(pipe, size));
  pb::pipe_data_entry entry;
  entry.set_pipe_id(static_cast<uint32_t>(view.st.st_ino));
  entry.set_bytes(static_cast<uint32_t>(data.size()));
  entry.set_size(static_cast<uint32_t>(size));
  TRY(task.capture.images.append({ImageKind::pipes_data}, entry));
  return task.capture.images.append_raw({ImageKind::pipes_data}, data);
}

Result<void> capture(const TaskView& task, const FdView& view, FileId id, pb::file_entry& entry) {
  pb::pipe_entry& pipe = *entry.mutable_pipe();
  pipe.set_id(id.value);
  pipe.set_pipe_id(static_cast<uint32_t>(view.st.st_ino));
  pipe.set_flags(view.flags);
  note_end(task, view);
  if (!reads(view.flags) ||
      !task.capture.shelf.get<CapturedPipes>().with_data.insert(view.st.st_ino).second)
    return {};
  TRY_IN(capture_data(task, view), "copying the contents of {}", view.link);
  return {};
}

// --- restore

struct Contents {
  uint32_t size = 0;  // of the pipe
  std::string data;
};

struct Made {
  sys::Pipe ends;
  bool read_taken = false;
  bool write_taken = false;
};

struct RestoredPipes {
  bool loaded = false;
  std::map<uint32_t, Contents> contents;
  std::map<uint32_t, Made> made;
};

Result<void> load(RestoredPipes& pipes, const ImageReader& images) {
  if (pipes.loaded) return {};
  pipes.loaded = true;
  std::optional<ImageCursor> cursor = TRY(images.find({ImageKind::pipes_data}));
  pb::pipe_data_entry entry;
  bool more = cursor.has_value();
  while (more) {
    more = TRY(cursor->next(entry));
    if (!more) break;
    Contents& contents = pipes.contents[entry.pipe_id()];
    contents.size = entry.size();
    contents.data = TRY(cursor->take(entry.bytes()));
  }
  return {};
}

Result<Made> make(const RestoredPipes& pipes, uint32_t id) {
  Made made;
  made.ends = TRY(sys::pipe2(O_NONBLOCK));
  const auto found = pipes.contents.find(id);
  if (found == pipes.contents.end()) return made;
  if (found->second.size != 0)
    TRY(sys::fcntl(made.ends.write, F_SETPIPE_SZ, static_cast<int>(found->second.size)));
  TRY_IN(sys::write_all(made.ends.write, found->second.data), "filling the pipe {}", id);
  return made;
}

// One opened by name (/proc/PID/fd/N) has flags that pipe2 never sets.
Result<Fd> take_end(Made& made, uint32_t flags) {
  const bool plain =
      (flags & ~static_cast<uint32_t>(O_ACCMODE | kStatusFlags)) == 0 && access_of(flags) != O_RDWR;
  const Fd& end = writes(flags) ? made.ends.write : made.ends.read;
  bool& taken = writes(flags) ? made.write_taken : made.read_taken;
  if (plain && !taken) {
    taken = true;
    TRY(sys::set_status_flags(end, static_cast<int>(flags) & kStatusFlags));
    return sys::dup(end);
  }
  const int to_open = static_cast<int>(flags) & (O_ACCMODE | kStatusFlags);
  return sys::open(fmt::format("/proc/self/fd/{}", end.raw()), to_open | O_CLOEXEC);
}

Result<Fd> restore(const FileRestore& file, const pb::file_entry& entry) {
  const pb::pipe_entry& pipe = entry.pipe();
  const std::string key = fmt::format("pipe:[{}]", pipe.pipe_id());
  std::optional<Fd> outside = TRY(inherited(file.restore, key));
  if (outside) {
    const int has = TRY(sys::get_status_flags(*outside)) & O_ACCMODE;
    if (has != O_RDWR && has != access_of(pipe.flags()))
      return Error::usage(fmt::format("the descriptor for {} is the wrong end: the process {} it",
                                      key, writes(pipe.flags()) ? "writes to" : "reads from"));
    return std::move(*outside);
  }
  if ((pipe.flags() & O_DIRECT) != 0)
    return Error::unsupported(fmt::format("{} is a pipe of packets", key));
  RestoredPipes& pipes = file.restore.shelf.get<RestoredPipes>();
  TRY(load(pipes, file.restore.images));
  auto made = pipes.made.find(pipe.pipe_id());
  if (made == pipes.made.end()) {
    Made fresh = TRY(make(pipes, pipe.pipe_id()));
    made = pipes.made.emplace(pipe.pipe_id(), std::move(fresh)).first;
  }
  return take_end(made->second, pipe.flags());
}

}  // namespace

const FileKind pipe_kind = {
    .name = "pipe",
    .type = pb::PIPE,
    .matches = matches,
    .examine = examine,
    .capture = capture,
    .restore = restore,
    .owner = [](const pb::file_entry& entry) -> const pb::fown_entry& {
      return entry.pipe().fown();
    },
    .mutable_owner = [](pb::file_entry& entry) { return entry.mutable_pipe()->mutable_fown(); },
};

}  // namespace cryo

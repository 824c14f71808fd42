// What a caller asks of an operation, as plain data. The command line (frontend/cli) fills these from
// its option table; any other frontend fills the same structs. Names and meanings are CRIU's.
//
// Directories are not in here: a frontend opens them and passes descriptors in a Job (plan/job.h),
// because the command line changes to the work directory before the operation begins.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/ids.h"

namespace cryo {

// --external file[MNT_ID:INODE]: an open file that comes from outside and is not stored.
struct ExternalFile {
  uint32_t mnt_id = 0;
  uint64_t inode = 0;
  friend bool operator==(const ExternalFile&, const ExternalFile&) = default;
};

// --external tty[RDEV:DEV]: a terminal that comes from outside.
struct ExternalTty {
  uint64_t rdev = 0;
  uint64_t dev = 0;
  friend bool operator==(const ExternalTty&, const ExternalTty&) = default;
};

// --inherit-fd fd[N]:KEY: descriptor N of the caller stands for the file that KEY names, in the form the
// images have it: "pipe:[INODE]", "socket:[INODE]", "file[MNT:INO]", "tty[RDEV:DEV]", "path/without/slash",
// "/memfd:NAME", or the name of an external namespace.
struct InheritFd {
  int fd = -1;
  std::string key;
  friend bool operator==(const InheritFd&, const InheritFd&) = default;
};

// --cpu-cap: what of the CPU is written to cpuinfo.img (dump) or compared with it (restore).
struct CpuCap {
  // The option is not given: instructions and FPU are checked; no image is written.
  bool image = false;
  bool cpu = false;          // the very same model and features
  bool fpu = true;           // the FPU state fits
  bool instructions = true;  // every instruction set of the image's CPU is here
  friend bool operator==(const CpuCap&, const CpuCap&) = default;
};

// --file-validation: how a regular file is recognised as unchanged. build_id falls back to the size.
enum class FileValidation : uint8_t { size, build_id };

struct CommonOptions {
  // As given, for messages and for CRIU's files that hold names; the open directories are in the Job.
  std::string images_dir = ".";  // -D
  std::string work_dir;          // -W, "" is the images directory
  std::string log_file;          // -o, "" is stderr, "-" is stdout
  int verbosity = 2;             // -v: 0 messages, 1 errors, 2 warnings, 3 info, 4 debug

  std::vector<std::string> action_scripts;  // --action-script, in the order given
  CpuCap cpu_cap;                           // --cpu-cap
  FileValidation file_validation = FileValidation::build_id;
  std::string root;            // -r: "" is "/"
  bool shell_job = false;      // -j: an outside session, process group and terminal are fine
  bool display_stats = false;  // --display-stats
  bool unprivileged = false;   // --unprivileged: CAP_CHECKPOINT_RESTORE is enough
  bool file_locks = false;     // --file-locks: locks that are held on files come along
  bool explain = false;        // --explain: say what would be done; touch nothing

  std::vector<ExternalFile> external_files;  // --external file[...]
  std::vector<ExternalTty> external_ttys;    // --external tty[...]
};

// What becomes of the tasks after a dump.
enum class FinalState : uint8_t { killed, running, stopped };

struct DumpOptions : CommonOptions {
  Pid tree{};                                   // -t
  FinalState final_state = FinalState::killed;  // -R, -s; the last one given counts
  uint32_t timeout_s = 10;                      // --timeout, of freezing and collecting; 0 is none
  bool link_remap = false;           // --link-remap: temporary links to removed names are fine
  uint64_t ghost_limit = 1U << 20U;  // --ghost-limit: bytes on disk of one removed file
};

struct RestoreOptions : CommonOptions {
  bool detached = false;       // -d: return once the tasks run
  bool sibling = false;        // -S: the root task is the child of our parent (only with -d)
  bool leave_stopped = false;  // -s
  bool log_pid = false;        // --log-pid: one log LOG.PID a task (only with -o)
  bool skip_file_rwx_check =
      false;            // --skip-file-rwx-check: other permission bits are no difference
  std::string pidfile;  // --pidfile, of the root task, relative to the work directory
  std::vector<InheritFd> inherit_fds;  // --inherit-fd
  // --exec-cmd: what we become after the restore, as the parent of the tree. Empty without the option.
  std::vector<std::string> exec_cmd;
};

}  // namespace cryo

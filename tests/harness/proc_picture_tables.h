// What a ProcPicture is made from, and what it leaves out.
#pragma once

#include <string_view>
#include <vector>

namespace cryo::live {

enum class Shape {
  text,         // one value
  strings,      // NUL-separated strings
  words,        // 64-bit words, in hex
  link,         // a symbolic link
  links,        // a directory of symbolic links
  texts,        // a directory of files with one value
  fields,       // "name: value" on each line
  limits,       // a name of 26 columns on each line, then values
  stat,         // the blank-separated numbers of stat
  syscall,      // the system call that a thread sleeps in
  mappings,     // smaps
  numa,         // numa_maps: the policy of each mapping
  descriptors,  // the directories fd and fdinfo
};

enum class Scope { process, task };

struct ProcSource {
  std::string_view name;
  Shape shape;
  Scope scope;
};

struct LeftOut {
  std::string_view name;
  std::string_view reason;
};

// A difference that is the peer's: of the key's beginning and end, and the values are equal but for these parts. If
// neither has one, all of the value is lost.
struct LostByPeer {
  std::string_view beginning;
  std::string_view end;
  std::string_view only_before;
  std::string_view only_after;
  std::string_view reason;
};

const std::vector<ProcSource>& proc_sources();
// Files and directories below /proc/PID and /proc/PID/task/TID.
const std::vector<LeftOut>& files_left_out();
// Fields, as SOURCE/NAME.
const std::vector<LeftOut>& fields_left_out();
// Of these sources only the named fields are compared: nearly all others are statistics.
const std::vector<std::string_view>& only_fields_kept(std::string_view source);
// Names of the fields of stat, in order from 1; empty for those left out.
const std::vector<std::string_view>& stat_fields();

bool is_left_out(std::string_view source, std::string_view field);
const std::vector<LostByPeer>& lost_by_peer();

}  // namespace cryo::live

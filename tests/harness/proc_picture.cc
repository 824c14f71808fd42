#include "tests/harness/proc_picture.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "tests/harness/call_numbers.h"
#include "tests/harness/proc_picture_tables.h"
#include "tests/harness/text.h"

namespace cryo::live {
namespace {

namespace fs = std::filesystem;

// glibc's headers clash with the kernel's struct sched_attr.
struct SchedAttributes {
  uint32_t size, policy;
  uint64_t flags;
  int32_t nice;
  uint32_t priority;
  uint64_t runtime, deadline, period;
  uint32_t util_min, util_max;
};
static_assert(sizeof(SchedAttributes) == 56);

std::string trimmed(std::string_view text) {
  const size_t begin = text.find_first_not_of(" \t\n");
  if (begin == std::string_view::npos) return {};
  return std::string(text.substr(begin, text.find_last_not_of(" \t\n") - begin + 1));
}

// Blanks in rows become one.
std::vector<std::string> words_of(std::string_view text) {
  std::vector<std::string> words;
  for (;;) {
    const size_t begin = text.find_first_not_of(" \t\n");
    if (begin == std::string_view::npos) return words;
    text.remove_prefix(begin);
    const size_t length = std::min(text.find_first_of(" \t\n"), text.size());
    words.emplace_back(text.substr(0, length));
    text.remove_prefix(length);
  }
}

std::string joined(const std::vector<std::string>& words, size_t from) {
  std::string text;
  for (size_t i = from; i < words.size(); i++) text += (text.empty() ? "" : " ") + words[i];
  return text;
}

std::vector<std::string> names_in(const std::string& directory) {
  std::vector<std::string> names;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    names.push_back(entry.path().filename());
  }
  const auto by_number = [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() < b.size() : a < b;
  };
  std::sort(names.begin(), names.end(), by_number);
  return names;
}

// A file that a restore has to make again gets another inode.
bool is_made_again(const std::string& path) {
  return path.empty() || path[0] != '/' || path.ends_with(" (deleted)") ||
         path.starts_with("/memfd:") || path.starts_with("/SYSV") || path.starts_with("/dev/zero");
}

class Painter {
 public:
  explicit Painter(pid_t pid) : pid_(pid), directory_(fmt::format("/proc/{}/", pid)) {}
  ProcPicture paint();

 private:
  void read(const ProcSource& source, const std::string& path, const std::string& key);
  void read_fields(std::string_view source, const std::string& path, const std::string& key);
  void read_limits(const std::string& path);
  void read_stat(const std::string& path, const std::string& key);
  void read_syscall(const std::string& path, const std::string& key);
  void read_mappings(const std::string& path);
  void read_numa(const std::string& path);
  void read_descriptors();
  void read_fdinfo(const std::string& number, bool made_again);
  void ask_kernel(pid_t tid, const std::string& key);
  std::string ordinal(const std::string& inode);
  std::string known_ordinal(const std::string& inode) const;
  void put(const std::string& key, std::string value) { entries_[key] = std::move(value); }

  pid_t pid_;
  std::string directory_;
  std::map<std::string, std::string> entries_;
  std::map<std::string, std::string> ordinals_;
};

ProcPicture Painter::paint() {
  for (const ProcSource& source : proc_sources()) {
    const std::string name(source.name);
    if (source.scope == Scope::process) {
      read(source, directory_ + name, name);
      continue;
    }
    for (const std::string& tid : names_in(directory_ + "task")) {
      // /proc/TID has some files that task/TID has not.
      read(source, "/proc/" + tid + "/" + name, "task/" + tid + "/" + name);
    }
  }
  for (const std::string& tid : names_in(directory_ + "task")) {
    ask_kernel(std::stoi(tid), "task/" + tid + "/");
  }
  return {pid_, std::move(entries_)};
}

void Painter::read(const ProcSource& source, const std::string& path, const std::string& key) {
  switch (source.shape) {
    case Shape::text:
      return put(key, trimmed(read_text(path)));
    case Shape::strings: {
      std::string text = read_text(path);
      std::replace(text.begin(), text.end(), '\0', '\n');
      return put(key, text);
    }
    case Shape::words: {
      const std::string bytes = read_text(path);
      std::string hex;
      for (size_t i = 0; i + 8 <= bytes.size(); i += 8) {
        uint64_t word = 0;
        memcpy(&word, bytes.data() + i, 8);
        hex += fmt::format("{:x} ", word);
      }
      return put(key, hex);
    }
    case Shape::link:
      return put(key, read_link(path));
    case Shape::links:
      for (const std::string& name : names_in(path))
        put(key + "/" + name, read_link(path + "/" + name));
      return;
    case Shape::texts:
      for (const std::string& name : names_in(path))
        put(key + "/" + name, read_text(path + "/" + name));
      return;
    case Shape::fields:
      return read_fields(source.name, path, key);
    case Shape::limits:
      return read_limits(path);
    case Shape::stat:
      return read_stat(path, key);
    case Shape::syscall:
      return read_syscall(path, key);
    case Shape::mappings:
      return read_mappings(path);
    case Shape::numa:
      return read_numa(path);
    case Shape::descriptors:
      return read_descriptors();
  }
}

void Painter::read_fields(std::string_view source, const std::string& path,
                          const std::string& key) {
  for (const std::string& line : split_lines(read_text(path))) {
    const size_t colon = line.find(':');
    // autogroup is "/autogroup-8 nice 0", with a number that the kernel gives out.
    if (source == "autogroup") {
      const size_t nice = line.find(" nice ");
      put(key + "/nice", line.substr(std::min(nice, line.size())));
    } else if (colon != std::string::npos) {
      const std::string name = trimmed(line.substr(0, colon));
      if (!is_left_out(source, name)) put(key + "/" + name, trimmed(line.substr(colon + 1)));
    }
  }
}

void Painter::read_limits(const std::string& path) {
  for (const std::string& line : split_lines(read_text(path))) {
    if (line.size() < 26 || line.starts_with("Limit ")) continue;
    put("limits/" + trimmed(line.substr(0, 26)), joined(words_of(line.substr(26)), 0));
  }
}

void Painter::read_stat(const std::string& path, const std::string& key) {
  const std::string line = read_text(path);
  const size_t end_of_comm = line.rfind(')');
  if (end_of_comm == std::string::npos) return;
  const std::vector<std::string> words = words_of(line.substr(end_of_comm + 1));
  const std::vector<std::string_view>& names = stat_fields();
  for (size_t i = 0; i < words.size(); i++) {  // the first one is the state, field 3
    const std::string name(i + 2 < names.size() ? names[i + 2] : fmt::format("field {}", i + 3));
    if (!name.empty()) put(key + "/" + name, words[i]);
  }
}

void Painter::read_syscall(const std::string& path, const std::string& key) {
  const std::string text = trimmed(read_text(path));
  // A timed wait that the kernel went on with after a dump shows as restart_syscall.
  const long timed[] = {SYS_restart_syscall, SYS_futex, kPoll, SYS_nanosleep, SYS_clock_nanosleep};
  const bool may_be_restarted =
      std::ranges::any_of(timed, [&](long nr) { return text.starts_with(fmt::format("{} ", nr)); });
  if (text != "running" && !may_be_restarted) put(key, text);
}

// Neighbours that differ in nothing are taken as one: whether the kernel merges two mappings
// depends on their history.
void Painter::read_mappings(const std::string& path) {
  struct Mapping {
    uint64_t begin, end, offset;
    std::string perms, file;
    std::map<std::string, std::string> fields;
  };
  std::vector<Mapping> mappings;
  const auto finish_last = [&] {
    if (mappings.size() < 2) return;
    Mapping& one = mappings[mappings.size() - 2];
    const Mapping& two = mappings.back();
    const bool has_file = !one.file.empty() && one.file[0] == '/';
    if (one.end != two.begin || one.perms != two.perms || one.file != two.file ||
        one.fields != two.fields ||
        (has_file && one.offset + (one.end - one.begin) != two.offset)) {
      return;
    }
    one.end = two.end;
    mappings.pop_back();
  };
  for (const std::string& line : split_lines(read_text(path))) {
    const std::vector<std::string> words = words_of(line);
    const size_t colon = line.find(':');
    if (words[0].back() != ':') {
      finish_last();
      Mapping mapping = {};
      if (sscanf(words[0].c_str(), "%lx-%lx", &mapping.begin, &mapping.end) != 2) continue;
      mapping.perms = words[1];
      const std::string name = joined(words, 5);
      const std::string inode =
          words[4] != "0" && is_made_again(name) ? ordinal(words[4]) : words[4];
      mapping.offset = std::stoul(words[2], nullptr, 16);
      mapping.file = name.empty() ? "" : name + " " + words[3] + " " + inode;
      mappings.push_back(std::move(mapping));
    } else if (const std::string name = line.substr(0, colon); !is_left_out("smaps", name)) {
      std::string value = joined(words, 1);
      // Soft-dirty is a tool of dumps themselves.
      if (name == "VmFlags" && value.ends_with(" sd")) value.resize(value.size() - 3);
      mappings.back().fields[name] = value;
    }
  }
  finish_last();
  for (const Mapping& mapping : mappings) {
    const std::string key = fmt::format("smaps/{:x}-{:x}", mapping.begin, mapping.end);
    put(key, fmt::format("{} {:x} {}", mapping.perms, mapping.offset, mapping.file));
    for (const auto& [name, value] : mapping.fields) put(key + "/" + name, value);
  }
}

void Painter::read_numa(const std::string& path) {
  for (const std::string& line : split_lines(read_text(path))) {
    const std::vector<std::string> words = words_of(line);
    if (words.size() > 1 && words[1] != "default") put("numa_maps/" + words[0], words[1]);
  }
}

void Painter::read_descriptors() {
  const std::vector<std::string> numbers = names_in(directory_ + "fd");
  std::map<std::string, bool> made_again;
  for (const std::string& number : numbers) {
    std::string link = read_link(directory_ + "fd/" + number);
    made_again[number] = is_made_again(link) && !link.starts_with("anon_inode:");
    const size_t bracket = link.find(":[");
    if (link[0] != '/' && !link.starts_with("anon_inode:") && bracket != std::string::npos) {
      link = link.substr(0, bracket + 2) +
             ordinal(link.substr(bracket + 2, link.size() - bracket - 3)) + "]";
    }
    put("fd/" + number, link);
  }
  // After all of them, because an epoll names the inodes of others.
  for (const std::string& number : numbers) read_fdinfo(number, made_again[number]);
}

void Painter::read_fdinfo(const std::string& number, bool made_again) {
  std::map<std::string, int> repeated;
  std::vector<std::string> lines = split_lines(read_text(directory_ + "fdinfo/" + number));
  // The kernel sorts what an epoll watches by addresses of its own.
  const auto watched =
      std::stable_partition(lines.begin(), lines.end(),
                            [](const std::string& line) { return !line.starts_with("tfd:"); });
  std::sort(watched, lines.end());
  for (const std::string& line : lines) {
    const size_t colon = line.find(':');
    if (colon == std::string::npos) {
      put("fdinfo/" + number + "/" + std::to_string(repeated[""]++), line);
      continue;
    }
    const std::string name = trimmed(line.substr(0, colon));
    if (is_left_out("fdinfo", name)) continue;
    std::string value = joined(words_of(line.substr(colon + 1)), 0);
    if (name == "ino" && made_again) value = ordinal(value);
    if (const size_t inode = value.find("ino:"); inode != std::string::npos) {
      const size_t end = std::min(value.find(' ', inode), value.size());
      const std::string hex = value.substr(inode + 4, end - inode - 4);
      value.replace(inode + 4, hex.size(),
                    known_ordinal(std::to_string(std::stoul(hex, nullptr, 16))));
    }
    const int count = repeated[name]++;
    put(fmt::format("fdinfo/{}/{}{}", number, name, count > 0 ? fmt::format("#{}", count) : ""),
        value);
  }
}

// What is shown nowhere in /proc.
void Painter::ask_kernel(pid_t tid, const std::string& key) {
  put(key + "ioprio", std::to_string(syscall(SYS_ioprio_get, 1 /* one task */, tid)));
  SchedAttributes attr = {};
  if (syscall(SYS_sched_getattr, tid, &attr, sizeof attr, 0) == 0) {
    put(key + "sched_attr",
        fmt::format(
            "policy {} flags {:#x} nice {} priority {} runtime {} deadline {} period {} util {}-{}",
            attr.policy, attr.flags, attr.nice, attr.priority, attr.runtime, attr.deadline,
            attr.period, attr.util_min, attr.util_max));
  }
  uint64_t head = 0;
  size_t length = 0;
  if (syscall(SYS_get_robust_list, tid, &head, &length) == 0) {
    put(key + "robust_list", fmt::format("{:#x} {}", head, length));
  }
}

std::string Painter::ordinal(const std::string& inode) {
  const auto [place, is_new] = ordinals_.try_emplace(inode);
  if (is_new) place->second = fmt::format("#{}", ordinals_.size());
  return place->second;
}

std::string Painter::known_ordinal(const std::string& inode) const {
  const auto place = ordinals_.find(inode);
  return place == ordinals_.end() ? inode : place->second;
}

// "task/12/comm" -> "task/*/comm"; other keys as they are.
std::string with_any_thread(const std::string& key) {
  if (!key.starts_with("task/")) return key;
  return "task/*" + key.substr(std::min(key.find('/', 5), key.size()));
}

bool matches(const std::string& key, const std::vector<std::string>& beginnings) {
  return std::any_of(beginnings.begin(), beginnings.end(), [&](const std::string& beginning) {
    return key.starts_with(beginning) || with_any_thread(key).starts_with(beginning);
  });
}

std::vector<ProcDifference> all_differences(const ProcPicture& before, const ProcPicture& after) {
  std::vector<ProcDifference> result;
  for (const auto& [key, value] : before.entries) {
    const auto other = after.entries.find(key);
    const std::string now = other == after.entries.end() ? "" : other->second;
    if (now != value) result.push_back({key, value, now});
  }
  for (const auto& [key, value] : after.entries) {
    if (!before.entries.contains(key) && !value.empty()) result.push_back({key, "", value});
  }
  return result;
}

}  // namespace

Result<ProcPicture> ProcPicture::of(pid_t pid) {
  ProcPicture picture = Painter(pid).paint();
  if (picture.entries["smaps"].empty() && access(fmt::format("/proc/{}", pid).c_str(), F_OK) != 0) {
    return Error::gone(fmt::format("process {} has no /proc directory", pid));
  }
  return picture;
}

std::vector<ProcDifference> differences(const ProcPicture& before, const ProcPicture& after,
                                        const std::vector<std::string>& ignored) {
  const std::string leader = fmt::format("task/{}/", before.pid);
  const std::vector<ProcDifference> all = all_differences(before, after);
  const auto leader_has = [&](const ProcDifference& difference) {
    return std::any_of(all.begin(), all.end(), [&](const ProcDifference& other) {
      return other.key.starts_with(leader) && other.before == difference.before &&
             other.after == difference.after &&
             with_any_thread(other.key) == with_any_thread(difference.key);
    });
  };
  std::vector<ProcDifference> result;
  for (const ProcDifference& difference : all) {
    if (matches(difference.key, ignored)) continue;
    const bool of_thread =
        difference.key.starts_with("task/") && !difference.key.starts_with(leader);
    if (!of_thread || !leader_has(difference)) result.push_back(difference);
  }
  return result;
}

bool is_lost_by_peer(const ProcDifference& difference) {
  const auto without = [](std::string text, std::string_view part) {
    const size_t at = part.empty() ? std::string::npos : text.find(part);
    return at == std::string::npos ? text : text.erase(at, part.size());
  };
  return std::any_of(lost_by_peer().begin(), lost_by_peer().end(), [&](const LostByPeer& lost) {
    if (!difference.key.starts_with(lost.beginning) || !difference.key.ends_with(lost.end))
      return false;
    return (lost.only_before.empty() && lost.only_after.empty()) ||
           without(difference.before, lost.only_before) ==
               without(difference.after, lost.only_after);
  });
}

std::string to_string(const std::vector<ProcDifference>& differences) {
  std::string text;
  for (const ProcDifference& one : differences) {
    text += fmt::format("  {}: {} -> {}\n", one.key, one.before.empty() ? "(none)" : one.before,
                        one.after.empty() ? "(none)" : one.after);
  }
  return text;
}

bool knows_proc_file(const std::string& name) {
  const auto is_source = [&](const ProcSource& source) { return source.name == name; };
  const auto is_left_out = [&](const LeftOut& left_out) { return left_out.name == name; };
  return std::any_of(proc_sources().begin(), proc_sources().end(), is_source) ||
         std::any_of(files_left_out().begin(), files_left_out().end(), is_left_out);
}

}  // namespace cryo::live

#include "procfs/locks.h"

#include "procfs/text.h"

namespace cryo::procfs {
namespace {

bool word(Scanner& in, std::string& out) {
  std::string_view token;
  in.spaces();
  if (!in.token(token)) return false;
  out = token;
  return true;
}

bool owner_and_file(Scanner& in, FileLock& lock) {
  in.spaces();
  if (!in.decimal(lock.pid)) return false;
  in.spaces();
  return in.hex(lock.major) && in.skip(':') && in.hex(lock.minor) && in.skip(':') &&
         in.decimal(lock.ino);
}

bool range(Scanner& in, FileLock& lock) {
  in.spaces();
  if (!in.decimal(lock.start)) return false;
  in.spaces();
  if (in.skip("EOF")) return true;
  uint64_t end = 0;
  if (!in.decimal(end) || end < lock.start) return false;
  lock.end = end;
  return true;
}

}  // namespace

Result<FileLock> parse_lock(std::string_view line) {
  Scanner in(line);
  FileLock lock;
  uint64_t number = 0;
  std::string advisory;
  bool understood = in.decimal(number) && in.skip(':');
  in.spaces();
  lock.waiting = in.skip("-> ");
  understood = understood && word(in, lock.kind) && word(in, advisory) && word(in, lock.mode) &&
               owner_and_file(in, lock) && range(in, lock);
  in.spaces();
  if (!understood || !in.at_end()) return malformed("locks", line);
  return lock;
}

Result<std::vector<FileLock>> parse_locks(std::string_view text) {
  std::vector<FileLock> locks;
  Scanner in(text);
  for (std::string_view line; in.line(line);) locks.push_back(TRY(parse_lock(line)));
  return locks;
}

Result<std::vector<FileLock>> locks_of(const FdInfo& info) {
  std::vector<FileLock> locks;
  for (const std::string_view line : info.all("lock")) locks.push_back(TRY(parse_lock(line)));
  return locks;
}

}  // namespace cryo::procfs

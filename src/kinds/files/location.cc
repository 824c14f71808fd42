#include "kinds/files/location.h"

#include "sys/file.h"

namespace cryo {
namespace {

constexpr std::string_view kDeleted = " (deleted)";

bool leads_to(const std::string& name, const struct stat& file) {
  const Result<struct stat> found = sys::fstatat(sys::cwd(), name);
  return found && found.value().st_dev == file.st_dev && found.value().st_ino == file.st_ino;
}

}  // namespace

Result<Location> locate(const FdView& view) {
  const std::string& link = view.link;
  if (!link.starts_with('/')) return Location{Location::Kind::hidden, link};
  const bool deleted = link.ends_with(kDeleted);
  std::string name = deleted ? link.substr(0, link.size() - kDeleted.size()) : link;
  if (view.st.st_nlink == 0) return Location{Location::Kind::removed, std::move(name)};
  if (leads_to(link, view.st)) return Location{Location::Kind::named, link};
  if (!deleted) return Location{Location::Kind::hidden, link};
  // Also when it got this name again after it had been removed.
  const bool named = leads_to(name, view.st);
  return Location{named ? Location::Kind::named : Location::Kind::unlinked, std::move(name)};
}

}  // namespace cryo

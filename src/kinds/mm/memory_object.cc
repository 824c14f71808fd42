#include "kinds/mm/memory_object.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/memfd.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <bit>
#include <set>

#include "image/pagemap.h"
#include "sys/file.h"
#include "sys/memory.h"

namespace cryo {
namespace {

constexpr size_t kChunk = 1 << 20;
constexpr std::string_view kDeleted = " (deleted)";
constexpr std::string_view kMemfd = "/memfd:";
constexpr std::string_view kAnonymous = "/dev/zero";
constexpr std::string_view kAnonymousHuge = "/anon_hugepage";
static_assert(MFD_HUGETLB == 4 && MAP_HUGE_SHIFT == 26);

// What the object is called in the image.
std::string name_of(const FdView& view) {
  std::string_view name = view.link;
  if (name.ends_with(kDeleted)) name.remove_suffix(kDeleted.size());
  if (name.starts_with(kMemfd)) name.remove_prefix(kMemfd.size());
  return std::string(name);
}

bool is_on_internal_mount(const struct stat& st) {
  const Result<Fd> plain = sys::memfd_create("cryo-probe", MFD_CLOEXEC);
  if (!plain) return false;
  const Result<struct stat> ours = sys::fstat(plain.value());
  if (ours && ours.value().st_dev == st.st_dev) return true;
  // There is one internal hugetlbfs mount for each size of pages.
  const auto log = static_cast<unsigned>(std::countr_zero(static_cast<uint64_t>(st.st_blksize)));
  const Result<Fd> huge =
      sys::memfd_create("cryo-probe", MFD_CLOEXEC | MFD_HUGETLB | log << MAP_HUGE_SHIFT);
  if (!huge) return false;
  const Result<struct stat> same = sys::fstat(huge.value());
  return same && same.value().st_dev == st.st_dev;
}

// --- dump

struct Dumped {
  std::map<std::pair<dev_t, ino_t>, uint32_t> inodes;
  std::set<uint32_t> contents;
};

uint64_t whole_pages(uint64_t size) {
  return (size + sys::page_size() - 1) & ~(sys::page_size() - 1);
}

bool is_zero(const std::byte* page, size_t size) {
  const auto* words = reinterpret_cast<const uint64_t*>(page);
  for (size_t i = 0; i < size / 8; ++i)
    if (words[i] != 0) return false;
  return true;
}

// Appends to the pages file what is not zero in [from, to).
class Content {
 public:
  Content(FdRef object, FdRef out, PagemapWriter& writer)
      : object_(object), out_(out), writer_(&writer), buffer_(kChunk) {}

  Result<void> copy(uint64_t from, uint64_t to) {
    for (uint64_t at = from; at < to; at += buffer_.size()) {
      const size_t wanted = std::min<uint64_t>(to - at, buffer_.size());
      const size_t rounded = whole_pages(wanted);
      TRY(sys::pread_all(object_, buffer_.data(), wanted, at));
      std::fill(buffer_.begin() + static_cast<ptrdiff_t>(wanted),
                buffer_.begin() + static_cast<ptrdiff_t>(rounded), std::byte{0});
      TRY(keep(at, rounded));
    }
    return {};
  }
  uint64_t pages() const { return pages_; }

 private:
  Result<void> keep(uint64_t at, size_t size) {
    const size_t page = sys::page_size();
    size_t next = 0;
    while (next < size) {
      while (next < size && is_zero(buffer_.data() + next, page)) next += page;
      const size_t first = next;
      while (next < size && !is_zero(buffer_.data() + next, page)) next += page;
      if (first == next) continue;
      writer_->add({at + first, (next - first) / page, kPresent});
      pages_ += (next - first) / page;
      TRY(sys::write_all(out_, buffer_.data() + first, next - first));
    }
    return {};
  }

  FdRef object_, out_;
  PagemapWriter* writer_;
  std::vector<std::byte> buffer_;
  uint64_t pages_ = 0;
};

Result<void> capture_content(Capture& capture, FdRef object, uint64_t size, uint32_t number) {
  const uint32_t pages_id = capture.next_pages_id++;
  PagemapWriter writer({ImageKind::pagemap_shmem, number}, pages_id);
  const Fd out = TRY(capture.images.open_raw({ImageKind::pages, pages_id}));
  Content content(object, out, writer);
  for (uint64_t at = 0; at < size;) {
    const std::optional<uint64_t> data = TRY(sys::seek_data(object, at));
    if (!data || *data >= size) break;
    const std::optional<uint64_t> hole = TRY(sys::seek_hole(object, *data));
    const uint64_t end = std::min(hole.value_or(size), size);
    TRY(content.copy(*data & ~(sys::page_size() - 1), end));
    at = end;
  }
  capture.report.pages_written += content.pages();
  return writer.write(capture.images);
}

// --- restore

struct Staged {
  bool loaded = false;
  std::map<uint64_t, int> objects;    // by inode_id
  std::map<uint64_t, int> anonymous;  // by number of contents
};

Result<void> fill(const ImageReader& images, uint64_t number, const sys::Mapping& memory) {
  const std::optional<PageSources> pages =
      TRY(resolve_pages(images, {ImageKind::pagemap_shmem, number}));
  if (!pages) return {};
  for (const PageSource& run : pages->runs) {
    const uint64_t size = run.nr_pages * sys::page_size();
    const uint64_t room = whole_pages(memory.size());
    if (run.file == PageSource::kNowhere || run.vaddr > room || size > room - run.vaddr)
      return Error::bad_image(fmt::format(
          "pagemap-shmem-{}: pages at {:#x} are outside of the object", number, run.vaddr));
    TRY(sys::pread_all(pages->files[run.file], memory.bytes() + run.vaddr, size, run.offset));
  }
  return {};
}

// Anonymous memory proper, opened through map_files: as such it keeps its name in /proc.
Result<Fd> make_anonymous(const ImageReader& images, uint64_t number, uint64_t size,
                          uint32_t hugetlb_flag) {
  const int huge =
      hugetlb_flag == 0
          ? 0
          : MAP_HUGETLB | static_cast<int>(hugetlb_flag & ~uint32_t{MFD_HUGETLB | MAP_HUGETLB});
  Result<sys::Mapping> memory =
      sys::Mapping::make(size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | huge);
  // More than can be had at once was mapped with MAP_NORESERVE.
  if (!memory)
    memory = sys::Mapping::make(size, PROT_READ | PROT_WRITE,
                                MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE | huge);
  if (!memory) return std::move(memory).error();
  const auto start = reinterpret_cast<uint64_t>(memory.value().address());
  Fd object = TRY(sys::open(fmt::format("/proc/self/map_files/{:x}-{:x}", start, start + size),
                            O_RDWR | O_CLOEXEC));
  TRY(fill(images, number, memory.value()));
  return object;
}

Result<Fd> make_memfd(const ImageReader& images, const pb::memfd_inode_entry& inode) {
  const unsigned sealing = inode.seals() == F_SEAL_SEAL ? 0 : MFD_ALLOW_SEALING;
  const unsigned flags = MFD_CLOEXEC | sealing | inode.hugetlb_flag();
  // With the sysctl vm.memfd_noexec it would be sealed at once; before 6.3 there is no such flag.
  Result<Fd> made = sys::memfd_create(inode.name(), flags | MFD_EXEC);
  if (!made) made = sys::memfd_create(inode.name(), flags);
  if (!made) return std::move(made).error();
  Fd object = std::move(made).value();
  TRY(sys::ftruncate(object, inode.size()));
  if (inode.size() != 0) {
    const sys::Mapping memory = TRY(sys::Mapping::make(inode.size(), PROT_READ | PROT_WRITE,
                                                       MAP_SHARED | MAP_NORESERVE, object));
    TRY(fill(images, inode.shmid(), memory));
  }
  if (inode.uid() != 0 || inode.gid() != 0) TRY(sys::fchown(object, inode.uid(), inode.gid()));
  if (inode.has_mode()) TRY(sys::fchmod(object, inode.mode() & 07777));
  return object;
}

Result<Fd> make_object(const ImageReader& images, const pb::memfd_inode_entry& inode) {
  const bool anonymous = inode.name() == kAnonymous || inode.name() == kAnonymousHuge;
  if (!anonymous || inode.seals() != F_SEAL_SEAL || inode.size() == 0 ||
      inode.size() % sys::page_size() != 0)
    return make_memfd(images, inode);
  Result<Fd> made = make_anonymous(images, inode.shmid(), inode.size(), inode.hugetlb_flag());
  if (!made) return make_memfd(images, inode);
  if (inode.uid() != 0 || inode.gid() != 0)
    TRY(sys::fchown(made.value(), inode.uid(), inode.gid()));
  return made;
}

void seal(TaskRestore& task, const pb::memfd_inode_entry& inode, int number) {
  if (inode.seals() == 0 || inode.seals() == F_SEAL_SEAL) return;
  // In the task: when it has mapped what it needs to write to, it is the one that still has the descriptor.
  task.plan.calls(Phase::protect).call(SYS_fcntl, number, F_ADD_SEALS, inode.seals());
}

}  // namespace

Unnamed unnamed_memory(const FdView& view) {
  if (!S_ISREG(view.st.st_mode) || view.st.st_nlink != 0) return Unnamed::no;
  const std::string_view link = view.link;
  if (!link.starts_with('/') || !link.ends_with(kDeleted)) return Unnamed::no;
  const std::string_view name = link.substr(0, link.size() - kDeleted.size());
  if (name == "/secretmem") return Unnamed::secret_memory;
  if (link.find('/', 1) != std::string_view::npos && !name.starts_with(kMemfd) &&
      name != kAnonymous)
    return Unnamed::no;
  if (!is_on_internal_mount(view.st)) return Unnamed::no;
  if (name.starts_with(kMemfd) || name == kAnonymous || name == kAnonymousHuge)
    return Unnamed::memory_object;
  return name.starts_with("/SYSV") ? Unnamed::sysv_segment : Unnamed::other;
}

Result<uint32_t> capture_memory_object(const TaskView& task, const FdView& view) {
  Dumped& dumped = task.capture.shelf.get<Dumped>();
  const auto [at, fresh] = dumped.inodes.try_emplace(
      {view.st.st_dev, view.st.st_ino}, static_cast<uint32_t>(dumped.inodes.size()) + 1);
  if (!fresh) return at->second;
  const Fd object = TRY(view.reopen(O_RDONLY));
  uint32_t number = static_cast<uint32_t>(view.st.st_ino);
  while (!dumped.contents.insert(number).second)
    ++number;  // numbers of different mounts, or too long ones
  pb::memfd_inode_entry inode;
  inode.set_name(name_of(view));
  inode.set_uid(view.st.st_uid);
  inode.set_gid(view.st.st_gid);
  inode.set_size(static_cast<uint64_t>(view.st.st_size));
  inode.set_shmid(number);
  const int seals = TRY(sys::fcntl(object, F_GET_SEALS));
  inode.set_seals(static_cast<uint32_t>(seals));
  inode.set_inode_id(at->second);
  const struct statfs fs = TRY(sys::fstatfs(object));
  if (static_cast<uint64_t>(fs.f_type) == HUGETLBFS_MAGIC)
    inode.set_hugetlb_flag(
        MFD_HUGETLB | static_cast<uint32_t>(std::countr_zero(static_cast<uint64_t>(fs.f_bsize)))
                          << MAP_HUGE_SHIFT);
  inode.set_mode(view.st.st_mode);
  TRY_IN(capture_content(task.capture, object, inode.size(), number), "copying {}", view.link);
  TRY(task.capture.images.append({ImageKind::memfd}, inode));
  return at->second;
}

Result<void> stage_memory_objects(TaskRestore& task) {
  Restore& restore = task.restore;
  Staged& staged = restore.shelf.get<Staged>();
  if (staged.loaded) return {};
  staged.loaded = true;
  const std::vector<pb::memfd_inode_entry> inodes =
      TRY(restore.images.records<pb::memfd_inode_entry>({ImageKind::memfd}));
  for (const pb::memfd_inode_entry& inode : inodes) {
    const ImageReader* images = &restore.images;
    const int number = restore.files.add(fmt::format("memory object {}", inode.name()),
                                         [images, inode] { return make_object(*images, inode); });
    if (!staged.objects.emplace(inode.inode_id(), number).second)
      return Error::bad_image(fmt::format("memfd.img: two objects with id {}", inode.inode_id()));
    seal(task, inode, number);
  }
  return {};
}

Result<int> staged_memory_object(Restore& restore, uint64_t inode_id) {
  const Staged& staged = restore.shelf.get<Staged>();
  const auto found = staged.objects.find(inode_id);
  if (found == staged.objects.end())
    return Error::bad_image(fmt::format("memfd.img has no object {}", inode_id));
  return found->second;
}

Result<int> stage_anonymous_object(Restore& restore, const AnonymousObject& object) {
  Staged& staged = restore.shelf.get<Staged>();
  const auto found = staged.anonymous.find(object.number);
  if (found != staged.anonymous.end()) return found->second;
  const ImageReader* images = &restore.images;
  const int number =
      restore.files.add(fmt::format("shared memory {}", object.number), [images, object] {
        return make_anonymous(*images, object.number, object.size, object.hugetlb_flag);
      });
  staged.anonymous.emplace(object.number, number);
  return number;
}

}  // namespace cryo

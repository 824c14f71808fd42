#include "procfs/fdinfo.h"

#include <fcntl.h>
#include <gtest/gtest.h>

namespace cryo::procfs {
namespace {

constexpr const char* kHead = "pos:\t0\nflags:\t02000002\nmnt_id:\t17\nino:\t1038\n";

FdInfo info_of(const std::string& lines) { return FdInfo::parse(kHead + lines).value(); }

TEST(ProcfsFdInfo, parses_the_common_lines) {
  const FdInfo info =
      FdInfo::parse("pos:\t9223372036854775807\nflags:\t0102002\nmnt_id:\t27\nino:\t10953872\n")
          .value();
  EXPECT_EQ(info.pos(), 9223372036854775807U);
  EXPECT_EQ(info.flags(), static_cast<uint32_t>(O_RDWR | O_APPEND | 0100000));
  EXPECT_EQ(info.mnt_id(), 27);
  EXPECT_EQ(info.ino(), 10953872U);
  EXPECT_EQ(FdInfo::parse("pos:\t0\nflags:\t00\nmnt_id:\t1\n").value().ino(), 0U);
}

TEST(ProcfsFdInfo, looks_up_any_key) {
  const FdInfo info =
      info_of("eventfd-count:                1f\neventfd-id: 1\neventfd-semaphore: 1\n");
  EXPECT_EQ(info.hex("eventfd-count").value(), 0x1fU);
  EXPECT_EQ(info.decimal("eventfd-semaphore").value(), 1U);
  EXPECT_FALSE(info.find("eventfd"));
  EXPECT_FALSE(info.decimal("tfd"));
  EXPECT_FALSE(info.decimal("eventfd-count")) << "1f is not decimal";
  EXPECT_EQ(info_of("sigmask:\t0000000200000200\n").hex("sigmask").value(), 0x200000200U);
  EXPECT_EQ(info_of("Pid:\t-1\nNSpid:\t3\t1\n").signed_decimal("Pid").value(), -1);
}

TEST(ProcfsFdInfo, gives_all_lines_of_a_key) {
  const FdInfo info = info_of(
      "lock:\t1: FLOCK  ADVISORY  WRITE 25266 fe:00:10953872 0 EOF\n"
      "lock:\t2: POSIX  ADVISORY  READ 25266 fe:00:10953872 5 14\n");
  const std::vector<std::string_view> locks = info.all("lock");
  ASSERT_EQ(locks.size(), 2U);
  EXPECT_EQ(locks[1], "2: POSIX  ADVISORY  READ 25266 fe:00:10953872 5 14");
}

TEST(ProcfsFdInfo, parses_epoll) {
  const std::vector<EpollTarget> targets =
      epoll_targets(
          info_of("tfd:        3 events: 80000019 data: deadbeef12345678  pos:0 ino:40e sdev:10\n"
                  "tfd:       14 events:       1d data: ffffffffffffffff  pos:7 ino:61af sdev:7\n"))
          .value();
  ASSERT_EQ(targets.size(), 2U);
  EXPECT_EQ(targets[0].fd, 3);
  EXPECT_EQ(targets[0].events, 0x80000019U);
  EXPECT_EQ(targets[0].data, 0xdeadbeef12345678U);
  EXPECT_EQ(targets[0].ino, 0x40eU);
  EXPECT_EQ(targets[0].device, 0x10U);
  EXPECT_EQ(targets[1].fd, 14);
  EXPECT_EQ(targets[1].data, ~uint64_t{0});
  EXPECT_EQ(targets[1].pos, 7U);
  EXPECT_FALSE(epoll_targets(info_of("tfd: x\n")));
  EXPECT_FALSE(epoll_targets(info_of("tfd: 3 events: 1\n")));
}

TEST(ProcfsFdInfo, parses_inotify) {
  const std::vector<InotifyWatch> watches =
      inotify_watches(info_of("inotify wd:2 ino:2 sdev:fe00000 mask:200 ignored_mask:0 "
                              "fhandle-bytes:8 fhandle-type:1 "
                              "f_handle:0200000000000000\n"
                              "inotify wd:1 ino:3c51a sdev:fe00000 mask:100 ignored_mask:0 \n"))
          .value();
  ASSERT_EQ(watches.size(), 2U);
  EXPECT_EQ(watches[0].wd, 2);
  EXPECT_EQ(watches[0].device, 0xfe00000U);
  EXPECT_EQ(watches[0].mask, 0x200U);
  EXPECT_EQ(watches[0].handle_type, 1);
  EXPECT_EQ(watches[0].handle, std::string("\2\0\0\0\0\0\0\0", 8));
  EXPECT_EQ(watches[1].ino, 0x3c51aU);
  EXPECT_EQ(watches[1].handle, "");
  EXPECT_FALSE(inotify_watches(info_of("inotify wd:2\n")));
  EXPECT_FALSE(
      inotify_watches(info_of("inotify wd:2 ino:2 sdev:1 mask:2 ignored_mask:0 fhandle-bytes:8 "
                              "fhandle-type:1 f_handle:02\n")));
}

TEST(ProcfsFdInfo, parses_timerfd) {
  const TimerFdInfo timer =
      timerfd_info(info_of("clockid: 1\nticks: 3\nsettime flags: 01\n"
                           "it_value: (99, 999746597)\nit_interval: (1, 5)\n"))
          .value();
  EXPECT_EQ(timer.clock, 1);
  EXPECT_EQ(timer.ticks, 3U);
  EXPECT_EQ(timer.settime_flags, 1U);
  EXPECT_EQ(timer.value_seconds, 99);
  EXPECT_EQ(timer.value_ns, 999746597);
  EXPECT_EQ(timer.interval_ns, 5);
  EXPECT_FALSE(timerfd_info(info_of("clockid: 1\nticks: 3\nsettime flags: 01\nit_value: (99\n")));
}

TEST(ProcfsFdInfo, refuses_malformed_text) {
  for (const char* text :
       {"", "pos", "pos:\t0\n", "pos:\tx\nflags:\t0\nmnt_id:\t1\n",
        "pos:\t0\nflags:\t09\nmnt_id:\t1\n", "pos:\t0 0\nflags:\t0\nmnt_id:\t1\n"}) {
    EXPECT_FALSE(FdInfo::parse(text)) << text;
  }
}

TEST(ProcfsLink, tells_the_kinds_apart) {
  const Link path = parse_link("/tmp/a\nb");
  EXPECT_EQ(path.kind, Link::Kind::path);
  EXPECT_EQ(path.name, "/tmp/a\nb");
  EXPECT_FALSE(path.deleted);
  const Link deleted = parse_link("/tmp/x (deleted)");
  EXPECT_EQ(deleted.name, "/tmp/x");
  EXPECT_EQ(deleted.text, "/tmp/x (deleted)");
  EXPECT_TRUE(deleted.deleted);
  const Link memfd = parse_link("/memfd:mfd (deleted)");
  EXPECT_EQ(memfd.kind, Link::Kind::memfd);
  EXPECT_EQ(memfd.name, "mfd");
  const Link eventfd = parse_link("anon_inode:[eventfd]");
  EXPECT_EQ(eventfd.kind, Link::Kind::anon_inode);
  EXPECT_EQ(eventfd.name, "eventfd");
  EXPECT_EQ(parse_link("anon_inode:inotify").name, "inotify");
  EXPECT_EQ(parse_link("anon_inode:[").name, "[");
  const Link socket = parse_link("socket:[105994]");
  EXPECT_EQ(socket.kind, Link::Kind::object);
  EXPECT_EQ(socket.name, "socket");
  EXPECT_EQ(socket.number, 105994U);
  EXPECT_EQ(parse_link("mnt:[4026531841]").number, 4026531841U);
  EXPECT_EQ(parse_link("pipe:[12").kind, Link::Kind::other);
  EXPECT_EQ(parse_link("pipe:[12").number, 0U);
  EXPECT_EQ(parse_link("").kind, Link::Kind::other);
}

}  // namespace
}  // namespace cryo::procfs

// The sqlite3 shell in the middle of a transaction: its locks keep others out, its journal is half written.
#include <gmock/gmock.h>

#include "tests/scenarios/program.h"

namespace cryo::live {
namespace {

constexpr const char* kPrepare = R"(
create table numbers(i integer primary key, value integer);
create table log(i integer primary key, text);
with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
  insert into numbers select i, i from n;
)";

// Changes more than fits into the cache, so that the database is half old and half new, and then goes on until it may end.
constexpr const char* kTransaction = R"(
pragma cache_size = 20;
begin immediate;
update numbers set value = value + 1;
insert into log
  with recursive
    n(i) as (select 1 union all select i + 1 from n where readfile('may-end') is null),
    work(k) as (select 1 union all select k + 1 from work where k < 300)
  select i, hex(randomblob(20)) || (select sum(k + i - i) from work) from n;
commit;
select 'committed';
)";

constexpr const char* kCheck = R"(
pragma integrity_check;
select count(*), sum(value) from numbers;
select count(*) > 0, count(*) = max(i), count(*) = sum(text like '%45150') from log;
)";

class Sqlite : public ProgramTest {
 protected:
  void transaction(const std::string& journal_mode) {
    ASSERT_TRUE(run({"sqlite3", "db", "pragma journal_mode = " + journal_mode, kPrepare}));
    ASSERT_TRUE(start({"sqlite3", "db", kTransaction}));
    const std::string journal = journal_mode == "wal" ? "db-wal" : "db-journal";
    ASSERT_TRUE(wait_for_size(journal, 200 << 10));
    ASSERT_TRUE(checkpoint({"--file-locks"}, {"--file-locks"}));
    // CRIU closes the log's index, which is mapped, after it took the locks on it, and so ends them.
    if (by_cryo_alone() || journal_mode != "wal") {
      EXPECT_FALSE(run({"sqlite3", "db", "update numbers set value = 0"})) << "it is not locked";
    }
    ASSERT_TRUE(works());
    make_file("may-end", 0);
    ASSERT_TRUE(ends_with_status(0));
    EXPECT_EQ(output(), "committed\n");
    ASSERT_TRUE(run({"sh", "-c", fmt::format("sqlite3 db \"{}\" > result", kCheck)}));
    EXPECT_EQ(text_of("result"), "ok\n20000|200030000\n1|1|1\n");
  }
};

PROGRAM_TEST_OF(Sqlite, Sqlite, finishes_transaction_with_journal) { transaction("delete"); }
PROGRAM_TEST_OF(Sqlite, Sqlite, finishes_transaction_with_log_ahead) { transaction("wal"); }

}  // namespace
}  // namespace cryo::live

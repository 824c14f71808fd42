#include "frontend/cli/parse.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "frontend/cli/config_file.h"
#include "frontend/cli/help.h"
#include "frontend/cli/invocation.h"
#include "tests/harness/text.h"

namespace cryo::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

using Words = std::vector<std::string>;

const ConfigSources kNoFiles{"", "", ""};

Result<ParsedWords> parse(Words words, const ConfigSources& sources = kNoFiles) {
  words.insert(words.begin(), "cryo");
  return parse_all(words, sources);
}

// The settings of `words` for a command; an error as its text.
Result<Settings> settings_of(const Words& words, const ConfigSources& sources = kNoFiles) {
  const ParsedWords parsed = TRY(parse(words, sources));
  Settings settings;
  TRY(apply_options(parsed.options, settings));
  return settings;
}

std::string error_of(const Words& words) {
  const Result<Settings> settings = settings_of(words);
  return settings ? "" : settings.error().message();
}

Invocation understood(const Words& words) {
  const Result<ParsedWords> parsed = parse(words);
  EXPECT_TRUE(parsed);
  std::variant<Invocation, Rejected> call = understand(parsed.value());
  if (auto* rejected = std::get_if<Rejected>(&call)) {
    ADD_FAILURE() << rejected->error.to_string();
    return {};
  }
  return std::get<Invocation>(std::move(call));
}

// What it is rejected with: the message, the exit status, and whether the usage is shown.
std::string rejection(const Words& words) {
  const Result<ParsedWords> parsed = parse(words);
  if (!parsed) return parsed.error().message();
  std::variant<Invocation, Rejected> call = understand(parsed.value());
  auto* rejected = std::get_if<Rejected>(&call);
  if (rejected == nullptr) return "";
  return fmt::format("{} {}{}", rejected->status, rejected->show_usage ? "usage " : "",
                     rejected->error.message());
}

TEST(OptionTable, NamesAndLettersAreUnique) {
  std::map<std::string, int> names;
  std::map<char, int> letters;
  for (const OptionRow& row : option_rows()) {
    ++names[row.name];
    if (row.letter != 0) ++letters[row.letter];
  }
  for (const auto& [name, count] : names) EXPECT_EQ(count, 1) << name;
  for (const auto& [letter, count] : letters) EXPECT_EQ(count, 1) << letter;
}

TEST(OptionTable, HasEveryLetterOfCriu) {
  std::string letters;
  for (const OptionRow& row : option_rows())
    if (row.letter != 0) letters += row.letter;
  for (const char letter : std::string("dSsRthDovxVrjJlWLM"))
    EXPECT_THAT(letters, HasSubstr(std::string(1, letter)));
}

TEST(OptionTable, EveryOptionIsInTheHelp) {
  const std::string help = help_text();
  for (const OptionRow& row : option_rows()) {
    if (row.name == std::string("ms")) continue;
    ASSERT_NE(row.help, nullptr) << row.name;
    const std::string name = row.supported() && row.kind == OptionKind::toggle
                                 ? fmt::format("--[no-]{}", row.name)
                                 : fmt::format("--{}", row.name);
    EXPECT_NE(help.find(name), std::string::npos) << name;
  }
}

TEST(OptionTable, EveryOptionThatIsNotThereIsRefusedByName) {
  size_t refused = 0;
  for (const OptionRow& row : option_rows()) {
    if (row.supported()) continue;
    ++refused;
    std::string word = fmt::format("--{}", row.name);
    if (row.kind == OptionKind::value) word += "=1";
    EXPECT_EQ(error_of({word}), fmt::format("option --{} is not supported yet", row.name));
    if (row.kind == OptionKind::toggle) {
      EXPECT_EQ(error_of({fmt::format("--no-{}", row.name)}), "");
    }
    if (row.letter != 0) {
      EXPECT_EQ(error_of({fmt::format("-{}", row.letter), "1"}),
                fmt::format("option --{} is not supported yet", row.name));
    }
  }
  EXPECT_GT(refused, 0U);
}

TEST(Parse, TakesEveryFormOfAnOption) {
  const Settings s = settings_of({"-t",
                                  "12",
                                  "dump",
                                  "-Dimages",
                                  "--work-dir=w",
                                  "-o",
                                  "-",
                                  "-j",
                                  "-R",
                                  "--cpu-cap=cpu",
                                  "--timeout",
                                  "3",
                                  "--ghost-limit",
                                  "2M",
                                  "--external",
                                  "file[1:2]",
                                  "--action-script",
                                  "a",
                                  "--action-script",
                                  "b"})
                         .value();
  EXPECT_EQ(s.dump.tree, Pid{12});
  EXPECT_EQ(s.common.images_dir, "images");
  EXPECT_EQ(s.common.work_dir, "w");
  EXPECT_EQ(s.common.log_file, "-");
  EXPECT_TRUE(s.common.shell_job);
  EXPECT_EQ(s.dump.final_state, FinalState::running);
  EXPECT_EQ(s.common.cpu_cap, (CpuCap{true, true, false, false}));
  EXPECT_EQ(s.dump.timeout_s, 3U);
  EXPECT_EQ(s.dump.ghost_limit, 2U << 20U);
  EXPECT_EQ(s.common.external_files.size(), 1U);
  EXPECT_THAT(s.common.action_scripts, ElementsAre("a", "b"));
}

TEST(Parse, HasTheDefaultsOfCriu) {
  const Settings s = settings_of({"dump"}).value();
  EXPECT_EQ(s.common.images_dir, ".");
  EXPECT_EQ(s.common.verbosity, 2);
  EXPECT_EQ(s.dump.timeout_s, 10U);
  EXPECT_EQ(s.dump.ghost_limit, 1U << 20U);
  EXPECT_EQ(s.common.cpu_cap, (CpuCap{false, false, true, true}));
  EXPECT_EQ(s.common.file_validation, FileValidation::build_id);
}

TEST(Parse, BehavesAsGetoptLong) {
  EXPECT_EQ(settings_of({"-v"}).value().common.verbosity, 3);
  EXPECT_EQ(settings_of({"-vvv"}).value().common.verbosity, 4);
  EXPECT_EQ(settings_of({"-v", "-v"}).value().common.verbosity, 4);
  EXPECT_EQ(settings_of({"-v0"}).value().common.verbosity, 0);
  EXPECT_EQ(settings_of({"--verbosity=1"}).value().common.verbosity, 1);
  EXPECT_TRUE(settings_of({"-dSj"}).value().restore.sibling);
  EXPECT_EQ(settings_of({"--ghost-l", "1"}).value().dump.ghost_limit, 1U);  // abbreviated
  EXPECT_FALSE(settings_of({"-d", "--no-restore-detached"}).value().restore.detached);
  EXPECT_TRUE(settings_of({"--daemon"}).value().restore.detached);
  // After the separate word nothing belongs to an optional value.
  EXPECT_THAT(parse({"-v", "4"}).value().rest, ElementsAre("4"));
  EXPECT_THAT(parse({"restore", "--exec-cmd", "--", "ls", "-l"}).value().rest,
              ElementsAre("restore", "ls", "-l"));
}

TEST(Parse, SaysWhatIsWrong) {
  const std::map<std::string, Words> cases = {
      {"unrecognized option '--bogus'", {"--bogus"}},
      {"invalid option -- 'q'", {"-q"}},
      {"option '--ghost' is ambiguous; possibilities: '--ghost-limit' '--ghost-fiemap'",
       {"--ghost"}},
      {"option '--display-stats' doesn't allow an argument", {"--display-stats=1"}},
      {"option '--feature' requires an argument", {"check", "--feature"}},
      {"option '-t' requires an argument", {"dump", "-t"}},
      {"'abc' is not a number", {"-t", "abc"}},
      {"0 is not between 1 and 2147483647", {"-t", "0"}},
      {"--ms is deprecated; see \"Check options\" of --help", {"--ms"}},
  };
  for (const auto& [message, words] : cases) EXPECT_EQ(error_of(words), message);
}

TEST(Config, SplitsLines) {
  const std::string text =
      "# comment\n"
      "\n"
      "shell-job\n"
      "  timeout\t 12  # more\n"
      "work-dir \"/my \\\"own\\\" #1\"\n"
      "log-file plain";
  const std::vector<ConfigLine> lines = split_config(text).value();
  ASSERT_EQ(lines.size(), 4U);
  EXPECT_EQ(lines[0].name, "shell-job");
  EXPECT_FALSE(lines[0].value);
  EXPECT_EQ(lines[1].number, 4U);
  EXPECT_EQ(lines[1].value, "12");
  EXPECT_EQ(lines[2].value, "/my \"own\" #1");
  EXPECT_EQ(lines[3].value, "plain");
}

TEST(Config, RefusesWhatIsNoLine) {
  for (const char* bad : {"timeout 1 2", "timeout \"1\" 2", "timeout \"12", "--timeout 12"}) {
    const Result<std::vector<ConfigLine>> lines = split_config(bad);
    ASSERT_FALSE(lines) << bad;
    EXPECT_THAT(lines.error().message(),
                HasSubstr("unsupported configuration file format in line 1"))
        << bad;
  }
}

TEST(Config, RefusesWrongOptions) {
  const std::map<std::string, std::string> cases = {
      {"bogus", "unrecognized option '--bogus'"},
      {"shell-job 4", "option 'shell-job' doesn't allow an argument"},
      {"timeout", "option '--timeout' requires an argument"},
      {"config other", "option 'config' cannot be used in a configuration file"},
      {"help", "option 'help' cannot be used in a configuration file"},
  };
  for (const auto& [text, message] : cases) {
    const Result<std::vector<GivenOption>> options = parse_config_text(text, "x.conf");
    ASSERT_FALSE(options) << text;
    EXPECT_EQ(options.error().message(), message);
    EXPECT_THAT(options.error().to_string(), HasSubstr("x.conf"));
  }
}

class ConfigFiles : public testing::Test {
 protected:
  // A file beside the other tests', taken away at the end.
  std::string write(const std::string& name, const std::string& text) {
    files_.push_back(testing::TempDir() + "cryo_config_" + std::to_string(getpid()) + "_" + name);
    live::write_text(files_.back(), text);
    return files_.back();
  }
  ~ConfigFiles() override {
    for (const std::string& file : files_) (void)std::remove(file.c_str());
  }
  std::vector<std::string> files_;
};

TEST_F(ConfigFiles, CountInOrderAndBeforeTheCommandLine) {
  const ConfigSources sources{write("system", "timeout 1\naction-script s\nverbosity 4\n"),
                              write("user", "timeout 2\naction-script u\n"),
                              write("environment", "timeout 3\naction-script e\n")};
  const Settings all = settings_of({"--action-script", "c"}, sources).value();
  EXPECT_EQ(all.dump.timeout_s, 3U);
  EXPECT_EQ(all.common.verbosity, 4);
  EXPECT_THAT(all.common.action_scripts, ElementsAre("s", "u", "e", "c"));
  EXPECT_EQ(settings_of({"--timeout", "5"}, sources).value().dump.timeout_s, 5U);
  EXPECT_THAT(settings_of({"--no-default-config"}, sources).value().common.action_scripts,
              ElementsAre("e"));
  const std::string named = write("named", "timeout 4\naction-script n\n");
  const Settings with_named = settings_of({"--config", named}, sources).value();
  EXPECT_EQ(with_named.dump.timeout_s, 4U);
  EXPECT_THAT(with_named.common.action_scripts, ElementsAre("e", "n"));
}

TEST_F(ConfigFiles, AreEmptyWhenTheyAreNotThere) {
  const ConfigSources sources{"/nonexistent/a", "/nonexistent/b", "/nonexistent/c"};
  EXPECT_TRUE(settings_of({"dump", "--config", "/nonexistent/d"}, sources));
}

TEST_F(ConfigFiles, RefuseUnsupportedOptionsByName) {
  const ConfigSources sources{write("system", "tcp-established\n"), "", ""};
  const Result<Settings> settings = settings_of({"dump"}, sources);
  ASSERT_FALSE(settings);
  EXPECT_EQ(settings.error().message(), "option --tcp-established is not supported yet");
}

TEST(Invocation, FindsTheCommandAnywhere) {
  EXPECT_EQ(understood({"-t", "5", "dump", "-R"}).command->command, Command::dump);
  EXPECT_EQ(understood({"dump", "-t", "5"}).settings.dump.tree, Pid{5});
}

TEST(Invocation, TakesTheShortForms) {
  const Invocation dump = understood({"dump", "77"});
  EXPECT_EQ(dump.settings.dump.tree, Pid{77});
  EXPECT_TRUE(dump.shortcut);
  EXPECT_FALSE(understood({"dump", "77", "-D", "x"}).shortcut);
  EXPECT_EQ(understood({"restore", "/"}).settings.common.images_dir, "/");
}

TEST(Invocation, KeepsTheCommandToBeExecuted) {
  EXPECT_THAT(understood({"restore", "--exec-cmd", "--", "ls", "-l"}).settings.restore.exec_cmd,
              ElementsAre("ls", "-l"));
}

TEST(Invocation, NoticesOptionsWithoutEffect) {
  EXPECT_THAT(understood({"restore", "-t", "5", "--no-link-remap"}).no_effect,
              ElementsAre("--tree", "--no-link-remap"));
}

TEST(Invocation, RejectsWhatMakesNoSense) {
  const std::map<std::string, Words> cases = {
      {"1 usage no command given", {}},
      {"1 usage unknown command: bogus", {"bogus"}},
      {"1 pid not specified", {"dump"}},
      {"1 usage excessive parameter 7 for command dump", {"dump", "-t", "1", "7"}},
      {"1 usage excessive parameter x for command dump", {"dump", "x"}},
      {"1 usage excessive parameter 2 for command dump", {"dump", "1", "2"}},
      {"1 usage excessive parameter extra for command check", {"check", "extra"}},
      {"1 usage excessive parameter /nonexistent for command restore", {"restore", "/nonexistent"}},
      {"1 --restore-sibling only makes sense with --restore-detached", {"restore", "-S"}},
      {"1 --restore-detached and --exec-cmd cannot be used together",
       {"restore", "-d", "--exec-cmd", "--", "ls"}},
      {"1 usage --exec-cmd requires a command", {"restore", "--exec-cmd"}},
      {"1 --exec-cmd is for restore only", {"dump", "-t", "1", "--exec-cmd", "--", "ls"}},
      {"1 --inherit-fd is restore-only option", {"dump", "-t", "1", "--inherit-fd", "fd[0]:x"}},
      {"1 command pre-dump is not supported yet", {"pre-dump", "-t", "1"}},
      {"1 command swrk is not supported yet", {"swrk", "3"}},
      {"255 The \"show\" action is deprecated and not there.", {"show"}},
      {"255 The \"exec\" action is deprecated and not there.", {"exec"}},
  };
  for (const auto& [message, words] : cases) EXPECT_EQ(rejection(words), message);
  EXPECT_THAT(rejection({"restore", "--inherit-fd", "fd[999]:x"}), HasSubstr("fcntl"));
}

}  // namespace
}  // namespace cryo::cli

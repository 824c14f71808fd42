#include "frontend/cli/parse.h"

#include <getopt.h>

#include <cstdlib>
#include <cstring>

#include "frontend/cli/config_file.h"

namespace cryo::cli {
namespace {

// Values of getopt_long for long options: the row's index and whether it is negated. Beyond all letters.
constexpr int kFirstLong = 256;

// The table in getopt's form. The names of negations live in `negations`.
struct GetoptTables {
  std::string letters =
      ":";  // a leading colon: a missing argument is answered with ':' and nothing is printed
  std::vector<std::string> negations;
  std::vector<option> longs;
};

int getopt_argument(OptionKind kind) {
  if (kind == OptionKind::value) return required_argument;
  return kind == OptionKind::optional ? optional_argument : no_argument;
}

GetoptTables make_tables() {
  GetoptTables tables;
  const auto rows = option_rows();
  tables.negations.reserve(rows.size());  // the names must not move
  int value = kFirstLong;
  for (const OptionRow& row : rows) {
    const int argument = getopt_argument(row.kind);
    tables.longs.push_back({row.name, argument, nullptr, value++});
    if (row.kind == OptionKind::toggle)
      tables.longs.push_back({tables.negations.emplace_back(std::string("no-") + row.name).c_str(),
                              no_argument, nullptr, value});
    ++value;
    if (row.letter == 0) continue;
    tables.letters += row.letter;
    if (argument != no_argument) tables.letters += argument == optional_argument ? "::" : ":";
  }
  tables.longs.push_back({nullptr, 0, nullptr, 0});
  return tables;
}

// What getopt_long would print by itself, in one place for the command line and for configuration files.
Error explain_failure(int answer, const char* word, const GetoptTables& tables) {
  if (answer == ':') return Error::usage(fmt::format("option '{}' requires an argument", word));
  if (std::strncmp(word, "--", 2) != 0)
    return Error::usage(fmt::format("invalid option -- '{}'", static_cast<char>(optopt)));
  const std::string name(word + 2, std::strcspn(word + 2, "="));
  std::string candidates;
  size_t found = 0;
  for (const option& row : tables.longs) {
    if (row.name == nullptr || std::strncmp(row.name, name.c_str(), name.size()) != 0) continue;
    ++found;
    candidates += fmt::format(" '--{}'", row.name);
  }
  if (found == 0) return Error::usage(fmt::format("unrecognized option '--{}'", name));
  if (optopt != 0)
    return Error::usage(fmt::format("option '--{}' doesn't allow an argument", name));
  return Error::usage(
      fmt::format("option '--{}' is ambiguous; possibilities:{}", name, candidates));
}

GivenOption given_option(int answer) {
  GivenOption found{nullptr, {}, false};
  const auto rows = option_rows();
  if (answer >= kFirstLong) {
    const auto value = static_cast<size_t>(answer - kFirstLong);
    found.row = &rows[value / 2];
    found.given.on = value % 2 == 0;
  } else {
    for (const OptionRow& row : rows)
      if (row.letter == answer) found.row = &row;
  }
  CHECK(found.row != nullptr);
  if (optarg != nullptr) found.given.value = optarg;
  return found;
}

std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  pointers.reserve(words.size() + 1);
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

}  // namespace

ConfigSources config_sources_of_environment() {
  ConfigSources sources;
  const std::string home = environment("HOME");
  if (!home.empty()) sources.user_file = home + "/.criu/default.conf";
  sources.environment_file = environment("CRIU_CONFIG_FILE");
  return sources;
}

Result<ParsedWords> parse_words(const std::vector<std::string>& words) {
  const GetoptTables tables = make_tables();
  std::vector<std::string> copy = words;
  std::vector<char*> pointers = pointers_to(copy);
  const int count = static_cast<int>(words.size());
  ParsedWords parsed;
  optind = 0;  // glibc: start anew, also its permutation
  opterr = 0;
  while (true) {
    const int answer =
        getopt_long(count, pointers.data(), tables.letters.c_str(), tables.longs.data(), nullptr);
    if (answer == -1) break;
    if (answer == '?' || answer == ':')
      return explain_failure(answer, pointers[static_cast<size_t>(optind - 1)], tables);
    parsed.options.push_back(given_option(answer));
    if (parsed.options.back().row->letter == 'h') break;
  }
  for (int i = optind; i < count; ++i) parsed.rest.emplace_back(pointers[static_cast<size_t>(i)]);
  return parsed;
}

Result<std::vector<GivenOption>> parse_config_text(std::string_view text, const std::string& name) {
  std::vector<GivenOption> all;
  const std::vector<ConfigLine> lines = TRY_IN(split_config(text), "reading {}", name);
  for (const ConfigLine& line : lines) {
    std::vector<std::string> words = {"cryo", "--" + line.name};
    if (line.value) words.push_back(*line.value);
    // An optional value has to be glued to the name, as on the command line.
    ParsedWords parsed = TRY_IN(parse_words(words), "reading line {} of {}", line.number, name);
    if (parsed.rest.size() == 1 && parsed.options.size() == 1 &&
        parsed.options[0].row->kind == OptionKind::optional) {
      parsed.options[0].given.value = parsed.rest[0];
      parsed.rest.clear();
    }
    if (!parsed.rest.empty() || parsed.options.size() != 1)
      return Error::usage(fmt::format("option '{}' doesn't allow an argument", line.name))
          .during(fmt::format("reading line {} of {}", line.number, name));
    const Group group = parsed.options[0].row->group;
    if (group == Group::config || group == Group::other)
      return Error::usage(
                 fmt::format("option '{}' cannot be used in a configuration file", line.name))
          .during(fmt::format("reading line {} of {}", line.number, name));
    parsed.options[0].from_file = true;
    all.push_back(std::move(parsed.options[0]));
  }
  return all;
}

Result<ParsedWords> parse_all(const std::vector<std::string>& words, const ConfigSources& sources) {
  ParsedWords parsed = TRY(parse_words(words));
  Settings which;
  for (const GivenOption& option : parsed.options) {
    const OptionRow& row = *option.row;
    // These decide what is read, and have to be known before the files are.
    if (row.group == Group::config || row.group == Group::other) TRY(row.set(which, option.given));
  }
  if (which.help || which.version) return parsed;
  std::vector<std::string> files;
  if (!which.config && !which.no_default_config) files = {sources.system_file, sources.user_file};
  files.push_back(sources.environment_file);
  files.push_back(which.config.value_or(""));
  std::vector<GivenOption> all;
  for (const std::string& file : files) {
    const std::string text = file.empty() ? "" : read_config_file(file);
    std::vector<GivenOption> options = TRY(parse_config_text(text, file));
    for (GivenOption& option : options) all.push_back(std::move(option));
  }
  for (GivenOption& option : parsed.options) all.push_back(std::move(option));
  parsed.options = std::move(all);
  return parsed;
}

Result<void> apply_options(const std::vector<GivenOption>& options, Settings& settings) {
  for (const GivenOption& option : options) {
    const OptionRow& row = *option.row;
    if (!row.supported() && !option.given.on) continue;  // asked to be off, and it is
    if (!row.supported())
      return Error::unsupported(fmt::format("option {} is not supported yet", spelled(option)));
    TRY_IN(row.set(settings, option.given), "reading option {}", spelled(option));
  }
  return {};
}

std::string spelled(const GivenOption& option) {
  return fmt::format("--{}{}", option.given.on ? "" : "no-", option.row->name);
}

}  // namespace cryo::cli

#include "frontend/cli/commands.h"
#include "plan/host.h"

namespace cryo::cli {
namespace {

constexpr const char* kList = "list";  // in CRIU's manual, but not in CRIU

const char* state_of(Host& host, const FeatureRow& row) {
  if (row.probe == nullptr) return "not supported by cryo yet";
  return host.has(row.feature) ? "yes" : "no";
}

void print_list(Host& host) {
  for (const FeatureRow& row : feature_rows()) {
    const bool missing = row.probe != nullptr && !host.has(row.feature);
    print(fmt::format("{:<26}{}{}{}\n", row.name, state_of(host, row), missing ? ": " : "",
                      missing ? row.loss : ""));
  }
}

// Answers whether the feature is there; no answer for a name that nobody knows.
std::optional<bool> check_feature(Host& host, const std::string& name, Log& log) {
  const FeatureRow* row = find_feature(name);
  if (row == nullptr) {
    log.error(Error::usage(fmt::format("Unknown feature {}", name))
                  .hint("--feature list shows those there are"));
    return std::nullopt;
  }
  const bool there = host.has(row->feature);
  if (there) {
    print(fmt::format("{} is supported\n", name));
  } else {
    log.warn("{} is not supported{}", name, row->probe == nullptr ? " by cryo yet" : "");
  }
  return there;
}

int check_features(Host& host, const std::vector<std::string>& names, Log& log) {
  int status = kOk;
  for (const std::string& name : names) {
    if (name == kList) {
      print_list(host);
      continue;
    }
    const std::optional<bool> there = check_feature(host, name, log);
    if (!there) return kFailure;
    if (!*there) status = kFailure;
  }
  return status;
}

bool check_need(Host& host, Need need, Log& log) {
  bool all = true;
  for (const FeatureRow& row : feature_rows()) {
    if (row.need != need) continue;
    if (host.has(row.feature)) {
      log.info("{} is supported", row.name);
    } else {
      log.warn("{} is not supported: {}", row.name, row.loss);
      all = false;
    }
  }
  return all;
}

}  // namespace

int check_command(Session& session) {
  const CheckOptions& options = session.call.settings.check;
  Log& log = session.log;
  if (session.call.settings.dump.tree.value != 0) return explain_dump(session);
  Host host;
  if (!options.features.empty()) return check_features(host, options.features, log);
  if (!check_need(host, Need::always, log)) {
    log.warn("Does not look good.");
    return kFailure;
  }
  const bool extra = !options.extra || check_need(host, Need::some, log);
  const bool experimental = !options.experimental || check_need(host, Need::better, log);
  if (extra && experimental) {
    print("Looks good.\n");
    return kOk;
  }
  print(
      "Looks good but some kernel features are missing\n"
      "which, depending on your process tree, may cause\n"
      "dump or restore failure.\n");
  return kFailure;
}

}  // namespace cryo::cli

#include "tests/harness/checkpoint_test.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "tests/harness/live_run.h"
#include "tests/harness/victim.h"

namespace cryo::live {
namespace {

// One CHECKPOINT_TEST, shared by its variants.
struct LiveCase {
  TestName name;
  Traits traits;
  std::function<std::unique_ptr<Body>()> make_body;
};

// Whether what is excepted runs all the same: to see if the reason is still true.
bool exceptions_are_tried() { return getenv("CRYO_TRY_EXCEPTIONS") != nullptr; }

std::string reason_to_skip(const Traits& traits, const Variant& variant) {
  for (const Traits::Exception& exception : traits.exceptions) {
    for (const std::string& name : exception.variants) {
      if (name == variant.name && !exceptions_are_tried()) return exception.reason;
    }
  }
  if (!variant.by_cryo_alone() && !peer()) {
    return "CRIU is not installed (./dev peer does it; CRYO_PEER names another place)";
  }
  return {};
}

class LiveTest : public testing::Test {
 public:
  LiveTest(std::shared_ptr<const LiveCase> live_case, const Variant& variant)
      : case_(std::move(live_case)), variant_(variant) {}

 private:
  void TestBody() override {
    if (const char* directory = getenv(kVictimVariable)) {
      be_victim(directory);
    } else {
      be_harness();
    }
  }

  void be_victim(const char* directory) {
    setvbuf(stdout, nullptr, _IOLBF, 4096);
    Result<Victim> victim = Victim::in(directory);
    ASSERT_TRUE(victim) << victim.error().to_string();
    std::unique_ptr<Body> body = case_->make_body();
    body->victim = &*victim;
    body->run();
    body.reset();
    victim->report(*testing::UnitTest::GetInstance()->current_test_info()->result());
  }

  void be_harness() {
    const std::string reason = reason_to_skip(case_->traits, variant_);
    const bool peer_missing = !variant_.by_cryo_alone() && !peer();
    if (!reason.empty() && !(peer_missing && peer_is_required())) GTEST_SKIP() << reason;
    ASSERT_TRUE(reason.empty()) << reason;

    LiveRun run(current_test_name(), variant_, case_->traits);
    const Result<Outcome> outcome = run.run();
    if (outcome && !HasFailure() && outcome.value() == Outcome::passed &&
        run.proc_differences().empty())
      return;
    if (outcome && outcome.value() == Outcome::skipped) GTEST_SKIP() << run.victim_output();
    std::string text = outcome ? "" : outcome.error().to_string() + "\n";
    if (!run.proc_differences().empty())
      text += "/proc shows differences:\n" + run.proc_differences();
    text += "the victim's output:\n" + run.victim_output();
    ADD_FAILURE_AT(case_->name.file, case_->name.line) << text << "\n" << run.files().keep();
  }

  std::shared_ptr<const LiveCase> case_;
  const Variant& variant_;
};

const std::vector<Variant>& variants_for(const Traits& traits) {
  if (!traits.dump_refusal.empty()) return dump_refusal_variants();
  if (!traits.restore_refusal.empty()) return restore_refusal_variants();
  return usual_variants();
}

void check_exceptions(const TestName& name, const Traits& traits) {
  const std::vector<Variant>& variants = variants_for(traits);
  for (const Traits::Exception& exception : traits.exceptions) {
    for (const std::string& excepted : exception.variants) {
      const bool known = std::any_of(variants.begin(), variants.end(),
                                     [&](const Variant& v) { return v.name == excepted; });
      if (known) continue;
      fprintf(stderr, "%s:%d: no variant is called '%s'\n", name.file, name.line, excepted.c_str());
      exit(2);
    }
  }
}

std::string live_suite(std::string suite) {
  if (!suite.ends_with("Live")) suite += "Live";
  return suite;
}

}  // namespace

void Body::checkpoint() { victim->checkpoint(); }

Trait Body::except(std::vector<std::string> variants, std::string reason) {
  return [=](Traits& traits) { traits.exceptions.push_back({variants, reason}); };
}

Trait Body::dump_options(Words options) {
  return [=](Traits& traits) { traits.dump_options = options; };
}

Trait Body::restore_options(Words options) {
  return [=](Traits& traits) { traits.restore_options = options; };
}

Trait Body::between(std::function<void(const Between&)> action) {
  return [=](Traits& traits) { traits.between = action; };
}

Trait Body::proc_differs(std::vector<std::string> keys, std::string /*reason: for the reader*/) {
  return [=](Traits& traits) {
    traits.proc_differences.insert(traits.proc_differences.end(), keys.begin(), keys.end());
  };
}

Trait Body::dump_refused(std::string text) {
  return [=](Traits& traits) { traits.dump_refusal = text; };
}

Trait Body::restore_refused(std::string text) {
  return [=](Traits& traits) { traits.restore_refusal = text; };
}

bool add_checkpoint_tests(const TestName& name, const std::vector<Trait>& traits,
                          std::function<std::unique_ptr<Body>()> make_body) {
  auto live_case = std::make_shared<LiveCase>(LiveCase{name, {}, std::move(make_body)});
  for (const Trait& trait : traits) trait(live_case->traits);
  check_exceptions(name, live_case->traits);
  for (const Variant& variant : variants_for(live_case->traits)) {
    testing::RegisterTest(live_suite(name.suite).c_str(),
                          (std::string(name.name) + "_" + variant.name).c_str(), nullptr, nullptr,
                          name.file, name.line,
                          [live_case, &variant] { return new LiveTest(live_case, variant); });
  }
  return true;
}

}  // namespace cryo::live

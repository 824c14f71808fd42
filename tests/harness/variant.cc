#include "tests/harness/variant.h"

#include <algorithm>

namespace cryo::live {
namespace {

constexpr Step kRestart = {};
constexpr Step kLeave = {By::cryo, By::cryo, Step::Kind::leave_running};
constexpr Step kKillLeft = {By::cryo, By::cryo, Step::Kind::kill_running};
constexpr Step kRefusedDump = {By::cryo, By::cryo, Step::Kind::refused_dump};
constexpr Step kRefusedRestore = {By::cryo, By::cryo, Step::Kind::refused_restore};

}  // namespace

bool Variant::by_cryo_alone() const {
  return std::all_of(steps.begin(), steps.end(), [](const Step& step) {
    return step.dump == By::cryo && step.restore == By::cryo;
  });
}

const std::vector<Variant>& usual_variants() {
  static const std::vector<Variant> variants = {
      {"off", {}},
      {"restore", {kRestart}},
      {"leave_running", {kLeave, kLeave}},
      {"restore_left", {kKillLeft}},
      {"twice", {kRestart, kRestart}},
      {"peer_restores_ours", {{By::cryo, By::peer}}},
      {"we_restore_peers", {{By::peer, By::cryo}}},
  };
  return variants;
}

const std::vector<Variant>& program_variants() {
  static const std::vector<Variant> variants = {
      {"restore", {kRestart}},
      {"leave_running", {kLeave, kLeave}},
      {"twenty_times", std::vector<Step>(20, kRestart)},
      {"peer_restores_ours", {{By::cryo, By::peer}}},
      {"we_restore_peers", {{By::peer, By::cryo}}},
  };
  return variants;
}

const std::vector<Variant>& dump_refusal_variants() {
  static const std::vector<Variant> variants = {{"off", {}}, {"refused", {kRefusedDump}}};
  return variants;
}

const std::vector<Variant>& restore_refusal_variants() {
  static const std::vector<Variant> variants = {{"off", {}}, {"refused", {kRefusedRestore}}};
  return variants;
}

}  // namespace cryo::live

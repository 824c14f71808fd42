#include "arch/core_image.h"

#include <cstring>

#include "core.pb.h"

namespace cryo::arch {
namespace {

constexpr size_t kGeneral = 31, kSp = 31, kPc = 32, kPstate = 33, kTls = 34;
constexpr size_t kFpSimdSize = 528, kPacSize = 616;
constexpr int kVectorWords = 64;

using AddressKeys = pb::pac_address_keys;

struct PacField {
  size_t offset;  // in ThreadState::extended
  void (AddressKeys::*set)(uint64_t);
  uint64_t (AddressKeys::*get)() const;
};
// struct user_pac_address_keys, in its order, then the mask of enabled keys.
const PacField kAddressKeys[] = {
    {528, &AddressKeys::set_apiakey_lo, &AddressKeys::apiakey_lo},
    {536, &AddressKeys::set_apiakey_hi, &AddressKeys::apiakey_hi},
    {544, &AddressKeys::set_apibkey_lo, &AddressKeys::apibkey_lo},
    {552, &AddressKeys::set_apibkey_hi, &AddressKeys::apibkey_hi},
    {560, &AddressKeys::set_apdakey_lo, &AddressKeys::apdakey_lo},
    {568, &AddressKeys::set_apdakey_hi, &AddressKeys::apdakey_hi},
    {576, &AddressKeys::set_apdbkey_lo, &AddressKeys::apdbkey_lo},
    {584, &AddressKeys::set_apdbkey_hi, &AddressKeys::apdbkey_hi},
    {608, &AddressKeys::set_pac_enabled_key, &AddressKeys::pac_enabled_key},
};

uint64_t load(const std::vector<std::byte>& from, size_t at) {
  uint64_t value = 0;
  std::memcpy(&value, from.data() + at, sizeof(value));
  return value;
}

void store(std::vector<std::byte>& to, size_t at, uint64_t value) {
  std::memcpy(to.data() + at, &value, sizeof(value));
}

void encode_pac(const std::vector<std::byte>& extended, pb::pac_keys& keys) {
  for (const PacField& field : kAddressKeys)
    (keys.mutable_pac_address_keys()->*field.set)(load(extended, field.offset));
  keys.mutable_pac_generic_keys()->set_apgakey_lo(load(extended, 592));
  keys.mutable_pac_generic_keys()->set_apgakey_hi(load(extended, 600));
}

void decode_pac(const pb::pac_keys& keys, std::vector<std::byte>& extended) {
  extended.resize(kPacSize);
  for (const PacField& field : kAddressKeys)
    store(extended, field.offset, (keys.pac_address_keys().*field.get)());
  store(extended, 592, keys.pac_generic_keys().apgakey_lo());
  store(extended, 600, keys.pac_generic_keys().apgakey_hi());
}

}  // namespace

void set_architecture(pb::core_entry& core) { core.set_mtype(pb::core_entry::AARCH64); }

void encode_thread(const ThreadState& state, uint64_t clear_tid, pb::core_entry& core) {
  set_architecture(core);
  pb::thread_info_aarch64& info = *core.mutable_ti_aarch64();
  info.set_clear_tid_addr(clear_tid);
  info.set_tls(state.general.word(kTls));
  for (size_t i = 0; i < kGeneral; ++i) info.mutable_gpregs()->add_regs(state.general.word(i));
  info.mutable_gpregs()->set_sp(state.general.word(kSp));
  info.mutable_gpregs()->set_pc(state.general.word(kPc));
  info.mutable_gpregs()->set_pstate(state.general.word(kPstate));
  pb::user_aarch64_fpsimd_context_entry& fp = *info.mutable_fpsimd();
  for (int i = 0; i < kVectorWords; ++i)
    fp.add_vregs(load(state.extended, static_cast<size_t>(i) * 8));
  const uint64_t control = load(state.extended, 512);
  fp.set_fpsr(static_cast<uint32_t>(control));
  fp.set_fpcr(static_cast<uint32_t>(control >> 32));
  if (state.extended.size() >= kPacSize) encode_pac(state.extended, *info.mutable_pac_keys());
}

Result<ThreadState> decode_thread(const pb::core_entry& core) {
  if (core.mtype() != pb::core_entry::AARCH64 || !core.has_ti_aarch64())
    return Error::bad_image(
        fmt::format("core: architecture {} instead of aarch64", static_cast<int>(core.mtype())));
  const pb::thread_info_aarch64& info = core.ti_aarch64();
  if (info.gpregs().regs_size() != static_cast<int>(kGeneral) ||
      info.fpsimd().vregs_size() != kVectorWords)
    return Error::bad_image("core: wrong number of registers");
  ThreadState state;
  for (size_t i = 0; i < kGeneral; ++i)
    state.general.set_word(i, info.gpregs().regs(static_cast<int>(i)));
  state.general.set_word(kSp, info.gpregs().sp());
  state.general.set_word(kPc, info.gpregs().pc());
  state.general.set_word(kPstate, info.gpregs().pstate());
  state.general.set_word(kTls, info.tls());
  if (state.general.is_compat()) return Error::unsupported("a 32-bit task cannot be restored yet");
  state.extended.resize(kFpSimdSize);
  for (int i = 0; i < kVectorWords; ++i)
    store(state.extended, static_cast<size_t>(i) * 8, info.fpsimd().vregs(i));
  store(state.extended, 512,
        info.fpsimd().fpsr() | static_cast<uint64_t>(info.fpsimd().fpcr()) << 32);
  if (info.has_pac_keys()) decode_pac(info.pac_keys(), state.extended);
  return state;
}

uint64_t clear_tid_of(const pb::core_entry& core) { return core.ti_aarch64().clear_tid_addr(); }

std::vector<std::byte> extra_components(const ThreadState&) { return {}; }

Result<void> add_extra_components(ThreadState&, std::span<const std::byte> extra) {
  if (!extra.empty()) return Error::unsupported("processor state of an unknown component");
  return {};
}

}  // namespace cryo::arch

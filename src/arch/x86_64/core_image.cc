#include "arch/core_image.h"

#include <sys/user.h>

#include <algorithm>
#include <cstring>

#include "arch/x86_64/xsave.h"
#include "core.pb.h"

namespace cryo::arch {
namespace {

using Regs = pb::user_x86_regs_entry;
using Xsave = pb::user_x86_xsave_entry;

#define WORD(field) (offsetof(user_regs_struct, field) / 8)

struct GeneralField {
  size_t word;
  void (Regs::*set)(uint64_t);
  uint64_t (Regs::*get)() const;
};

#define FIELD(kernel, image) \
  { WORD(kernel), &Regs::set_##image, &Regs::image }
const GeneralField kGeneral[] = {
    FIELD(r15, r15), FIELD(r14, r14),         FIELD(r13, r13),         FIELD(r12, r12),
    FIELD(rbp, bp),  FIELD(rbx, bx),          FIELD(r11, r11),         FIELD(r10, r10),
    FIELD(r9, r9),   FIELD(r8, r8),           FIELD(rax, ax),          FIELD(rcx, cx),
    FIELD(rdx, dx),  FIELD(rsi, si),          FIELD(rdi, di),          FIELD(orig_rax, orig_ax),
    FIELD(rip, ip),  FIELD(cs, cs),           FIELD(eflags, flags),    FIELD(rsp, sp),
    FIELD(ss, ss),   FIELD(fs_base, fs_base), FIELD(gs_base, gs_base), FIELD(ds, ds),
    FIELD(es, es),   FIELD(fs, fs),           FIELD(gs, gs),
};

// Components that are arrays of one integer type in the image.
struct WideField {
  unsigned component;
  google::protobuf::RepeatedField<uint32_t>* (Xsave::*mutable32)();
  google::protobuf::RepeatedField<uint64_t>* (Xsave::*mutable64)();
  const google::protobuf::RepeatedField<uint32_t>& (Xsave::*get32)() const;
  const google::protobuf::RepeatedField<uint64_t>& (Xsave::*get64)() const;
  size_t bytes;
};
#define WIDE32(component, name, bytes) \
  { xsave::component, &Xsave::mutable_##name, nullptr, &Xsave::name, nullptr, bytes }
#define WIDE64(component, name, bytes) \
  { xsave::component, nullptr, &Xsave::mutable_##name, nullptr, &Xsave::name, bytes }
const WideField kWide[] = {
    WIDE32(ymm, ymmh_space, 256),
    WIDE64(bndregs, bndreg_state, 64),
    WIDE64(bndcsr, bndcsr_state, 64),
    WIDE64(opmask, opmask_reg, 64),
    WIDE64(zmm_hi256, zmm_upper, 512),
    WIDE64(hi16_zmm, hi16_zmm, 1024),
    WIDE32(pkru, pkru, 8),
};

template <class T>
T load(const std::vector<std::byte>& area, size_t at) {
  T value{};
  if (at + sizeof(T) <= area.size()) std::memcpy(&value, area.data() + at, sizeof(T));
  return value;
}

template <class T>
void store(std::vector<std::byte>& area, size_t at, T value) {
  std::memcpy(area.data() + at, &value, sizeof(T));
}

template <class T>
void put_words(const std::vector<std::byte>& area, size_t at, size_t bytes,
               google::protobuf::RepeatedField<T>* out) {
  out->Resize(static_cast<int>(bytes / sizeof(T)), 0);
  if (at + bytes <= area.size()) std::memcpy(out->mutable_data(), area.data() + at, bytes);
}

template <class T>
void take_words(const google::protobuf::RepeatedField<T>& in, size_t at, size_t bytes,
                std::vector<std::byte>& area) {
  std::memcpy(area.data() + at, in.data(),
              std::min(bytes, static_cast<size_t>(in.size()) * sizeof(T)));
}

uint64_t known_components() {
  uint64_t known = 3;
  for (const WideField& field : kWide) known |= uint64_t{1} << field.component;
  return known;
}

void encode_extended(const std::vector<std::byte>& area, pb::user_x86_fpregs_entry& out) {
  const user_fpregs_struct fx = load<user_fpregs_struct>(area, 0);
  out.set_cwd(fx.cwd);
  out.set_swd(fx.swd);
  out.set_twd(fx.ftw);
  out.set_fop(fx.fop);
  out.set_rip(fx.rip);
  out.set_rdp(fx.rdp);
  out.set_mxcsr(fx.mxcsr);
  out.set_mxcsr_mask(fx.mxcr_mask);
  put_words(area, offsetof(user_fpregs_struct, st_space), 128, out.mutable_st_space());
  put_words(area, offsetof(user_fpregs_struct, xmm_space), 256, out.mutable_xmm_space());
  if (area.size() < xsave::kLegacySize + xsave::kHeaderSize) return;
  Xsave& wide = *out.mutable_xsave();
  const uint64_t in_use = load<uint64_t>(area, xsave::kXstateBv);
  wide.set_xstate_bv(in_use & known_components());
  for (const WideField& field : kWide) {
    const xsave::Extent at = xsave::extent(field.component);
    if (at.size == 0) continue;
    if (field.mutable32 != nullptr)
      put_words(area, at.offset, field.bytes, (wide.*field.mutable32)());
    else
      put_words(area, at.offset, field.bytes, (wide.*field.mutable64)());
  }
}

Result<void> decode_wide(const Xsave& wide, std::vector<std::byte>& area) {
  for (const WideField& field : kWide) {
    const size_t size = field.get32 != nullptr
                            ? static_cast<size_t>((wide.*field.get32)().size()) * 4
                            : static_cast<size_t>((wide.*field.get64)().size()) * 8;
    const bool in_use = (wide.xstate_bv() >> field.component & 1) != 0;
    if (size == 0 && !in_use) continue;
    if (size < field.bytes)
      return Error::bad_image(fmt::format("xsave component {} has {} bytes instead of {}",
                                          field.component, size, field.bytes));
    const xsave::Extent at = xsave::extent(field.component);
    if (at.size == 0) {
      if (!in_use) continue;
      return Error::unsupported(
                 fmt::format("the task uses xsave component {}, which this CPU does not have",
                             field.component))
          .hint("restore on a CPU that has every feature of the one it was dumped on");
    }
    if (field.get32 != nullptr)
      take_words((wide.*field.get32)(), at.offset, field.bytes, area);
    else
      take_words((wide.*field.get64)(), at.offset, field.bytes, area);
  }
  return {};
}

Result<std::vector<std::byte>> decode_extended(const pb::user_x86_fpregs_entry& in) {
  if (in.st_space_size() < 32 || in.xmm_space_size() < 64)
    return Error::bad_image("fpregs: st_space or xmm_space is too short");
  std::vector<std::byte> area(xsave::host_size());
  user_fpregs_struct fx{};
  fx.cwd = static_cast<uint16_t>(in.cwd());
  fx.swd = static_cast<uint16_t>(in.swd());
  fx.ftw = static_cast<uint16_t>(in.twd());
  fx.fop = static_cast<uint16_t>(in.fop());
  fx.rip = in.rip();
  fx.rdp = in.rdp();
  fx.mxcsr = in.mxcsr();
  fx.mxcr_mask = in.mxcsr_mask();
  store(area, 0, fx);
  take_words(in.st_space(), offsetof(user_fpregs_struct, st_space), 128, area);
  take_words(in.xmm_space(), offsetof(user_fpregs_struct, xmm_space), 256, area);
  store(area, xsave::kXstateBv, uint64_t{3});
  if (in.has_xsave()) {
    TRY(decode_wide(in.xsave(), area));
    store(area, xsave::kXstateBv,
          in.xsave().xstate_bv() & known_components() & xsave::host_features());
  }
  return area;
}

void encode_tls(pb::thread_info_x86& info) {
  // 64-bit tasks have no entries in the GDT's TLS slots; the format wants all three.
  for (uint32_t entry = 12; entry <= 14; ++entry) {
    pb::user_desc_t& desc = *info.add_tls();
    desc.set_entry_number(entry);
    desc.set_base_addr(0);
    desc.set_limit(0);
    desc.set_seg_32bit(false);
    desc.set_contents_h(false);
    desc.set_contents_l(false);
    desc.set_read_exec_only(true);
    desc.set_limit_in_pages(false);
    desc.set_seg_not_present(true);
    desc.set_usable(false);
  }
}

}  // namespace

void set_architecture(pb::core_entry& core) { core.set_mtype(pb::core_entry::X86_64); }

void encode_thread(const ThreadState& state, uint64_t clear_tid, pb::core_entry& core) {
  set_architecture(core);
  pb::thread_info_x86& info = *core.mutable_thread_info();
  info.set_clear_tid_addr(clear_tid);
  Regs& regs = *info.mutable_gpregs();
  for (const GeneralField& field : kGeneral) (regs.*field.set)(state.general.word(field.word));
  if (const std::optional<InterruptedCall> call = state.general.interrupted_call()) {
    regs.set_ip(state.general.ip() - 2);
    regs.set_ax(call->nr);
  }
  regs.set_mode(pb::NATIVE);
  encode_extended(state.extended, *info.mutable_fpregs());
  encode_tls(info);
}

Result<ThreadState> decode_thread(const pb::core_entry& core) {
  if (core.mtype() != pb::core_entry::X86_64 || !core.has_thread_info())
    return Error::bad_image(
        fmt::format("core: architecture {} instead of x86_64", static_cast<int>(core.mtype())));
  const pb::thread_info_x86& info = core.thread_info();
  if (info.gpregs().mode() != pb::NATIVE)
    return Error::unsupported("a 32-bit task cannot be restored yet");
  ThreadState state;
  for (const GeneralField& field : kGeneral)
    state.general.set_word(field.word, (info.gpregs().*field.get)());
  state.general.set_word(WORD(orig_rax),
                         ~uint64_t{0});  // nothing to restart: the image has it rewound
  state.extended = TRY(decode_extended(info.fpregs()));
  return state;
}

uint64_t clear_tid_of(const pb::core_entry& core) { return core.thread_info().clear_tid_addr(); }

std::vector<std::byte> extra_components(const ThreadState&) { return {}; }

Result<void> add_extra_components(ThreadState&, std::span<const std::byte> extra) {
  if (!extra.empty()) return Error::unsupported("processor state of an unknown component");
  return {};
}

}  // namespace cryo::arch

// SPDX-License-Identifier: Apache-2.0
#include "in_front.hpp"

#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

namespace weft::prog_run {
namespace {

struct Settings {
    bpf_tunnel_key key;
    std::uint32_t has_key;
    std::uint32_t flags;
};

using Code = std::vector<bpf_insn>;

constexpr __s32 kDone =
    TC_ACT_SHOT; ///< where the settings are not to be had: no verdict that would pass for the program's

bpf_insn move(__u8 to, __u8 from) { return {BPF_ALU64 | BPF_MOV | BPF_X, to, from, 0, 0}; }
bpf_insn set(__u8 to, __s32 value) { return {BPF_ALU64 | BPF_MOV | BPF_K, to, 0, 0, value}; }
bpf_insn add(__u8 to, __s32 value) { return {BPF_ALU64 | BPF_ADD | BPF_K, to, 0, 0, value}; }
bpf_insn load32(__u8 to, __u8 from, std::size_t at) {
    return {BPF_LDX | BPF_MEM | BPF_W, to, from, static_cast<__s16>(at), 0};
}
bpf_insn skip_if_zero(__u8 what, __s16 instructions) { return {BPF_JMP | BPF_JEQ | BPF_K, what, 0, instructions, 0}; }
bpf_insn call(__s32 helper) { return {BPF_JMP | BPF_CALL, 0, 0, 0, helper}; }

constexpr bpf_insn kExit{BPF_JMP | BPF_EXIT, 0, 0, 0, 0};

void append(Code &code, std::initializer_list<bpf_insn> more) { code.insert(code.end(), more); }
void append_map(Code &code, __u8 to, int fd) {
    append(code, {{BPF_LD | BPF_IMM | BPF_DW, to, BPF_PSEUDO_MAP_FD, 0, fd}, {}});
}

/// On to the next program, whose context is in register 6.
void append_next(Code &code, int next) {
    append(code, {move(BPF_REG_1, BPF_REG_6)});
    append_map(code, BPF_REG_2, next);
    append(code, {set(BPF_REG_3, 0), call(BPF_FUNC_tail_call), set(BPF_REG_0, kDone), kExit});
}

/// bpf_skb_set_tunnel_key() with what the settings say, then the next program.
Code code_of(int settings, int next) {
    Code code{move(BPF_REG_6, BPF_REG_1), {BPF_ST | BPF_MEM | BPF_W, BPF_REG_10, 0, -4, 0}};
    append_map(code, BPF_REG_1, settings);
    append(code, {move(BPF_REG_2, BPF_REG_10),
                  add(BPF_REG_2, -4),
                  call(BPF_FUNC_map_lookup_elem),
                  {BPF_JMP | BPF_JNE | BPF_K, BPF_REG_0, 0, 2, 0},
                  set(BPF_REG_0, kDone),
                  kExit,
                  load32(BPF_REG_1, BPF_REG_0, offsetof(Settings, has_key)),
                  skip_if_zero(BPF_REG_1, 5),
                  move(BPF_REG_1, BPF_REG_6),
                  move(BPF_REG_2, BPF_REG_0),
                  set(BPF_REG_3, sizeof(bpf_tunnel_key)),
                  load32(BPF_REG_4, BPF_REG_0, offsetof(Settings, flags)),
                  call(BPF_FUNC_skb_set_tunnel_key)});
    append_next(code, next);
    return code;
}

/// bpf_skb_vlan_push() of each, then the next program.
Code code_of(const std::vector<std::uint16_t> &tags, int next) {
    Code code{move(BPF_REG_6, BPF_REG_1)};
    for (const auto tag : tags)
        append(code, {move(BPF_REG_1, BPF_REG_6), set(BPF_REG_2, htons(ETH_P_8021Q)), set(BPF_REG_3, tag),
                      call(BPF_FUNC_skb_vlan_push)});
    append_next(code, next);
    return code;
}

/// A map that leads to a program by way of a tail call.
Result<UniqueFd> way_to(int program_fd) {
    UniqueFd next(bpf_map_create(BPF_MAP_TYPE_PROG_ARRAY, "next", 4, 4, 1, nullptr));
    if (!next) return fail_errno(errno, "make a map");
    const std::uint32_t first = 0;
    if (bpf_map_update_elem(next.get(), &first, &program_fd, BPF_ANY) != 0)
        return fail_errno(errno, "put a program into the map");
    return next;
}

Result<UniqueFd> load(const Code &code) {
    UniqueFd program(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "in_front", "GPL", code.data(), code.size(), nullptr));
    if (!program) return fail_errno(errno, "load the program in front");
    return program;
}

} // namespace

Result<BehindTunnel> BehindTunnel::create(int program_fd) {
    BehindTunnel behind;
    behind.settings_ = UniqueFd(bpf_map_create(BPF_MAP_TYPE_ARRAY, "settings", 4, sizeof(Settings), 1, nullptr));
    if (!behind.settings_) return fail_errno(errno, "make a map");
    auto next = way_to(program_fd);
    if (!next) return fail_as_is(std::move(next));
    behind.next_ = std::move(*next);
    auto program = load(code_of(behind.settings_.get(), behind.next_.get()));
    if (!program) return fail_as_is(std::move(program));
    behind.program_ = std::move(*program);
    return behind;
}

Status BehindTunnel::set_key(const std::optional<TunnelKey> &key) {
    Settings settings{};
    if (key) {
        settings.has_key = 1;
        settings.key.tunnel_id = key->vni;
        if (key->sender.is_v4()) {
            settings.key.local_ipv4 = key->sender.to_v4().to_uint();
        } else {
            settings.flags = BPF_F_TUNINFO_IPV6;
            std::ranges::copy(key->sender.to_v6().to_bytes(),
                              reinterpret_cast<std::uint8_t *>(settings.key.local_ipv6));
        }
    }
    const std::uint32_t first = 0;
    if (bpf_map_update_elem(settings_.get(), &first, &settings, BPF_ANY) != 0) return fail_errno(errno, "set the key");
    return {};
}

Result<BehindTags> BehindTags::create(int program_fd, const std::vector<std::uint16_t> &tags) {
    BehindTags behind;
    auto next = way_to(program_fd);
    if (!next) return fail_as_is(std::move(next));
    behind.next_ = std::move(*next);
    auto program = load(code_of(tags, behind.next_.get()));
    if (!program) return fail_as_is(std::move(program));
    behind.program_ = std::move(*program);
    return behind;
}

} // namespace weft::prog_run

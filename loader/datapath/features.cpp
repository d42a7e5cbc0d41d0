// SPDX-License-Identifier: Apache-2.0
#include "datapath/features.hpp"

#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <string_view>

#include "base/unique_fd.hpp"
#include "datapath/tc_attach.hpp"

namespace weft::datapath {
namespace {

struct BtfFree {
    void operator()(btf *p) const { btf__free(p); }
};
using BtfPtr = std::unique_ptr<btf, BtfFree>;

/// Kernel functions live in vmlinux's BTF, or in nf_conntrack's where that is a module.
bool has_function(const btf &kernel, const char *name) {
    return btf__find_by_name_kind(&kernel, name, BTF_KIND_FUNC) > 0;
}

/// Values of the helpers' flags are in one unnamed enumeration.
bool has_enumerator(const btf &kernel, std::string_view name) {
    for (__u32 id = 1; id < btf__type_cnt(&kernel); ++id) {
        const btf_type *type = btf__type_by_id(&kernel, id);
        if (!btf_is_enum(type)) continue;
        const auto values = std::span(btf_enum(type), btf_vlen(type));
        if (std::ranges::any_of(
                values, [&](const struct btf_enum &v) { return btf__name_by_offset(&kernel, v.name_off) == name; }))
            return true;
    }
    return false;
}

/// Distributions make conntrack a module, which the first firewall rule about connections loads: maybe after the programs.
/// Whoever speaks to its part of nfnetlink has it loaded by the kernel, and needs neither modprobe nor CAP_SYS_MODULE.
void wake_conntrack() {
    const UniqueFd socket(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER));
    struct {
        nlmsghdr head;
        nfgenmsg body;
    } ask{};
    ask.head.nlmsg_len = sizeof(ask);
    ask.head.nlmsg_type = NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_GET_STATS;
    ask.head.nlmsg_flags = NLM_F_REQUEST;
    (void)send(socket.get(), &ask, sizeof(ask), 0); // whether it worked is seen in BTF
}

/// Whether the kernel takes an XDP program for packets in several buffers that asks for their length: one came with the other.
bool has_xdp_frags() {
    const bpf_insn program[] = {
        {.code = BPF_JMP | BPF_CALL, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = BPF_FUNC_xdp_get_buff_len},
        {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = XDP_PASS},
        {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0}};
    bpf_prog_load_opts opts{};
    opts.sz = sizeof(opts);
    opts.prog_flags = BPF_F_XDP_HAS_FRAGS;
    const UniqueFd fd(bpf_prog_load(BPF_PROG_TYPE_XDP, "weft_probe", "GPL", program, std::size(program), &opts));
    return fd.get() >= 0;
}

bool has_member(const btf &kernel, const char *structure, std::string_view member) {
    const int id = btf__find_by_name_kind(&kernel, structure, BTF_KIND_STRUCT);
    if (id <= 0) return false;
    const btf_type *type = btf__type_by_id(&kernel, static_cast<__u32>(id));
    const auto named = [&](const btf_member &m) { return btf__name_by_offset(&kernel, m.name_off) == member; };
    for (const auto &part : std::span(btf_members(type), btf_vlen(type))) {
        if (named(part)) return true;
        const btf_type *inner = btf__type_by_id(&kernel, part.type); // a union without a name
        if (btf_is_union(inner) && std::ranges::any_of(std::span(btf_members(inner), btf_vlen(inner)), named))
            return true;
    }
    return false;
}

} // namespace

Features probe_features() {
    Features found;
    found.redirect_peer = libbpf_probe_bpf_helper(BPF_PROG_TYPE_SCHED_CLS, BPF_FUNC_redirect_peer, nullptr) == 1;
    found.xdp_frags = has_xdp_frags();
    constexpr int kLoopback = 1;
    found.tcx = tcx_programs(kLoopback, TcHook::ingress).has_value();
    wake_conntrack();
    const BtfPtr vmlinux(btf__load_vmlinux_btf());
    if (!vmlinux) return found;
    found.tunnel_source = has_member(*vmlinux, "bpf_tunnel_key", "local_ipv4");
    found.push_vxlan = has_enumerator(*vmlinux, "BPF_F_ADJ_ROOM_ENCAP_L2_ETH");
    found.pop_other_family = has_enumerator(*vmlinux, "BPF_F_ADJ_ROOM_DECAP_L3_IPV6");
    found.netkit = has_function(*vmlinux, "netkit_set_macaddr");
    const BtfPtr module(btf__load_module_btf("nf_conntrack", vmlinux.get()));
    constexpr std::array kNeeded{"bpf_skb_ct_lookup", "bpf_xdp_ct_lookup", "bpf_ct_release"};
    found.conntrack_lookup = std::ranges::all_of(kNeeded, [&](const char *name) {
        return has_function(*vmlinux, name) || (module && has_function(*module, name));
    });
    return found;
}

std::vector<Lack> lacks(const Features &features) {
    std::vector<Lack> all;
    const auto unless = [&](bool there, std::string_view feature, std::string_view cost) {
        if (!there) all.push_back({feature, cost});
    };
    unless(features.conntrack_lookup, "conntrack_lookup",
           "every packet passes the host's stack: NAT cannot be ruled out");
    unless(features.push_vxlan, "push_vxlan", "the kernel's vxlan driver makes outer headers, not the programs");
    unless(features.pop_other_family, "pop_other_family",
           "packets whose outer header is of the other IP version pass the host's stack");
    unless(features.redirect_peer, "redirect_peer", "packets into pods take one more softirq");
    unless(features.tunnel_source, "tunnel_source",
           "what the vxlan driver sends has the source address of the route, whatever --iface says");
    unless(features.xdp_frags, "xdp_frags", "no XDP on an uplink whose frames do not fit one buffer");
    unless(features.tcx, "tcx",
           "programs of uplink and weft.1 are filters, which 'tc qdisc del' takes off until weftd looks");
    unless(features.netkit, "netkit", "pods whose network asks for netkit are wired by veth");
    return all;
}

} // namespace weft::datapath

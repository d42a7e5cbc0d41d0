// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

namespace weft::datapath {

/// What this kernel has. Probed, never inferred from its version: distributions backport.
struct Features {
    bool conntrack_lookup = false; ///< bpf_skb_ct_lookup, bpf_xdp_ct_lookup and bpf_ct_release can be called
    bool pop_other_family = false; ///< bpf_skb_adjust_room can take an IPv4 header off IPv6, and the reverse (6.3)
    bool push_vxlan = false;       ///< bpf_skb_adjust_room makes room for an inner Ethernet header (5.13)
    bool redirect_peer = false;    ///< bpf_redirect_peer: from the wire into a pod without another softirq (5.10)
    bool tunnel_source = false;    ///< a program can tell the vxlan driver the outer source address (6.0)
    bool xdp_frags = false;        ///< XDP sees packets in several buffers, and their whole length (5.18)
    bool tcx = false;              ///< tc programs need no qdisc (6.6)
    bool netkit = false;           ///< pairs of netkit devices with MACs that user space chooses (6.10)
};

/// Takes a few milliseconds. Has the kernel load nf_conntrack where that is a module: its functions are in no BTF before.
/// Without privileges only what BTF tells is found.
[[nodiscard]] Features probe_features();

struct Lack {
    std::string_view feature; ///< short, and never another word for the same
    std::string_view cost;    ///< what a user loses, in a sentence
};
/// What is done in another way on this kernel.
[[nodiscard]] std::vector<Lack> lacks(const Features &features);

} // namespace weft::datapath

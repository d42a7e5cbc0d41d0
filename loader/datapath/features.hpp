// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace weft::datapath {

/// What this kernel has. Probed, never inferred from its version: distributions backport.
struct Features {
    bool conntrack_lookup = false; ///< bpf_skb_ct_lookup, bpf_xdp_ct_lookup and bpf_ct_release can be called
    bool pop_other_family = false; ///< bpf_skb_adjust_room can take an IPv4 header off IPv6, and the reverse (6.3)
};

[[nodiscard]] Features probe_features();

} // namespace weft::datapath

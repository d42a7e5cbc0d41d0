// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace weft::datapath {

/// What this kernel has. Probed, never inferred from its version: distributions backport.
struct Features {
    bool conntrack_lookup = false; ///< bpf_skb_ct_lookup, bpf_xdp_ct_lookup and bpf_ct_release can be called
};

[[nodiscard]] Features probe_features();

} // namespace weft::datapath

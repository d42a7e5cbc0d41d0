// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "abi.hpp"

// Generated; their constants are `struct weft_cfg` of abi.hpp.
#include "weft.skel.h"
#include "xdp_wire.skel.h"

#include <memory>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "datapath/datapath.hpp"
#include "datapath/features.hpp"

namespace weft::datapath {

template <class Skeleton> struct SkelDestroy {
    void operator()(Skeleton *skel) const { Skeleton::destroy(skel); }
};
/// Owns a skeleton: its fds close with it. Pins and attachments live on.
template <class Skeleton> using SkelPtr = std::unique_ptr<Skeleton, SkelDestroy<Skeleton>>;

/// The programs' constants for a node.
[[nodiscard]] weft_cfg make_cfg(const DatapathConfig &config, const Features &features);

struct MapPin {
    bpf_map *map;
    std::string_view pin;
};
/// Every map that is pinned, and its name there.
[[nodiscard]] std::vector<MapPin> map_pins(const weft_bpf &skel);

/// The tc programs, loaded, on maps that are pinned under config.bpf_dir: reused where they fit, made where not.
[[nodiscard]] Result<SkelPtr<weft_bpf>> load_tc(const DatapathConfig &config, const Features &features);

/// The XDP program, opened and prepared to share the tc programs' maps, not loaded: whoever attaches it does that.
[[nodiscard]] Result<SkelPtr<xdp_wire_bpf>> open_xdp(const DatapathConfig &config, const Features &features,
                                                     const weft_bpf &tc);

} // namespace weft::datapath

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/addr.hpp"
#include "base/error.hpp"
#include "config/backend.hpp"
#include "net/link.hpp"
#include "net/netlink.hpp"
#include "net/route.hpp"

namespace weft {

/// What a flannel that ran on this node has left in the kernel, where it carries pods' packets until weft does.
struct FlannelLeft {
    std::vector<net::Link> devices; ///< flannel.1 and flannel-v6.1, made for weft.1's UDP port, and flannel.ipip
    std::set<std::string> on_port;  ///< those of them that are up on that port, which one device can be
    std::vector<net::Route>
        routes; ///< past its devices, as host-gw and DirectRouting have them; perhaps somebody else's
    std::vector<std::string> rules; ///< of its firewall chains, a line each
    /// The bridge plugin's cni0, and how many pods are on it.
    struct Bridge {
        net::Link link;
        std::size_t ports = 0;
    };
    std::optional<Bridge> bridge;
    std::optional<pid_t> daemon; ///< a flanneld that runs here: nothing of the above is left yet
};

/// @param with_rules rules are looked for too, by running iptables' programs.
[[nodiscard]] Result<FlannelLeft> read_flannel_left(net::NlSocket &sock, const BackendConf &backend, bool with_rules);

/// The VTEP MAC that peers know this node by, of an earlier run of flannel or of weft: of flannel's device for that family of
/// the underlay, else of a weft.1 that took a flannel's MAC over. nullopt: peers know none that is worth keeping.
[[nodiscard]] Result<std::optional<Mac>> read_vtep_mac(net::NlSocket &sock, const BackendConf &backend, bool v4);

/// Of flannel's device for IPv6, if that is up.
[[nodiscard]] Result<std::optional<Mac>> read_mac6_in_use(net::NlSocket &sock, const BackendConf &backend);

} // namespace weft

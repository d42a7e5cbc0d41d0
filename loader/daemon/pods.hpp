// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "abi.hpp"
#include "base/addr.hpp"
#include "daemon/diff.hpp"
#include "net/link.hpp"
#include "net/neigh.hpp"
#include "net/qdisc.hpp"
#include "net/route.hpp"

namespace weft {

/// A pod's endpoint, and what the kernel shows of its veth.
struct PodState {
    Ip address;
    weft_endpoint endpoint{};
    bool listed = true;          ///< in the endpoint map; else `endpoint` is what should be there
    bool gone = false;           ///< its veth is no more
    bool shaped = false;         ///< the host end has a qdisc that must see every packet
    std::optional<Mac> mac_seen; ///< the pod's, as the host's neighbour table has learnt it
    bool cut_off = false;        ///< its host end is up, but the host has no route to it
};

/// @param entries of the endpoint map.
/// @param links of the host
/// @param routes weft's own
[[nodiscard]] std::vector<PodState> pod_states(const std::vector<std::pair<weft_ip, weft_endpoint>> &entries,
                                               const std::vector<net::Qdisc> &qdiscs,
                                               const std::vector<net::Neighbour> &neighbours,
                                               const std::vector<net::Link> &links,
                                               const std::vector<net::Route> &routes);

/// Marks those whose veth is no longer among `links`. These were read after the map: a veth is there before its entry.
void mark_gone(std::vector<PodState> &pods, const std::vector<net::Link> &links);

/// A pod that is wired (its veth is there, and the host's route to it) and has no entry: somebody took it away, or the map is
/// a new one, of another layout than that of the weft that wired it.
struct UnlistedPod {
    Ip address;
    net::Link veth;
};
[[nodiscard]] std::vector<UnlistedPod> unlisted_pods(const std::vector<PodState> &listed,
                                                     const std::vector<net::Link> &links,
                                                     const std::vector<net::Route> &routes);

/// What pods may use as sources beside their own addresses.
struct AllowedState {
    std::vector<weft_allowed_key> listed; ///< in the map
    std::vector<weft_allowed_key> told;   ///< of pods whose veth is there, as the plugin was told
    std::set<int> veths;                  ///< pods' host ends; read after `listed`
};

/// What is missing is put back: the map may be a new one. What is of a veth that is gone goes; the rest is the plugin's.
[[nodiscard]] std::vector<Action> plan_allowed(const AllowedState &state);

/// What other plugins of the list did to a pod after weft's ADD, carried into its endpoint: limits put on the host end
/// (`bandwidth`) keep it off the fast path as long as they last. And its route, which goes with weft.1's addresses, because the
/// host speaks to it as its gateway. A pod without an entry gets it, an entry without a pod goes.
[[nodiscard]] std::vector<Action> plan_pods(const std::vector<PodState> &pods, const Subnet &own);

} // namespace weft

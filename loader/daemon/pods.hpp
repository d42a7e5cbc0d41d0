// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <utility>
#include <vector>

#include "abi.hpp"
#include "base/addr.hpp"
#include "daemon/diff.hpp"
#include "net/neigh.hpp"
#include "net/qdisc.hpp"

namespace weft {

/// A pod's endpoint, and what the kernel shows of its veth.
struct PodState {
    Ip address;
    weft_endpoint endpoint{};
    bool shaped = false;         ///< the host end has a qdisc that must see every packet
    std::optional<Mac> mac_seen; ///< the pod's, as the host's neighbour table has learnt it
};

/// @param entries of the endpoint map.
[[nodiscard]] std::vector<PodState> pod_states(const std::vector<std::pair<weft_ip, weft_endpoint>> &entries,
                                               const std::vector<net::Qdisc> &qdiscs,
                                               const std::vector<net::Neighbour> &neighbours);

/// What other plugins of the list did to a pod after weft's ADD, carried into its endpoint: limits put on the host end
/// (`bandwidth`) keep it off the fast path as long as they last, a MAC changed inside (`tuning`) is the one it is handed
/// packets with.
[[nodiscard]] std::vector<Action> plan_pods(const std::vector<PodState> &pods);

} // namespace weft

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "daemon/desired.hpp"
#include "daemon/diff.hpp"
#include "daemon/flannel_left.hpp"

namespace weft {

/// Taking a node over from flannel while its pods run. flannel.1 and weft.1 want the same UDP port, and only one of them can
/// be up: so all that can be made beside flannel.1 is made first, and then weft.1 takes its place at once (TakePlace). Pods
/// on cni0 notice nothing: their packets go through the host's stack before and after, and peers go on using the same MAC.

/// Whether weft.1 has to wait for its place.
[[nodiscard]] inline bool is_place_taken(const FlannelLeft &left) { return !left.on_port.empty(); }

/// What the host should hold until then: weft.1 is down, and the pod network has a route that drops what flannel.1's routes,
/// which end with flannel.1, leave behind. Else it would go to the default route in between, and a flow that is masqueraded
/// there once stays so.
[[nodiscard]] HostState before_swap(HostState desired);

/// The swap itself. @param desired what the host should hold afterwards.
[[nodiscard]] TakePlace swap_with(const FlannelLeft &left, const HostState &desired);

/// What of flannel's nothing needs any more once weft carries the packets: its devices, its routes to subnets that are leased,
/// its rules. A route to any other subnet may be an operator's.
[[nodiscard]] std::vector<Action> leavings_of_flannel(const FlannelLeft &left, const Leases &leases);

} // namespace weft

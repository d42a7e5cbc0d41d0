// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "base/addr.hpp"
#include "base/error.hpp"
#include "daemon/flags.hpp"
#include "net/addr.hpp"
#include "net/link.hpp"
#include "net/route_query.hpp"

namespace weft {

/// The link that tunnel packets leave and enter by.
struct Uplink {
    int ifindex = 0;
    std::string name;
    Mac mac;
    unsigned mtu = 0;
    Ip4 address;   ///< local: source of tunnel packets
    Ip4 public_ip; ///< what peers are told; differs from `address` behind NAT

    bool operator==(const Uplink &) const = default;
};

/// What selection looks at: one namespace's links, IPv4 addresses and default routes.
struct HostNetwork {
    std::vector<net::Link> links;
    std::vector<net::LinkAddress> addresses;
    std::vector<net::DefaultRoute> default_routes; ///< the best first
};

using RouteQuery = std::function<Result<net::RouteAnswer>(const Ip4 &destination)>;

/// Chooses the uplink by flannel's rules. Pure but for `route_to`.
///
/// Order: each --iface, each --iface-regex (on the addresses of every link first, then on names), --iface-can-reach, and
/// only where none of these is given: the link that holds --public-ip, or that of the default route.
/// Of a link's addresses global ones go before link-local ones, permanent before dynamic, stable before temporary.
/// weft's own devices are never an uplink, so that a pattern that matches the pod network does not loop the tunnel.
/// Errors: one sentence with what was tried and which links there are.
[[nodiscard]] Result<Uplink> select_uplink(const UplinkFlags &flags, const HostNetwork &host,
                                           const RouteQuery &route_to);

} // namespace weft

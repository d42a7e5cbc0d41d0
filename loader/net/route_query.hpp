// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/addr.hpp"
#include "base/error.hpp"
#include "net/netlink.hpp"
#include "net/route.hpp"

namespace weft::net {

/// What the kernel would do with a packet to some address, all its tables, rules and cached path MTUs considered.
struct RouteAnswer {
    int ifindex = 0;
    std::optional<Ip> gateway; ///< none: the destination itself is the neighbour
    std::optional<Ip> source;
    unsigned mtu = 0;                    ///< of the route or of a path MTU learnt by ICMP; 0: the link's
    RouteType type = RouteType::unicast; ///< local: the address is this host's own

    bool operator==(const RouteAnswer &) const = default;
};

/// `ip route get <destination> [from <source>]`.
/// Errors: ENETUNREACH, EHOSTUNREACH or EACCES where the kernel has no way, or one that forbids.
[[nodiscard]] Result<RouteAnswer> query_route(NlSocket &sock, const Ip &destination,
                                              const std::optional<Ip> &source = std::nullopt);

/// A default route of the main table.
struct DefaultRoute {
    bool v4 = true; ///< or IPv6
    int ifindex = 0;
    std::uint32_t metric = 0;
    unsigned next_hops = 1; ///< more than one: ECMP, and ifindex is the first one's

    bool operator==(const DefaultRoute &) const = default;
};

/// IPv4's before IPv6's, the best of each first.
[[nodiscard]] Result<std::vector<DefaultRoute>> list_default_routes(NlSocket &sock);

} // namespace weft::net

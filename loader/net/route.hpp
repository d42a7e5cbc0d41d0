// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <linux/rtnetlink.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/addr.hpp"
#include "base/error.hpp"
#include "net/netlink.hpp"

namespace weft::net {

/// The protocol number of every route that weft puts on a host ("ip route show proto 119"): whose it is, after a restart
/// with no memory. 'w'; unassigned in rtnetlink.h and by the routing daemons in rt_protos.
inline constexpr std::uint8_t kRouteProtocol = 0x77;

enum class RouteType : std::uint8_t {
    unicast = RTN_UNICAST,
    local = RTN_LOCAL,
    blackhole = RTN_BLACKHOLE,
    unreachable = RTN_UNREACHABLE,
    prohibit = RTN_PROHIBIT,
};

/// One route with at most one next hop. What IPv4 and IPv6 tell differently reads the same: in IPv6, where there are no
/// scopes, a route without a gateway has RT_SCOPE_LINK, the metric that stands for none given (1024) is 0, and a type
/// without next hop has no link (the kernel says lo).
struct Route {
    Net destination;           ///< canonical
    std::optional<Ip> gateway; ///< of the destination's family
    int ifindex = 0;           ///< 0 only with a type that has no next hop
    std::optional<Ip> source;  ///< preferred source address
    RouteType type = RouteType::unicast;
    std::uint8_t scope = RT_SCOPE_UNIVERSE; ///< RT_SCOPE_LINK for a destination without gateway
    std::uint8_t protocol = kRouteProtocol;
    std::uint32_t metric = 0; ///< lower wins
    std::uint32_t table = RT_TABLE_MAIN;
    bool onlink = false; ///< the gateway is on that link, whatever other routes say
    unsigned mtu = 0;    ///< 0: the link's
    unsigned advmss = 0; ///< 0: from the MTU

    bool operator==(const Route &) const = default;
};

/// "10.244.0.0/16 via 10.244.3.0 dev 7": for errors and logs.
[[nodiscard]] std::string to_string(const Route &route);

enum class IfExists {
    fail,    ///< EEXIST if a route of that destination, metric and table is there, whatever its next hop
    replace, ///< takes its place atomically
    append,  ///< is added behind it
};

/// Errors: ENETDOWN if the link is down, ENETUNREACH if the gateway is not reachable through the link.
[[nodiscard]] Status add_route(NlSocket &sock, const Route &route, IfExists if_exists);

/// Removes the route of that destination, metric, table, type, protocol and, where given, link and gateway.
/// @return whether it was there.
[[nodiscard]] Result<bool> remove_route(NlSocket &sock, const Route &route);

/// Unset members match every route.
struct RouteFilter {
    std::optional<int> ifindex;
    std::optional<std::uint8_t> protocol;
    std::uint32_t table = RT_TABLE_MAIN;
};
/// Of both families; multipath routes are listed by their first next hop.
[[nodiscard]] Result<std::vector<Route>> list_routes(NlSocket &sock, const RouteFilter &filter);

} // namespace weft::net

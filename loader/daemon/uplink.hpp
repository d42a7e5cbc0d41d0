// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/addr.hpp"
#include "base/error.hpp"
#include "daemon/flags.hpp"
#include "net/addr.hpp"
#include "net/link.hpp"
#include "net/route_query.hpp"

namespace weft {

/// Families of the pod network.
struct Families {
    bool v4 = true;
    bool v6 = false;
};

template <class IpN> struct UplinkAddress {
    IpN address;   ///< local: source of tunnel packets
    IpN public_ip; ///< what peers are told; differs from `address` behind NAT

    bool operator==(const UplinkAddress &) const = default;
};

/// The link that tunnel packets leave and enter by.
struct Uplink {
    int ifindex = 0;
    std::string name;
    Mac mac;
    unsigned mtu = 0;
    std::optional<UplinkAddress<Ip4>> v4; ///< this or v6, or both
    std::optional<UplinkAddress<Ip6>> v6;

    [[nodiscard]] std::optional<Ip> address(bool ip4) const;
    [[nodiscard]] std::optional<Ip> public_address(bool ip4) const;

    bool operator==(const Uplink &) const = default;
};

/// What selection looks at: one namespace's links, addresses and default routes.
struct HostNetwork {
    std::vector<net::Link> links;
    std::vector<net::LinkAddress> addresses;
    std::vector<net::DefaultRoute> default_routes; ///< of a family the best first
};

using RouteQuery = std::function<Result<net::RouteAnswer>(const Ip &destination)>;

/// Chooses the uplink by flannel's rules. Pure but for `route_to`.
///
/// Order: each --iface, each --iface-regex (on the addresses of every link first, then on names), --iface-can-reach, and
/// only where none of these is given: the link that holds --public-ip, or --public-ipv6, or that of the default route; with
/// both families their default routes must leave by one link, if there are both.
/// Of a link's addresses global ones go before link-local ones, permanent before dynamic, stable before temporary. A
/// link-local IPv6 address is none to tell other nodes, unlike in flannel: it means nothing to a node of another segment.
/// With both families an address of one is enough: it carries the other's packets too.
/// weft's own devices are never an uplink, so that a pattern that matches the pod network does not loop the tunnel.
/// Errors: one sentence with what was tried and which links there are.
[[nodiscard]] Result<Uplink> select_uplink(const UplinkFlags &flags, const HostNetwork &host,
                                           const RouteQuery &route_to, Families families);

/// Whether some link of the host still has each of its addresses.
[[nodiscard]] bool still_has(const HostNetwork &host, const Uplink &uplink);
/// The same link, if it is there, by the name, MAC and MTU that it has now.
[[nodiscard]] Uplink as_it_is_now(const HostNetwork &host, Uplink uplink);

/// "192.0.2.1", "2001:db8::1" or both with a blank between: what peers are told, for messages.
[[nodiscard]] std::string public_ips(const Uplink &uplink);

} // namespace weft

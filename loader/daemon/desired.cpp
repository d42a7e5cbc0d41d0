// SPDX-License-Identifier: Apache-2.0
#include "daemon/desired.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "net/sysctl.hpp"

namespace weft {
namespace {

/// Forwarding makes a host a router, and a router ignores router advertisements, unless accept_ra is 2: without that the host
/// would lose the default route and the addresses that it has from them.
void add_ip6_settings(const ClusterView &view, const Surroundings &around, HostState &host) {
    host.sysctls["net/ipv6/conf/all/forwarding"] = "1";
    host.not_merely_on.insert(net::link_sysctl("ipv6", view.uplink.name, "accept_ra"));
    for (const auto &link : around.routers) host.not_merely_on.insert(net::link_sysctl("ipv6", link, "accept_ra"));
    host.sysctls[net::link_sysctl("ipv6", kVtepName, "disable_ipv6")] = "0";
}

} // namespace

Mac vtep_mac(const Uplink &uplink) {
    if (uplink.v4) {
        const auto ip = uplink.v4->public_ip.to_bytes();
        return Mac{{0x02, 0x77, ip[0], ip[1], ip[2], ip[3]}}; // locally administered, unicast
    }
    // FNV-1a: nodes of one segment differ in a few octets, which are to reach all that a MAC has room for.
    std::uint64_t hash = 0xcbf29ce484222325U;
    for (const auto octet : uplink.v6->public_ip.to_bytes()) hash = (hash ^ octet) * 0x100000001b3U;
    Mac mac{{0x06}};
    for (std::size_t i = 1; i < mac.bytes.size(); ++i) mac.bytes[i] = static_cast<std::uint8_t>(hash >> (8 * i));
    return mac;
}

bool is_drawn_by_weft(const Mac &mac) { return mac.bytes[0] == 0x02 && mac.bytes[1] == 0x77; }

const PodNetwork *ClusterView::network_of(const Ip &address) const {
    const auto found =
        std::ranges::find(networks, address.is_v4(), [](const PodNetwork &one) { return one.net.is_v4(); });
    return found == networks.end() ? nullptr : &*found;
}

Families ClusterView::families() const { return {network_of(Ip4()) != nullptr, network_of(Ip6()) != nullptr}; }

std::set<weft_encap> ClusterView::encaps() const {
    auto all = also;
    all.insert(backend.encap);
    if (backend.direct_routing) all.insert(WEFT_ENCAP_DIRECT);
    if (all.contains(WEFT_ENCAP_VXLAN) && uplink.v6) all.insert(WEFT_ENCAP_VXLAN6);
    return all;
}

unsigned ClusterView::overlay_mtu() const {
    unsigned overhead = 0;
    for (const auto encap : encaps()) overhead = std::max(overhead, overhead_of(encap));
    return underlay_mtu() - overhead;
}

std::string route_key(const net::Route &route) {
    return fmt::format("{} metric {}", route.destination.to_string(), route.metric);
}

Surroundings surroundings(const Subnet &own, const HostNetwork &host) {
    const auto name_of = [&](int ifindex) -> std::string {
        const auto found = std::ranges::find(host.links, ifindex, &net::Link::index);
        const bool other = found != host.links.end() && found->name != kVtepName && !found->loopback();
        return other ? found->name : "";
    };
    Surroundings around;
    for (const auto &held : host.addresses)
        if (own.v4 && held.address.prefix_length() != 32 && contains(*own.v4, held.address.address()))
            around.bridges.insert(name_of(held.ifindex));
    for (const auto &route : host.default_routes)
        if (!route.v4) around.routers.insert(name_of(route.ifindex));
    around.bridges.erase("");
    around.routers.erase("");
    return around;
}

HostState desired_host(const ClusterView &view, const Surroundings &around, const NarrowSubnets &narrow) {
    HostState host;
    const auto families = view.families();
    if (families.v4) host.sysctls["net/ipv4/ip_forward"] = "1";
    // Packets on weft.1 come from other nodes' pods: none of them is this host's router. And no link-local address (1 is
    // "none"): with it the host would talk to itself through the tunnel.
    host.sysctls[net::link_sysctl("ipv6", kVtepName, "accept_ra")] = "0";
    host.sysctls[net::link_sysctl("ipv6", kVtepName, "addr_gen_mode")] = "1";
    host.scope.push_back(Net6(asio::ip::make_address_v6("fe80::"), 64));
    // Neighbours learn of another MAC at once, and not when the old one has gone unanswered for seconds.
    const auto &uplink = view.uplink;
    if (uplink.v4) host.sysctls[net::link_sysctl("ipv4", uplink.name, "arp_notify")] = "1";
    if (uplink.v6) host.sysctls[net::link_sysctl("ipv6", uplink.name, "ndisc_notify")] = "1";
    for (const auto &bridge : around.bridges) host.sysctls[net::link_sysctl("ipv4", bridge, "proxy_arp")] = "1";
    if (families.v6) add_ip6_settings(view, around, host);
    host.vtep = net::VxlanDevice{
        .name = kVtepName,
        .port = view.backend.port,
        .zero_csum6_rx = true, // also without IPv6, so that switching it on needs no other device
        .mac = view.mac_of_vtep(),
        .mtu = view.overlay_mtu(),
    };
    for (const Net &own : view.own.nets()) {
        const auto *network = view.network_of(own.address());
        if (!network) continue;
        const Ip &base = own.address();
        const Ip gateway = own.is_v4() ? Ip(kOverlayGateway) : Ip(kOverlayGateway6);
        host.scope.push_back(network->net);
        host.addresses.insert({host_net(base), host_net(base + 1)});
        host.neighbours.emplace(gateway, kOverlayGatewayMac);
        const net::Route overlay{.destination = network->net, .gateway = gateway, .source = base, .onlink = true};
        const net::Route hole{.destination = own, .type = net::RouteType::unreachable, .metric = kUnreachableMetric};
        for (const auto &route : {overlay, hole}) host.routes.emplace(route_key(route), route);
        for (const auto &[subnet, mtu] : narrow) {
            if (subnet.is_v4() != own.is_v4()) continue;
            auto route = overlay;
            route.destination = subnet;
            route.mtu = mtu;
            host.routes.emplace(route_key(route), route);
        }
    }
    return host;
}

} // namespace weft

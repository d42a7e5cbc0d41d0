// SPDX-License-Identifier: Apache-2.0
#include "daemon/desired.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ranges>

#include "net/sysctl.hpp"

namespace weft {
namespace {

constexpr std::uint32_t kMaxSubnets = 65536;
constexpr unsigned kMinIpMtu = 68; // what every IPv4 link carries

/// Gives each lease a slot of lease_stats: the one it has, else the lowest that no entry uses, of this or of a lease
/// that is about to go.
class Slots {
public:
    Slots(const MapState &actual, std::uint32_t count) : count_(count) {
        for (const auto &[subnet, lease] : actual.leases) {
            // Of two entries with one slot (written by nobody we know), the first keeps it.
            if (lease.stats_index < count && taken_.insert(lease.stats_index).second) held_[subnet] = lease.stats_index;
        }
    }

    std::optional<std::uint32_t> of(const Net &subnet) {
        if (const auto held = held_.find(subnet); held != held_.end()) return held->second;
        while (taken_.contains(next_)) ++next_;
        if (next_ >= count_) return std::nullopt;
        taken_.insert(next_);
        return next_;
    }

private:
    std::uint32_t count_, next_ = 0;
    std::set<std::uint32_t> taken_;
    std::map<Net, std::uint32_t> held_;
};

Result<Mac> vtep_mac_of(const LeaseAttrs &attrs) {
    const auto &data = attrs.backend_data;
    const auto found = data.is_object() ? data.find("VtepMAC") : data.end();
    if (!data.is_object() || found == data.end() || !found->is_string())
        return fail(fmt::format("its BackendData {} has no VtepMAC", data.dump()));
    auto mac = parse_mac(found->get_ref<const std::string &>());
    if (!mac) return fail_in(std::move(mac), "its VtepMAC");
    return mac;
}

/// How the lease's node is reached from here, once it is known by which way. host-gw has no other way than the segment.
Result<weft_encap> encap_for(const ClusterView &view, const LeaseAttrs &attrs, const NextHop &hop) {
    const auto own = *encap_of_backend(attrs.backend_type); // a usable lease has one
    const bool neighbour = hop.neighbour == attrs.public_ip;
    if (own == WEFT_ENCAP_DIRECT && !neighbour)
        return fail(fmt::format(
            "its node {} is not on the segment of this node's {}, as {} needs it: the route leads through {}",
            attrs.public_ip.to_string(), view.uplink.address.to_string(), backend_name(own),
            hop.neighbour.to_string()));
    return view.backend.direct_routing && neighbour ? WEFT_ENCAP_DIRECT : own;
}

weft_lease lease_entry(const ClusterView &view, const LeaseAttrs &attrs, const Mac &mac, const NextHop *hop,
                       weft_encap encap) {
    weft_lease entry{};
    entry.node = abi::ip(attrs.public_ip);
    entry.vtep_mac = abi::mac(mac);
    entry.mtu = static_cast<__u16>(view.overlay_mtu());
    if (!hop) return entry; // WEFT_ENCAP_NONE
    entry.encap = static_cast<__u8>(encap);
    entry.next_hop = abi::ip(hop->neighbour);
    entry.ifindex = static_cast<__u32>(hop->ifindex);
    const unsigned overhead = overhead_of(encap);
    const unsigned path = std::max<unsigned>(hop->mtu, kMinIpMtu + overhead) - overhead;
    const unsigned underlay = view.backend.mtu.value_or(view.uplink.mtu) - overhead;
    entry.mtu = static_cast<__u16>(std::min({underlay, path, 0xffffU}));
    return entry;
}

} // namespace

Mac vtep_mac(const Ip4 &public_ip) {
    const auto ip = public_ip.to_bytes();
    return Mac{{0x02, 0x77, ip[0], ip[1], ip[2], ip[3]}}; // locally administered, unicast
}

std::set<weft_encap> ClusterView::encaps() const {
    auto all = also;
    all.insert(backend.encap);
    if (backend.direct_routing) all.insert(WEFT_ENCAP_DIRECT);
    return all;
}

unsigned ClusterView::overlay_mtu() const {
    unsigned overhead = 0;
    for (const auto encap : encaps()) overhead = std::max(overhead, overhead_of(encap));
    return backend.mtu.value_or(uplink.mtu) - overhead;
}

std::string route_key(const net::Route &route) {
    return fmt::format("{} metric {}", route.destination.to_string(), route.metric);
}

std::optional<std::string> why_unusable(const ClusterView &view, const Net4 &subnet, const LeaseAttrs &attrs) {
    const auto encap = encap_of_backend(attrs.backend_type);
    if (!encap || (*encap != view.backend.encap && !view.also.contains(*encap)))
        return fmt::format("its BackendType is \"{}\", this node speaks \"{}\"", attrs.backend_type,
                           view.backend.name());
    if (attrs.public_ip.is_unspecified()) return "it has no PublicIP";
    if (attrs.public_ip == view.uplink.public_ip) return "its PublicIP is this node's own";
    if (subnet.prefix_length() < view.network.prefix_length() || !contains(view.network, subnet.address()))
        return fmt::format("it is not in the Network {}", view.network.to_string());
    if (overlaps(subnet, *view.own.v4)) return fmt::format("it overlaps this node's own {}", view.own.v4->to_string());
    return std::nullopt;
}

std::uint32_t subnet_capacity(const Net4 &network, unsigned subnet_len) {
    const unsigned bits = subnet_len > network.prefix_length() ? subnet_len - network.prefix_length() : 0;
    return bits >= 16 ? kMaxSubnets : std::max(1U << bits, 16U);
}

std::set<std::string> bridges_in(const Net4 &own, const HostNetwork &host) {
    std::set<std::string> bridges;
    for (const auto &held : host.addresses) {
        if (held.address.prefix_length() == 32 || !contains(own, held.address.address())) continue;
        for (const auto &link : host.links)
            if (link.index == held.ifindex && link.name != kVtepName && !link.loopback()) bridges.insert(link.name);
    }
    return bridges;
}

HostState desired_host(const ClusterView &view, const std::set<std::string> &bridges) {
    const Ip4 base = view.own.v4->network();
    HostState host;
    host.sysctls["net/ipv4/ip_forward"] = "1";
    // Packets on weft.1 come from other nodes' pods: none of them is this host's router.
    host.sysctls[net::link_sysctl("ipv6", kVtepName, "accept_ra")] = "0";
    for (const auto &bridge : bridges) host.sysctls[net::link_sysctl("ipv4", bridge, "proxy_arp")] = "1";
    host.vtep = net::VxlanDevice{
        .name = kVtepName,
        .port = view.backend.port,
        .mac = vtep_mac(view.uplink.public_ip),
        .mtu = view.overlay_mtu(),
    };
    host.scope = view.network;
    host.addresses = {Net4(base, 32), Net4(base + 1, 32)};
    host.neighbours = {{kOverlayGateway, kOverlayGatewayMac}};
    const net::Route overlay{.destination = view.network, .gateway = kOverlayGateway, .source = base, .onlink = true};
    const net::Route own{
        .destination = *view.own.v4, .type = net::RouteType::unreachable, .metric = kUnreachableMetric};
    for (const auto &route : {overlay, own}) host.routes.emplace(route_key(route), route);
    return host;
}

DesiredMaps desired_maps(const ClusterView &view, const NextHops &next_hops, const MapState &actual,
                         std::uint32_t slots) {
    DesiredMaps desired;
    auto &maps = desired.maps;
    Slots free_slots(actual, slots);
    std::array<std::set<unsigned>, WEFT_FAMILIES> lengths;
    for (const auto &[both, attrs] : view.others) {
        if (!both.v4) continue;
        const Net4 &subnet = *both.v4;
        const auto skip = [&](std::string why) { desired.unusable.push_back({subnet, std::move(why)}); };
        if (auto why = why_unusable(view, subnet, attrs)) {
            skip(std::move(*why));
            continue;
        }
        // One IPv4 subnet under two keys, with different IPv6 parts.
        if (maps.leases.contains(subnet)) {
            skip("another key leases the same IPv4 subnet");
            continue;
        }
        auto &used = lengths[WEFT_IPV4];
        if (used.size() == WEFT_MAX_PREFIX_LENS && !used.contains(subnet.prefix_length())) {
            skip(fmt::format("leases of {} other prefix lengths are in use already, which is all that fit",
                             used.size()));
            continue;
        }
        const auto found = next_hops.find(attrs.public_ip);
        const auto *hop = found != next_hops.end() && found->second ? &*found->second : nullptr;
        const auto encap = hop ? encap_for(view, attrs, *hop) : Result<weft_encap>(WEFT_ENCAP_NONE);
        if (!encap) {
            skip(encap.error().sentence());
            continue;
        }
        const auto mac =
            *encap_of_backend(attrs.backend_type) == WEFT_ENCAP_VXLAN ? vtep_mac_of(attrs) : Result<Mac>(Mac{});
        const auto slot = mac ? free_slots.of(subnet) : std::nullopt;
        if (!mac || !slot) {
            skip(!mac ? mac.error().sentence() : fmt::format("there are more leases than the {} that fit", slots));
            continue;
        }
        auto entry = lease_entry(view, attrs, *mac, hop, *encap);
        entry.stats_index = *slot;
        maps.leases.emplace(subnet, entry);
        used.insert(subnet.prefix_length());
        auto &node = maps.nodes.try_emplace(attrs.public_ip, weft_node{0, *slot}).first->second;
        ++node.leases;
        node.stats_index = std::min(node.stats_index, *slot);
    }
    const auto subnets = std::views::keys(maps.leases);
    maps.prefix_lens = abi::prefix_lens_of({subnets.begin(), subnets.end()});
    return desired;
}

} // namespace weft

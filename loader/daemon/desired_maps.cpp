// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <ranges>

#include "daemon/desired.hpp"

namespace weft {
namespace {

constexpr unsigned kMaxSubnetBits = 17; ///< 131,072

const char *family_name(bool v4) { return v4 ? "IPv4" : "IPv6"; }

/// What every link of that family carries: RFC 791, RFC 8200.
unsigned least_ip_mtu(bool v4) { return v4 ? 68 : 1280; }

/// Gives each lease a slot of lease_stats: the one it has, else the lowest that no entry uses, of this or of a lease
/// that is about to go.
class Slots {
public:
    Slots(const MapState &actual, const Census &beside, std::uint32_t count) : count_(count), beside_(beside) {
        for (const auto &[subnet, lease] : actual.leases) {
            if (lease.stats_index >= count || beside.has_slot(lease.stats_index)) continue;
            // Of two entries with one slot (written by nobody we know), the first keeps it.
            if (taken_.insert(lease.stats_index).second) held_[subnet] = lease.stats_index;
        }
    }

    std::optional<std::uint32_t> of(const Net &subnet) {
        if (const auto held = held_.find(subnet); held != held_.end()) return held->second;
        while (beside_.has_slot(next_) || taken_.contains(next_)) ++next_;
        if (next_ >= count_) return std::nullopt;
        taken_.insert(next_);
        return next_;
    }

private:
    std::uint32_t count_, next_ = 0;
    const Census &beside_;
    std::set<std::uint32_t> taken_;
    std::map<Net, std::uint32_t> held_;
};

/// Of the device that takes what comes over that underlay: flannel's nodes have one for each family, weft's one for both.
Result<Mac> vtep_mac_of(const LeaseAttrs &attrs, bool over_v4) {
    const bool of_v6 = !attrs.backend_v6_data.is_null() && (!over_v4 || attrs.backend_data.is_null());
    auto mac = (of_v6 ? attrs.backend_v6_data : attrs.backend_data).vtep_mac();
    if (!mac) return fail_in(std::move(mac), of_v6 ? "its BackendV6Data" : "its BackendData");
    return mac;
}

/// How the lease's node is reached from here, once it is known by which way. host-gw has no other way than the segment.
Result<weft_encap> encap_for(const ClusterView &view, const Net &subnet, const LeaseAttrs &attrs, const Ip &node,
                             const NextHop &hop) {
    const auto own = *encap_of_backend(attrs.backend_type); // a usable lease has one
    const bool neighbour = hop.neighbour == node;
    if (own == WEFT_ENCAP_DIRECT && !neighbour)
        return fail(fmt::format(
            "its node {} is not on the segment of this node's {}, as {} needs it: the route leads through {}",
            node.to_string(), view.uplink.address(node.is_v4())->to_string(), backend_name(own),
            hop.neighbour.to_string()));
    // A node that is a neighbour in the other family has no say about this one: what is inside stays there.
    if (view.backend.direct_routing && neighbour && node.is_v4() == subnet.is_v4()) return WEFT_ENCAP_DIRECT;
    return own == WEFT_ENCAP_VXLAN && !node.is_v4() ? WEFT_ENCAP_VXLAN6 : own;
}

weft_lease lease_entry(const ClusterView &view, const Net &subnet, const LeaseAttrs &attrs, const Ip &node,
                       const NextHop *hop, weft_encap encap, const MapState &actual) {
    weft_lease entry{};
    entry.node = abi::ip(node);
    entry.mtu = static_cast<__u16>(view.overlay_mtu());
    if (!hop) return entry; // WEFT_ENCAP_NONE
    entry.encap = static_cast<__u8>(encap);
    if (encap == WEFT_ENCAP_VXLAN6 && !attrs.backend_v6_data.zero_csum6()) entry.flags |= WEFT_LEASE_OUTER_CSUM;
    entry.next_hop = abi::ip(hop->neighbour);
    entry.ifindex = static_cast<__u32>(hop->ifindex);
    // What was known stays known while the kernel has forgotten it: packets come from there all the same. Also where ours go
    // by a router: the node may see that otherwise.
    if (view.encaps().contains(WEFT_ENCAP_DIRECT)) {
        const auto before = actual.leases.find(subnet);
        if (hop->mac)
            entry.link_mac = abi::mac(*hop->mac);
        else if (before != actual.leases.end() && abi::ip(before->second.node) == node)
            entry.link_mac = before->second.link_mac;
    }
    const unsigned overhead = overhead_of(encap);
    const unsigned path = std::max(hop->mtu, least_ip_mtu(subnet.is_v4()) + overhead) - overhead;
    entry.mtu = static_cast<__u16>(std::min({view.underlay_mtu() - overhead, path, 0xffffU}));
    return entry;
}

/// Builds the maps one lease after another.
class Filling {
public:
    Filling(const ClusterView &view, const NextHops &next_hops, const MapState &actual, std::uint32_t slots,
            const Census &beside)
        : view_(view), next_hops_(next_hops), actual_(actual), slots_(actual, beside, slots), slot_count_(slots) {
        desired_.census = beside;
        const auto lens = beside.prefix_lens();
        for (std::size_t family = 0; family < lengths_.size(); ++family)
            lengths_[family].insert(lens.of[family].begin(), lens.of[family].end());
    }

    void add(const Net &subnet, const LeaseAttrs &attrs) {
        if (const auto added = try_add(subnet, attrs); !added)
            desired_.unusable.push_back({subnet, added.error().sentence()});
    }

    DesiredMaps finish() {
        desired_.census.add(desired_.maps.leases);
        desired_.maps.prefix_lens = desired_.census.prefix_lens();
        return std::move(desired_);
    }

private:
    Status try_add(const Net &subnet, const LeaseAttrs &attrs) {
        const auto node = node_of(view_, subnet, attrs);
        if (!node) return std::unexpected(node.error());
        auto &maps = desired_.maps;
        // One subnet under two keys, with different parts of the other family.
        if (maps.leases.contains(subnet)) return fail("another key leases the same subnet");
        auto &lengths = lengths_[abi::family(subnet.address())];
        if (lengths.size() == WEFT_MAX_PREFIX_LENS && !lengths.contains(subnet.prefix_length()))
            return no_room(fmt::format("leases of {} other prefix lengths are in use already, which is all that fit",
                                       lengths.size()));
        const auto found = next_hops_.find(*node);
        const auto *hop = found != next_hops_.end() && found->second ? &*found->second : nullptr;
        const auto encap = hop ? encap_for(view_, subnet, attrs, *node, *hop) : Result<weft_encap>(WEFT_ENCAP_NONE);
        if (!encap) return std::unexpected(encap.error());
        auto entry = lease_entry(view_, subnet, attrs, *node, hop, *encap, actual_);
        if (*encap_of_backend(attrs.backend_type) == WEFT_ENCAP_VXLAN) {
            const auto mac = vtep_mac_of(attrs, node->is_v4());
            if (!mac) return std::unexpected(mac.error());
            entry.vtep_mac = abi::mac(*mac);
        }
        const auto slot = slots_.of(subnet);
        if (!slot) return no_room(fmt::format("there are more leases than the {} that fit", slot_count_));
        entry.stats_index = *slot;
        maps.leases.emplace(subnet, entry);
        lengths.insert(subnet.prefix_length());
        auto &sender = maps.nodes.try_emplace(*node, weft_node{0, *slot}).first->second;
        ++sender.leases;
        sender.stats_index = std::min(sender.stats_index, *slot);
        return {};
    }

    Status no_room(std::string why) {
        desired_.crowded = true;
        return fail(std::move(why));
    }

    const ClusterView &view_;
    const NextHops &next_hops_;
    const MapState &actual_;
    Slots slots_;
    std::uint32_t slot_count_;
    DesiredMaps desired_;
    std::array<std::set<unsigned>, WEFT_FAMILIES> lengths_;
};

/// The underlay that carries a subnet's packets: its own family's where both nodes have that, else, in VXLAN, the other's.
Result<Ip> underlay_of(const ClusterView &view, const Net &subnet, const LeaseAttrs &attrs, weft_encap encap) {
    const auto theirs = [&](bool v4) -> std::optional<Ip> {
        if (v4) return attrs.public_ip.is_unspecified() ? std::nullopt : std::optional<Ip>(attrs.public_ip);
        return attrs.public_ipv6;
    };
    const bool v4 = subnet.is_v4();
    for (const bool family : {v4, !v4})
        if (const auto node = theirs(family);
            node && view.uplink.address(family) && (family == v4 || encap == WEFT_ENCAP_VXLAN))
            return *node;
    if (!theirs(v4)) return fail(v4 ? "it has no PublicIP" : "it has no PublicIPv6");
    return fail(fmt::format("its node's address is {}, and this node's {} has no {} address", theirs(v4)->to_string(),
                            view.uplink.name, family_name(v4)));
}

} // namespace

Result<Ip> node_of(const ClusterView &view, const Net &subnet, const LeaseAttrs &attrs) {
    const auto encap = encap_of_backend(attrs.backend_type);
    if (!encap || (*encap != view.backend.encap && !view.also.contains(*encap)))
        return fail(
            fmt::format("its BackendType is \"{}\", this node speaks \"{}\"", attrs.backend_type, view.backend.name()));
    const auto *network = view.network_of(subnet.address());
    if (!network) return fail(fmt::format("the cluster has no {}", family_name(subnet.is_v4())));
    if (!subnet.is_v4() && is_ipv4_only(*encap)) return fail(fmt::format("{} carries IPv4 only", backend_name(*encap)));
    auto node = underlay_of(view, subnet, attrs, *encap);
    if (!node) return node;
    if (*node == view.uplink.public_address(node->is_v4()))
        return fail(fmt::format("its {} is this node's own", node->is_v4() ? "PublicIP" : "PublicIPv6"));
    if (subnet.prefix_length() < network->net.prefix_length() || !contains(network->net, subnet.address()))
        return fail(fmt::format("it is not in the Network {}", network->net.to_string()));
    for (const Net &own : view.own.nets())
        if (overlaps(subnet, own)) return fail(fmt::format("it overlaps this node's own {}", own.to_string()));
    return node;
}

std::uint32_t subnet_capacity(const std::vector<PodNetwork> &networks) {
    std::uint32_t nodes = 1U << kMaxSubnetBits;
    for (const auto &[net, subnet_len] : networks) {
        const unsigned bits = subnet_len > net.prefix_length() ? subnet_len - net.prefix_length() : 0;
        nodes = std::min(nodes, std::max(1U << std::min(bits, kMaxSubnetBits), 16U));
    }
    return nodes * static_cast<std::uint32_t>(networks.size());
}

DesiredMaps desired_maps(const ClusterView &view, const NextHops &next_hops, const MapState &actual,
                         std::uint32_t slots, const MapPart *part, const Census &beside) {
    Filling filling(view, next_hops, actual, slots, beside);
    for (const auto &[subnet, lease] : leased(view, part)) filling.add(subnet, lease->attrs);
    return filling.finish();
}

} // namespace weft

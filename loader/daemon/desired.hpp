// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "abi.hpp"
#include "base/addr.hpp"
#include "base/error.hpp"
#include "config/backend.hpp"
#include "config/net_conf.hpp"
#include "daemon/map_part.hpp"
#include "daemon/uplink.hpp"
#include "lease/leases.hpp"
#include "net/route.hpp"
#include "net/vxlan_device.hpp"

namespace weft {

using net::kVtepName;

/// The one next hop of a family's overlay route. It is never on a wire: the programs rewrite the inner destination by
/// lease. One gateway with one permanent neighbour keeps the neighbour table at one entry however many pods the host
/// talks to.
inline const Ip4 kOverlayGateway({169, 254, 1, 1});
inline const Ip6 kOverlayGateway6 = asio::ip::make_address_v6("fe80::77");
inline constexpr Mac kOverlayGatewayMac{{0x02, 0x77, 0, 0, 0, 1}};

/// Of the route that answers for own pods that do not exist. Any other route to the same prefix wins.
inline constexpr std::uint32_t kUnreachableMetric = 1U << 24;

/// weft.1's MAC: the same after every restart and reboot, so that peers need not learn a new one. Of the address that peers
/// are told, IPv4's where there are both.
[[nodiscard]] Mac vtep_mac(const Uplink &uplink);
/// Whether it may be one of those. Flannel's are random, and one in thirty thousand looks like it.
[[nodiscard]] bool is_drawn_by_weft(const Mac &mac);

/// One family of the cluster's pod network.
struct PodNetwork {
    Net net;
    unsigned subnet_len = 24;
};

/// Everything that decides what this node's kernel should hold.
struct ClusterView {
    std::vector<PodNetwork> networks; ///< of the families that are on, IPv4 first
    BackendConf backend;
    std::set<weft_encap> also; ///< leases of these backends are used beside those of our own
    Uplink uplink;
    std::optional<Mac> known_mac; ///< that peers know weft.1 by, where it is not the uplink's: a flannel's before it
    Subnet own;                   ///< with an IPv4 part
    Leases others;

    /// The pod network of an address's family; nullptr where that is off.
    [[nodiscard]] const PodNetwork *network_of(const Ip &address) const;
    [[nodiscard]] Families families() const;
    [[nodiscard]] Mac mac_of_vtep() const { return known_mac ? *known_mac : vtep_mac(uplink); }
    /// What the uplink carries, outer headers included.
    [[nodiscard]] unsigned underlay_mtu() const { return backend.mtu.value_or(uplink.mtu); }
    /// Longest inner packet: what pods and weft.1 get as their MTU. There is one for both families and all nodes. Leaves room
    /// for every peer's encapsulation, because not each of them has a kernel device that could tell a pod of a shorter
    /// path; the longer headers of an IPv6 underlay count as soon as there can be some.
    [[nodiscard]] unsigned overlay_mtu() const;
    /// What may come from the wire.
    [[nodiscard]] std::set<weft_encap> encaps() const;
};

/// A node's state in the host's network namespace, as it should be or as it is. In a route ifindex 0 stands for weft.1's.
struct HostState {
    /// Path below /proc/sys to value. As read: nullopt for one that the kernel does not have.
    std::map<std::string, std::optional<std::string>> sysctls;
    /// As desired: settings that must be 2 where they are 1, before any of the others is written.
    std::set<std::string> not_merely_on;
    std::optional<net::VxlanDevice> vtep;
    int vtep_ifindex = 0;                     ///< as read
    std::vector<Net> scope;                   ///< as desired: addresses of weft.1 outside of it are somebody else's
    std::set<Net> addresses;                  ///< of weft.1
    std::map<Ip, Mac> neighbours;             ///< permanent ones of weft.1
    std::map<std::string, net::Route> routes; ///< those of ours that do not lead to a pod, by route_key()
};

/// What makes a route another one to the kernel, and not the same with changed contents.
[[nodiscard]] std::string route_key(const net::Route &route);

/// What desired_host() has to know of links that are not weft's.
struct Surroundings {
    /// Links on which this node's IPv4 subnet lives too: a bridge whose pods somebody else made (Docker with --bip, flannel's
    /// cni0), told by an address of the subnet with a prefix shorter than 32. Their pods believe the whole subnet to be on
    /// the bridge and look for weft's pods by ARP, which the host answers in their place (proxy_arp). IPv6 has no such
    /// setting for a whole prefix.
    std::set<std::string> bridges;
    /// Links by which IPv6 default routes leave.
    std::set<std::string> routers;
};
[[nodiscard]] Surroundings surroundings(const Subnet &own, const HostNetwork &host);

/// Subnets whose way takes less than weft.1, and no router on it would fragment: what their packets may be long.
using NarrowSubnets = std::map<Net, unsigned>;

/// Each narrow subnet gets a route of its own, by which the host's stack answers or fragments what is too long.
[[nodiscard]] HostState desired_host(const ClusterView &view, const Surroundings &around = {},
                                     const NarrowSubnets &narrow = {});

/// The address of a lease's node that packets for one of its subnets are sent to: that of the subnet's family, or in VXLAN
/// the other one where a node of the two lacks it.
/// Errors: why the subnet is nothing to forward to, found in the lease's own data and ours. A lease of another backend than
/// this node's is not used, as with flannel, unless the node was told to.
[[nodiscard]] Result<Ip> node_of(const ClusterView &view, const Net &subnet, const LeaseAttrs &attrs);

/// How a node is reached over the underlay.
struct NextHop {
    Ip neighbour; ///< the node itself or a router
    int ifindex = 0;
    unsigned mtu = 0;       ///< of the path, outer headers included
    std::optional<Mac> mac; ///< the node's own on that link, as the kernel knows it; nullopt: it does not

    bool operator==(const NextHop &) const = default;
};
using NextHops = std::map<Ip, Result<NextHop>>;

/// What the maps hold, as it should be or as it is.
struct MapState {
    std::map<Net, weft_lease> leases;
    std::map<Ip, weft_node> nodes;
    abi::PrefixLens prefix_lens;
};

/// A lease that is not forwarded to, and the sentence that says why.
struct Unusable {
    Net subnet;
    std::string why;
};

struct DesiredMaps {
    MapState maps;
    std::vector<Unusable> unusable;
    Census census;        ///< of these maps and what is beside them
    bool crowded = false; ///< some are unusable only because of what others take
};

/// @param next_hops has node_of() of every usable subnet. A node without a next hop keeps its lease entry, so that packets
///        from it are taken, with no encapsulation: packets to it go to the host stack, which answers.
/// @param actual what the maps hold now: a lease that is there keeps its slot of lease_stats, so its counters go on.
/// @param slots size of lease_stats.
/// @param part a closed one: only this much is desired, and `actual` is of as much; nullptr: everything
/// @param beside what the maps hold besides
[[nodiscard]] DesiredMaps desired_maps(const ClusterView &view, const NextHops &next_hops, const MapState &actual,
                                       std::uint32_t slots, const MapPart *part = nullptr, const Census &beside = {});

/// How many subnets a node can see: sizes the maps. A node has one of each family, so the family that has fewer decides.
/// Capped, because a /8 of /30 would not fit into memory: counters take 32 bytes a subnet and CPU, used or not.
[[nodiscard]] std::uint32_t subnet_capacity(const std::vector<PodNetwork> &networks);

} // namespace weft

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
#include "daemon/uplink.hpp"
#include "lease/lease.hpp"
#include "net/route.hpp"
#include "net/vxlan_device.hpp"

namespace weft {

/// Asio's prefixes have no order of their own: by address, then by length.
struct Net4Less {
    bool operator()(const Net4 &a, const Net4 &b) const {
        return std::pair(a.address(), a.prefix_length()) < std::pair(b.address(), b.prefix_length());
    }
};
template <class Value> using Net4Map = std::map<Net4, Value, Net4Less>;

using net::kVtepName;

/// The one next hop of the overlay route. It is never on a wire: the programs rewrite the inner destination by lease. One
/// gateway with one permanent neighbour keeps the neighbour table at one entry however many pods the host talks to.
inline const Ip4 kOverlayGateway({169, 254, 1, 1});
inline constexpr Mac kOverlayGatewayMac{{0x02, 0x77, 0, 0, 0, 1}};

/// Of the route that answers for own pods that do not exist. Any other route to the same prefix wins.
inline constexpr std::uint32_t kUnreachableMetric = 1U << 24;

/// weft.1's MAC: the same after every restart and reboot, so that peers need not learn a new one.
[[nodiscard]] Mac vtep_mac(const Ip4 &public_ip);

/// Everything that decides what this node's kernel should hold.
struct ClusterView {
    Net4 network;
    unsigned subnet_len = 24;
    BackendConf backend;
    std::set<weft_encap> also; ///< leases of these backends are used beside those of our own
    Uplink uplink;
    Subnet own; ///< with an IPv4 part
    std::map<Subnet, LeaseAttrs> others;

    /// Longest inner packet: what pods and weft.1 get as their MTU. Leaves room for every peer's encapsulation, because
    /// not each of them has a kernel device that could tell a pod of a shorter path.
    [[nodiscard]] unsigned overlay_mtu() const;
    /// What may come from the wire.
    [[nodiscard]] std::set<weft_encap> encaps() const;
};

/// A node's state in the host's network namespace, as it should be or as it is. In a route ifindex 0 stands for weft.1's.
struct HostState {
    /// Path below /proc/sys to value. As read: nullopt for one that the kernel does not have.
    std::map<std::string, std::optional<std::string>> sysctls;
    std::optional<net::VxlanDevice> vtep;
    int vtep_ifindex = 0;                     ///< as read
    Net scope;                                ///< as desired: addresses of weft.1 outside of it are somebody else's
    std::set<Net> addresses;                  ///< of weft.1
    std::map<Ip, Mac> neighbours;             ///< permanent ones of weft.1
    std::map<std::string, net::Route> routes; ///< those of ours that do not lead to a pod, by route_key()
};

/// What makes a route another one to the kernel, and not the same with changed contents.
[[nodiscard]] std::string route_key(const net::Route &route);

/// Links other than weft's on which this node's subnet lives too: a bridge whose pods somebody else made (Docker with --bip,
/// flannel's cni0), told by an address of the subnet with a prefix shorter than 32.
[[nodiscard]] std::set<std::string> bridges_in(const Net4 &own, const HostNetwork &host);

/// @param bridges as of bridges_in(): their pods believe the whole subnet to be on the bridge and look for weft's pods by ARP,
///        which the host answers in their place (proxy_arp).
[[nodiscard]] HostState desired_host(const ClusterView &view, const std::set<std::string> &bridges = {});

/// Why a lease is nothing to forward to, found in its own data and ours; nothing if it can be used. A lease of another backend
/// than this node's is not used, as with flannel, unless the node was told to.
[[nodiscard]] std::optional<std::string> why_unusable(const ClusterView &view, const Net4 &subnet,
                                                      const LeaseAttrs &attrs);

/// How a node is reached over the underlay.
struct NextHop {
    Ip4 neighbour; ///< the node itself or a router
    int ifindex = 0;
    unsigned mtu = 0; ///< of the path, outer headers included

    bool operator==(const NextHop &) const = default;
};
using NextHops = std::map<Ip4, Result<NextHop>>;

/// What the maps hold, as it should be or as it is.
struct MapState {
    std::map<Net, weft_lease> leases;
    std::map<Ip, weft_node> nodes;
    abi::PrefixLens prefix_lens;
};

/// A lease that is not forwarded to, and the sentence that says why.
struct Unusable {
    Net4 subnet;
    std::string why;
};

struct DesiredMaps {
    MapState maps;
    std::vector<Unusable> unusable;
};

/// @param next_hops has the node of every usable lease. A node without a next hop keeps its lease entry, so that packets
///        from it are taken, with no encapsulation: packets to it go to the host stack, which answers.
/// @param actual what the maps hold now: a lease that is there keeps its slot of lease_stats, so its counters go on.
/// @param slots size of lease_stats.
[[nodiscard]] DesiredMaps desired_maps(const ClusterView &view, const NextHops &next_hops, const MapState &actual,
                                       std::uint32_t slots);

/// How many subnets a node can see: sizes the maps. Capped, because a /8 of /30 would not fit into memory.
[[nodiscard]] std::uint32_t subnet_capacity(const Net4 &network, unsigned subnet_len);

} // namespace weft

// SPDX-License-Identifier: Apache-2.0
// What a pod can send that is not its own to say.
#include "kinds.hpp"

#include "headers.hpp"

namespace weft::attack {
namespace {

/// Somebody to reach: the pod beside it, one of another node, that node, its own, the world.
Ip somebody(Crafter &c, bool v4) {
    const auto &s = c.scene();
    const Ip all[] = {v4 ? s.neighbour : s.neighbour6, s.peer.pod_of(v4), s.peer.node_of(v4),
                      v4 ? s.victim.base : s.victim.base6, v4 ? s.world : s.peer.pod6};
    return all[c.below(5)];
}

/// A packet that claims to be from this address.
Frames as(Crafter &c, const Ip &source) { return {c.from_pod(c.packet(source, somebody(c, source.is_v4())))}; }

/// A frame of this ethertype to everybody or to the gateway.
Bytes arp_frame(Crafter &c, const Mac &from_mac, std::uint16_t operation, const Mac &mac, const Ip &ip, const Ip &to) {
    return Crafter::ethernet(c.below(2) ? kEverybody : c.scene().gateway_mac, from_mac, 0x0806,
                             arp(operation, mac, ip, c.scene().gateway_mac, to) + c.payload());
}

Ip gateway(const Scene &s, bool v4) { return v4 ? s.victim.base + 1 : s.victim.base6 + 1; }

/// A tunnel packet to a pod of the node at `to`, in its own UDP packet.
Bytes tunnel_packet(Crafter &c, const Ip &to, std::uint16_t port, const Bytes &data) {
    return c.udp_packet(to.is_v4() ? c.scene().victim.pod : c.scene().victim.pod6, to,
                        static_cast<std::uint16_t>(49152 + c.below(16384)), port, data);
}
/// The same with VXLAN: to the neighbour through the own node, as if from a third node's pod; to a far pod through its node, as
/// if from the neighbour, whose node the masqueraded packet will come from.
Bytes vxlan_packet(Crafter &c, const Ip &to, bool own_node) {
    const auto &s = c.scene();
    const bool v4 = to.is_v4();
    const auto &node = own_node ? s.victim : s.peer;
    const auto &neighbour = v4 ? s.neighbour : s.neighbour6;
    const auto inner = own_node ? c.packet(s.third.pod_of(v4), neighbour) : c.packet(neighbour, s.peer.pod_of(v4));
    return tunnel_packet(c, to, s.port,
                         Crafter::vxlan(Crafter::ethernet_ip(v4 ? node.vtep : node.vtep6, s.third.vtep, inner)));
}

/// Behind so many destination options headers that only pad.
Bytes behind_padding(Bytes frame, std::uint32_t headers) {
    constexpr std::uint8_t kDestinationOptions = 60, kUdp = 17;
    for (std::uint32_t i = 0; i < headers; ++i)
        frame = with_ip6_extension(std::move(frame), kDestinationOptions,
                                   {i == 0 ? kUdp : kDestinationOptions, 0, 1, 4, 0, 0, 0, 0});
    return frame;
}

constexpr std::string_view kSource = "from_pod/pod_source", kMac = "from_pod/pod_mac", kArp = "from_pod/pod_arp",
                           kNd = "from_pod/pod_nd", kRouter = "from_pod/pod_router", kDhcp = "from_pod/pod_dhcp",
                           kTunnel = "from_pod/pod_tunnel";

const Kind kKinds[] = {
    {.name = "as-neighbour",
     .text = "from the address of a pod beside it",
     .counted = kSource,
     .craft = [](Crafter &c) { return as(c, c.scene().neighbour); },
     .through_flannel = true},
    {.name = "as-remote-pod",
     .text = "from the address of another node's pod",
     .counted = kSource,
     .craft = [](Crafter &c) { return as(c, c.scene().third.pod); },
     .through_flannel = true},
    {.name = "as-unleased",
     .text = "from the cluster's network, where nobody has a lease",
     .counted = kSource,
     .craft = [](Crafter &c) { return as(c, c.within("10.244.255.0/24")); },
     .through_flannel = true},
    {.name = "as-node",
     .text = "from its node's address",
     .counted = kSource,
     .craft = [](Crafter &c) { return as(c, c.scene().victim.node); }},
    {.name = "as-other-node",
     .text = "from another node's address",
     .counted = kSource,
     .craft = [](Crafter &c) { return as(c, c.scene().third.node); },
     .through_flannel = true},
    {.name = "as-gateway",
     .text = "from its gateway's address",
     .counted = kSource,
     .craft = [](Crafter &c) { return as(c, gateway(c.scene(), true)); }},
    {.name = "as-world",
     .text = "from an address outside",
     .counted = kSource,
     .craft = [](Crafter &c) { return as(c, c.within("203.0.113.0/24")); },
     .through_flannel = true},
    {.name = "as-service",
     .text = "from a service's address",
     .counted = kSource,
     .craft = [](Crafter &c) { return as(c, c.within("10.96.0.0/12")); },
     .through_flannel = true},
    {.name = "as-loopback",
     .text = "from 127.0.0.0/8",
     .counted = kSource,
     .craft = [](Crafter &c) { return as(c, c.within("127.0.0.0/8")); }},
    {.name = "as-group",
     .text = "from a group or everybody",
     .counted = kSource,
     .craft = [](Crafter &c) { return as(c, c.below(2) ? c.within("224.0.0.0/4") : *parse_ip("255.255.255.255")); }},
    {.name = "as-nobody",
     .text = "from 0.0.0.0",
     .counted = kSource,
     .craft = [](Crafter &c) { return as(c, *parse_ip("0.0.0.0")); }},
    {.name = "as-neighbour-ipv6",
     .text = "from the IPv6 address of a pod beside it",
     .counted = kSource,
     .craft = [](Crafter &c) { return as(c, c.scene().neighbour6); },
     .through_flannel = true},
    {.name = "as-remote-pod-ipv6",
     .text = "from the IPv6 address of another node's pod",
     .counted = kSource,
     .craft = [](Crafter &c) { return as(c, c.scene().third.pod6); },
     .through_flannel = true},
    {.name = "mac-nobody",
     .text = "its own address from a MAC that is not its own",
     .counted = kMac,
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             return Frames{Crafter::ethernet_ip(s.gateway_mac, c.nobody(), c.packet(s.victim.pod, somebody(c, true)))};
         },
     .through_flannel = true},
    {.name = "mac-gateway",
     .text = "the gateway's MAC as its own",
     .counted = kMac,
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             return Frames{
                 Crafter::ethernet_ip(s.gateway_mac, s.gateway_mac, c.packet(s.victim.pod, somebody(c, true)))};
         }},
    {.name = "arp-answer-neighbour",
     .text = "an ARP answer for a pod beside it",
     .counted = kArp,
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             return Frames{arp_frame(c, s.pod_mac, 2, s.pod_mac, s.neighbour, gateway(s, true))};
         }},
    {.name = "arp-answer-gateway",
     .text = "an ARP answer for the gateway, asked by nobody",
     .counted = kArp,
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             return Frames{arp_frame(c, s.pod_mac, 2, s.pod_mac, gateway(s, true), gateway(s, true))};
         }},
    {.name = "arp-request-neighbour",
     .text = "an ARP request that claims another pod's address",
     .counted = kArp,
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             return Frames{arp_frame(c, s.pod_mac, 1, s.pod_mac, s.neighbour, gateway(s, true))};
         }},
    {.name = "arp-mac",
     .text = "ARP for its own address with somebody's MAC",
     .counted = kArp,
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             return Frames{arp_frame(c, s.pod_mac, static_cast<std::uint16_t>(1 + c.below(2)), c.nobody(), s.victim.pod,
                                     gateway(s, true))};
         }},
    {.name = "advertise-gateway",
     .text = "an IPv6 neighbour advertisement for the gateway",
     .counted = kNd,
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             const auto to = c.below(2) ? *parse_ip("ff02::1") : s.neighbour6;
             return Frames{c.from_pod(neighbour_advertisement(c, s.victim.pod6, to, gateway(s, false), &s.pod_mac))};
         },
     .through_flannel = false},
    {.name = "advertise-neighbour",
     .text = "an IPv6 neighbour advertisement for a pod beside it",
     .counted = kNd,
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             return Frames{
                 c.from_pod(neighbour_advertisement(c, s.victim.pod6, gateway(s, false), s.neighbour6, &s.pod_mac))};
         }},
    {.name = "router",
     .text = "an IPv6 router advertisement",
     .counted = kRouter,
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             const auto to = c.below(2) ? *parse_ip("ff02::1") : s.neighbour6;
             return Frames{c.from_pod(router_advertisement(c, s.victim.pod6, to))};
         }},
    {.name = "redirect",
     .text = "an IPv6 redirect",
     .counted = kRouter,
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             return Frames{c.from_pod(
                 redirect6(c, s.victim.pod6, c.below(2) ? s.neighbour6 : s.peer.pod6, s.victim.pod6, s.peer.pod6))};
         }},
    {.name = "dhcp-server",
     .text = "a DHCP server's answer",
     .counted = kDhcp,
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             const auto to = c.below(2) ? *parse_ip("255.255.255.255") : s.neighbour;
             return Frames{c.from_pod(c.udp_packet(s.victim.pod, to, 67, 68, c.payload(300)))};
         }},
    {.name = "dhcpv6-server",
     .text = "a DHCPv6 server's answer",
     .counted = kDhcp,
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             return Frames{c.from_pod(c.udp_packet(s.victim.pod6, s.neighbour6, 547, 546, c.payload(300)))};
         },
     .through_flannel = true},
    {.name = "vxlan-own-node",
     .text = "VXLAN to its own node",
     .counted = kTunnel,
     .craft = [](Crafter &c) { return Frames{c.from_pod(vxlan_packet(c, c.scene().victim.node, true))}; },
     .through_flannel = true},
    {.name = "vxlan-own-gateway",
     .text = "VXLAN to its own node's address in the pod network",
     .counted = kTunnel,
     .craft = [](Crafter &c) { return Frames{c.from_pod(vxlan_packet(c, c.scene().victim.base, true))}; },
     .through_flannel = true},
    {.name = "vxlan-other-node",
     .text = "VXLAN to another node, which its own node masquerades: an honest node's address outside",
     .counted = kTunnel,
     .craft = [](Crafter &c) { return Frames{c.from_pod(vxlan_packet(c, c.scene().peer.node, false))}; }},
    {.name = "vxlan-ipv6",
     .text = "VXLAN over IPv6 to its own node",
     .counted = kTunnel,
     .craft = [](Crafter &c) { return Frames{c.from_pod(vxlan_packet(c, c.scene().victim.node6, true))}; },
     .through_flannel = true},
    {.name = "vxlan-fragments",
     .text = "VXLAN to its own node, cut behind the UDP header",
     .counted = kTunnel,
     .craft = [](Crafter &c) { return cut_ip4(c.from_pod(vxlan_packet(c, c.scene().victim.node, true)), {8}); },
     .through_flannel = true},
    {.name = "vxlan-options",
     .text = "VXLAN to its own node, behind IP options",
     .counted = kTunnel,
     .craft =
         [](Crafter &c) {
             return Frames{with_ip4_options(c.from_pod(vxlan_packet(c, c.scene().victim.node, true)), kEth,
                                            Bytes(4 + 4 * c.below(9), 1))};
         },
     .through_flannel = true},
    {.name = "vxlan-extension",
     .text = "VXLAN to its own node over IPv6, behind an extension header",
     .counted = kTunnel,
     .craft =
         [](Crafter &c) {
             return Frames{behind_padding(c.from_pod(vxlan_packet(c, c.scene().victim.node6, true)), 1)};
         },
     .through_flannel = true},
    {.name = "vxlan-extensions",
     .text = "the same behind more of them than anybody needs",
     .counted = "from_pod/pod_headers",
     .craft =
         [](Crafter &c) {
             return Frames{behind_padding(c.from_pod(vxlan_packet(c, c.scene().victim.node6, true)), 7 + c.below(20))};
         },
     .through_flannel = true},
    {.name = "vxlan-other-gateway",
     .text = "VXLAN through the tunnel, to another node's address in the pod network",
     .counted = "from_pod/encap",
     .craft = [](Crafter &c) { return Frames{c.from_pod(vxlan_packet(c, c.scene().peer.base, false))}; }},
    {.name = "udp-tunnel",
     .text = "the udp backend's tunnel to its own node",
     .counted = "from_pod/not_pod_network",
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             return Frames{c.from_pod(tunnel_packet(c, s.victim.node, 8285, c.packet(s.peer.pod, s.neighbour)))};
         }},
    {.name = "ipip-tunnel",
     .text = "IP in IP to its own node",
     .counted = "from_pod/not_pod_network",
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             return Frames{c.from_pod(c.ip_packet(s.victim.pod, s.victim.node, 4, c.packet(s.peer.pod, s.neighbour)))};
         }},
    {.name = "vlan",
     .text = "an honest packet behind a VLAN tag",
     .counted = "from_pod/vlan",
     .craft =
         [](Crafter &c) {
             const auto frame = c.from_pod(c.packet(c.scene().victim.pod, somebody(c, true)));
             return Frames{with_vlan(frame, static_cast<std::uint16_t>(1 + c.below(0xffe)))};
         }},
    {.name = "source-route",
     .text = "an honest packet with a source route",
     .counted = "from_pod/ip_options",
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             const auto via = s.neighbour.to_v4().to_bytes();
             const Bytes route{
                 static_cast<std::uint8_t>(c.below(2) ? 131 : 137), 7, 4, via[0], via[1], via[2], via[3], 0};
             return Frames{with_ip4_options(c.from_pod(c.packet(s.victim.pod, s.peer.pod)), kEth, route)};
         }},
};

} // namespace

std::span<const Kind> pod_kinds() { return kKinds; }

} // namespace weft::attack

// SPDX-License-Identifier: Apache-2.0
// Without a tunnel, as host-gw's nodes send, or in another tunnel than the cluster's.
#include "kinds.hpp"

#include "headers.hpp"

namespace weft::attack {
namespace {

/// From the stranger's own MAC, a packet between these.
Frames plain(Crafter &c, const Ip &from, const Ip &to) {
    return {Crafter::ethernet_ip(c.scene().victim.mac, c.scene().stranger_mac, c.packet(from, to))};
}
/// The same to a pod.
Frames plain_from(Crafter &c, const Ip &from) { return plain(c, from, c.scene().victim.pod_of(from.is_v4())); }

/// From the stranger, with the peer's address, in an IP protocol of its own.
Frames in_protocol(Crafter &c, std::uint8_t protocol, const Bytes &data) {
    const auto way = c.misplaced();
    return {Crafter::ethernet_ip(way.to_mac, way.from_mac, c.ip_packet(way.from, way.to, protocol, data))};
}

Bytes pod_to_pod(Crafter &c, bool v4 = true) {
    return c.packet(c.scene().peer.pod_of(v4), c.scene().victim.pod_of(v4));
}

constexpr std::string_view kSpoofed = "from_wire/spoofed_source", kPlain = "from_wire/not_overlay",
                           kOwn = "from_wire/own_source", kOtherMac = "from_wire/wrong_link_mac";

const Kind kKinds[] = {
    {.name = "plain-remote-pod",
     .text = "to a pod, as if from a pod of another node, from a MAC that is not that node's",
     .counted = "from_wire/bare_source",
     .craft = [](Crafter &c) { return plain_from(c, c.scene().peer.pod); },
     .counted_direct = kOtherMac,
     .through_flannel = true},
    {.name = "plain-remote-pod-ipv6",
     .text = "the same over IPv6",
     .counted = "from_wire/bare_source",
     .craft = [](Crafter &c) { return plain_from(c, c.scene().peer.pod6); },
     .counted_direct = kOtherMac,
     .through_flannel = true},
    {.name = "plain-other-node-mac",
     .text = "to a pod, as if from a pod of one node, from the MAC of another",
     .counted = "from_wire/bare_source",
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             return Frames{Crafter::ethernet_ip(s.victim.mac, s.third.mac, pod_to_pod(c))};
         },
     .counted_direct = kOtherMac,
     .through_flannel = true},
    {.name = "plain-own-pod",
     .text = "to a pod, as if from another pod of the same node",
     .counted = "from_wire/own_source",
     .craft = [](Crafter &c) { return plain_from(c, c.scene().neighbour); },
     .counted_direct = kOwn,
     .through_flannel = true},
    {.name = "plain-gateway",
     .text = "to a pod, as if from its gateway",
     .counted = "from_wire/own_source",
     .craft = [](Crafter &c) { return plain_from(c, c.scene().victim.base + 1); },
     .counted_direct = kOwn},
    {.name = "plain-unleased",
     .text = "to a pod, from the cluster's network, where nobody has a lease",
     .counted = "from_wire/bare_source",
     .craft = [](Crafter &c) { return plain_from(c, c.within("10.244.255.0/24")); },
     .counted_direct = kSpoofed,
     .through_flannel = true},
    {.name = "plain-own-pod-to-node",
     .text = "to the node, as if from a pod of its own",
     .counted = kOwn,
     .craft = [](Crafter &c) { return plain(c, c.scene().victim.pod, c.scene().victim.node); },
     .counted_direct = kOwn,
     .through_flannel = true},
    {.name = "plain-to-node",
     .text = "to the node, as if from a pod of another node, from a MAC that is not that node's",
     .counted = kOtherMac,
     .craft = [](Crafter &c) { return plain(c, c.scene().peer.pod, c.scene().victim.node); },
     .counted_direct = kOtherMac,
     .through_flannel = true},
    {.name = "plain-to-node-ipv6",
     .text = "the same over IPv6",
     .counted = kOtherMac,
     .craft = [](Crafter &c) { return plain(c, c.scene().peer.pod6, c.scene().victim.node6); },
     .counted_direct = kOtherMac,
     .through_flannel = true},
    {.name = "plain-to-node-fragments",
     .text = "the same over IPv4, cut in two",
     .counted = "2x from_wire/wrong_link_mac",
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             const auto packet = c.udp_packet(s.peer.pod, s.victim.node, 40000, 9, c.payload());
             return cut_ip4(Crafter::ethernet_ip(s.victim.mac, s.stranger_mac, packet), {8});
         },
     .counted_direct = "2x from_wire/wrong_link_mac"},
    {.name = "plain-to-node-options",
     .text = "the same behind no-operation options",
     .counted = kOtherMac,
     .craft =
         [](Crafter &c) {
             return Frames{
                 with_ip4_options(plain(c, c.scene().peer.pod, c.scene().victim.node)[0], kEth, {1, 1, 1, 1})};
         },
     .counted_direct = kOtherMac},
    {.name = "plain-unleased-to-node",
     .text = "to the node, from the cluster's network, where nobody has a lease",
     .counted = kSpoofed,
     .craft = [](Crafter &c) { return plain(c, c.within("10.244.255.0/24"), c.scene().victim.node); },
     .counted_direct = kSpoofed},
    {.name = "plain-to-world",
     .text = "to a host outside, as if from a pod of another node: the node as a relay",
     .counted = kOtherMac,
     .craft = [](Crafter &c) { return plain(c, c.scene().peer.pod, c.scene().world); },
     .counted_direct = kOtherMac},
    {.name = "plain-loopback",
     .text = "to a pod or the node, from 127.0.0.0/8",
     .counted = kPlain,
     .craft =
         [](Crafter &c) {
             return plain(c, c.within("127.0.0.0/8"), c.below(2) ? c.scene().victim.pod : c.scene().victim.node);
         }},
    {.name = "plain-to-loopback",
     .text = "to 127.0.0.0/8 from a pod's address",
     .counted = kOtherMac,
     .craft = [](Crafter &c) { return plain(c, c.scene().peer.pod, c.within("127.0.0.0/8")); },
     .counted_direct = kOtherMac},
    {.name = "plain-multicast",
     .text = "to a pod, from a group or everybody",
     .counted = kPlain,
     .craft =
         [](Crafter &c) { return plain_from(c, c.below(2) ? c.within("224.0.0.0/4") : *parse_ip("255.255.255.255")); }},
    {.name = "ipip",
     .text = "IP in IP, as the ipip backend sends it",
     .counted = kPlain,
     .craft = [](Crafter &c) { return in_protocol(c, 4, pod_to_pod(c)); }},
    {.name = "ipv6-in-ip",
     .text = "IPv6 in IPv4, protocol 41",
     .counted = kPlain,
     .craft = [](Crafter &c) { return in_protocol(c, 41, pod_to_pod(c, false)); }},
    {.name = "gre",
     .text = "GRE with an IP packet or an Ethernet frame",
     .counted = kPlain,
     .craft =
         [](Crafter &c) {
             if (c.below(2)) return in_protocol(c, 47, Bytes{0, 0, 0x08, 0x00} + pod_to_pod(c));
             return in_protocol(c, 47, Bytes{0, 0, 0x65, 0x58} + c.inner_pods());
         }},
    {.name = "udp-backend",
     .text = "a bare packet in UDP, as the udp backend sends it",
     .counted = kPlain,
     .craft = [](Crafter &c) { return Frames{c.tunnel_udp(c.misplaced(), 8285, pod_to_pod(c))}; }},
    {.name = "vxlan-4789",
     .text = "right VXLAN to other ports than the cluster's",
     .counted = kPlain,
     .craft =
         [](Crafter &c) {
             constexpr std::uint16_t kPorts[] = {4789, 4790, 8473, 8471};
             return Frames{c.tunnel_udp(c.misplaced(), kPorts[c.below(4)], Crafter::vxlan(c.inner_pods()))};
         }},
    {.name = "geneve",
     .text = "Geneve, port 6081",
     .counted = kPlain,
     .craft =
         [](Crafter &c) {
             return Frames{c.tunnel_udp(c.misplaced(), 6081, Bytes{0, 0, 0x65, 0x58, 0, 0, 1, 0} + c.inner_pods())};
         }},
    {.name = "icmp-about-tunnel",
     .text = "an ICMP error to the node about its tunnel packets, which would narrow the path to another node",
     .counted = kPlain,
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             const auto quoted = c.udp_packet(s.victim.node, s.peer.node, 50000, s.port,
                                              Crafter::vxlan(c.inner(c.packet(s.victim.pod, s.peer.pod))));
             return Frames{Crafter::ethernet_ip(s.victim.mac, s.stranger_mac,
                                                icmp_about(c, s.stranger, s.victim.node, quoted, 3, 4))};
         }},
    {.name = "icmp-about-pods",
     .text = "an ICMP error to a pod about its flow, as if from a pod of another node",
     .counted = "from_wire/bare_source",
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             const auto quoted = c.packet(s.victim.pod, s.peer.pod, Carry::udp);
             return Frames{
                 Crafter::ethernet_ip(s.victim.mac, s.stranger_mac, icmp_about(c, s.peer.pod, s.victim.pod, quoted))};
         },
     .counted_direct = kOtherMac,
     .through_flannel = true},
};

} // namespace

std::span<const Kind> plain_kinds() { return kKinds; }

} // namespace weft::attack

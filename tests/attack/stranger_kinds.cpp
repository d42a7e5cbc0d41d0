// SPDX-License-Identifier: Apache-2.0
// VXLAN from a host that holds no lease: everything right but who sends it.
#include "kinds.hpp"

#include <algorithm>

#include "headers.hpp"

namespace weft::attack {
namespace {

Frames one(Bytes frame) { return {std::move(frame)}; }

/// From the stranger, an inner packet of the peer's pod to `to`.
Frames from_stranger_to(Crafter &c, const Ip &to) {
    return one(c.tunnel(c.stranger(), c.inner(c.packet(c.scene().peer.pod_of(to.is_v4()), to))));
}

constexpr std::string_view kUnknown = "from_wire/unknown_sender";
/// The firewall's rule before the kernel's socket refuses it, which counts by itself.
constexpr std::string_view kGuarded = "from_wire/not_overlay";

const Kind kKinds[] = {
    {.name = "stranger",
     .text = "right VXLAN to a pod, as if from a pod of another node",
     .counted = kUnknown,
     .craft = [](Crafter &c) { return one(c.tunnel(c.stranger(), c.inner_pods())); },
     .through_flannel = true},
    {.name = "stranger-as-itself",
     .text = "right VXLAN to a pod from an address outside the cluster",
     .counted = kUnknown,
     .craft =
         [](Crafter &c) {
             return one(c.tunnel(c.stranger(), c.inner(c.packet(c.scene().stranger, c.scene().victim.pod))));
         },
     .through_flannel = true},
    {.name = "stranger-to-neighbour",
     .text = "to one pod as if from another of the same node",
     .counted = kUnknown,
     .craft =
         [](Crafter &c) {
             return one(c.tunnel(c.stranger(), c.inner(c.packet(c.scene().neighbour, c.scene().victim.pod))));
         },
     .through_flannel = true},
    {.name = "stranger-to-node",
     .text = "to the node's own address: kubelet, API server, whatever listens",
     .counted = kUnknown,
     .craft = [](Crafter &c) { return from_stranger_to(c, c.scene().victim.node); },
     .through_flannel = true},
    {.name = "stranger-to-gateway",
     .text = "to the node's address in the pod network",
     .counted = kUnknown,
     .craft = [](Crafter &c) { return from_stranger_to(c, c.scene().victim.base); },
     .through_flannel = true},
    {.name = "stranger-to-loopback",
     .text = "to 127.0.0.0/8, where a node's own services listen",
     .counted = kUnknown,
     .craft = [](Crafter &c) { return from_stranger_to(c, c.within("127.0.0.0/8")); }},
    {.name = "stranger-to-world",
     .text = "to a host outside: the node as a relay that hides the sender",
     .counted = kUnknown,
     .craft = [](Crafter &c) { return from_stranger_to(c, c.scene().world); },
     .through_flannel = true},
    {.name = "stranger-to-other-node",
     .text = "to a pod of another node: back into the tunnel, from an honest address",
     .counted = kUnknown,
     .craft =
         [](Crafter &c) {
             return one(c.tunnel(c.stranger(), c.inner(c.packet(c.scene().third.pod, c.scene().peer.pod))));
         }},
    {.name = "stranger-fragments",
     .text = "the tunnel packet cut in two: no program sees both headers",
     .counted = "2x from_wire/outer_fragment, from_tunnel/unknown_sender",
     .craft = [](Crafter &c) { return cut_ip4(c.tunnel(c.stranger(), c.inner_pods()), {48}); },
     .counted_direct = "2x from_wire/outer_fragment",
     .through_flannel = true},
    {.name = "stranger-fragments-swapped",
     .text = "the same, the second part first",
     .counted = "2x from_wire/outer_fragment, from_tunnel/unknown_sender",
     .craft =
         [](Crafter &c) {
             auto parts = cut_ip4(c.tunnel(c.stranger(), c.inner_pods()), {16 + 8 * std::size_t{c.below(5)}});
             std::ranges::reverse(parts);
             return parts;
         },
     .counted_direct = "2x from_wire/outer_fragment",
     .through_flannel = true},
    {.name = "stranger-tiny-fragments",
     .text = "cut into parts of eight octets: the UDP header alone, then VXLAN's",
     .counted = "4x from_wire/outer_fragment, from_tunnel/unknown_sender",
     .craft = [](Crafter &c) { return cut_ip4(c.tunnel(c.stranger(), c.inner_pods()), {8, 16, 24}); },
     .counted_direct = "4x from_wire/outer_fragment",
     .through_flannel = true},
    {.name = "stranger-ip-options",
     .text = "no-operation options in the outer header",
     .counted = "from_wire/ip_options, from_tunnel/unknown_sender",
     .craft =
         [](Crafter &c) {
             return one(with_ip4_options(c.tunnel(c.stranger(), c.inner_pods()), kEth, Bytes(4 + 4 * c.below(5), 1)));
         },
     .counted_direct = "from_wire/ip_options",
     .through_flannel = true},
    {.name = "stranger-broadcast",
     .text = "to the segment's broadcast address",
     .counted = kGuarded,
     .craft =
         [](Crafter &c) {
             auto way = c.stranger();
             way.to_mac = kEverybody;
             way.to = *parse_ip(c.below(2) ? "192.0.2.255" : "255.255.255.255");
             return one(c.tunnel(way, c.inner_pods()));
         },
     .through_flannel = true},
    {.name = "stranger-multicast",
     .text = "to every host of the segment, 224.0.0.1",
     .counted = kGuarded,
     .craft =
         [](Crafter &c) {
             auto way = c.stranger();
             way.to_mac = *parse_mac("01:00:5e:00:00:01");
             way.to = *parse_ip("224.0.0.1");
             return one(c.tunnel(way, c.inner_pods()));
         },
     .through_flannel = true},
    {.name = "stranger-to-tunnel-address",
     .text = "to the port at another address of the node: its socket listens on all",
     .counted = kGuarded,
     .craft =
         [](Crafter &c) {
             auto way = c.stranger();
             way.to = c.scene().victim.base;
             return one(c.tunnel(way, c.inner_pods()));
         },
     .through_flannel = true},
    {.name = "stranger-vlan",
     .text = "with a VLAN tag before the outer header",
     .counted = "from_wire/vlan",
     .craft =
         [](Crafter &c) {
             return one(with_vlan(c.tunnel(c.stranger(), c.inner_pods()), static_cast<std::uint16_t>(c.below(0x1000))));
         },
     .counted_direct = "from_wire/vlan",
     .counted_xdp = kUnknown}, // a NIC has taken the tag off
    {.name = "stranger-ipv6",
     .text = "right VXLAN over IPv6 to a pod, as if from a pod of another node",
     .counted = kUnknown,
     .craft = [](Crafter &c) { return one(c.tunnel(c.stranger(false), c.inner_pods(false))); },
     .through_flannel = true},
    {.name = "stranger-ipv6-in-ipv4",
     .text = "an IPv6 packet to a pod, over IPv4",
     .counted = kUnknown,
     .craft = [](Crafter &c) { return one(c.tunnel(c.stranger(), c.inner_pods(false))); }},
    {.name = "stranger-ipv6-options",
     .text = "a destination options header before the outer UDP header",
     .counted = "from_wire/ext_headers, from_tunnel/unknown_sender",
     .craft =
         [](Crafter &c) {
             const Bytes padding{17, 0, 1, 4, 0, 0, 0, 0};
             return one(with_ip6_extension(c.tunnel(c.stranger(false), c.inner_pods(false)), 60, padding));
         },
     .counted_direct = "from_wire/ext_headers",
     .through_flannel = true},
    {.name = "stranger-ipv6-fragment",
     .text = "an outer fragment header on what is whole",
     .counted = "from_wire/outer_fragment, from_tunnel/unknown_sender",
     .craft =
         [](Crafter &c) {
             const Bytes whole = Bytes{17, 0, 0, 0} + c.noise(4);
             return one(with_ip6_extension(c.tunnel(c.stranger(false), c.inner_pods(false)), 44, whole));
         },
     .counted_direct = "from_wire/outer_fragment",
     .through_flannel = true},
    {.name = "stranger-icmp-error",
     .text = "an error about a flow of the pod's: narrows its path, or ends its connection",
     .counted = kUnknown,
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             const auto flow = c.packet(s.victim.pod, s.peer.pod, Carry::udp);
             return one(c.tunnel(c.stranger(), c.inner(icmp_about(c, s.peer.node, s.victim.pod, flow))));
         },
     .through_flannel = true},
    {.name = "stranger-arp",
     .text = "an ARP answer in the tunnel",
     .counted = "from_wire/inner_other",
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             return one(c.tunnel(
                 c.stranger(),
                 Crafter::ethernet(s.victim.vtep, s.peer.vtep, 0x0806,
                                   arp(2, c.nobody(), s.peer.base, s.victim.vtep, s.victim.base) + c.payload())));
         }},
    {.name = "stranger-router",
     .text = "an IPv6 router advertisement in the tunnel",
     .counted = kUnknown,
     .craft =
         [](Crafter &c) {
             const auto from = c.within("fe80::/64"), to = *parse_ip("ff02::1");
             return one(c.tunnel(c.stranger(false), c.inner(router_advertisement(c, from, to))));
         }},
    {.name = "stranger-neighbour",
     .text = "an IPv6 neighbour advertisement for another node in the tunnel",
     .counted = kUnknown,
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             return one(c.tunnel(c.stranger(false),
                                 c.inner(neighbour_advertisement(c, s.peer.base6, s.victim.base6, s.peer.base6))));
         },
     .through_flannel = true},
};

} // namespace

std::span<const Kind> stranger_kinds() { return kKinds; }

} // namespace weft::attack

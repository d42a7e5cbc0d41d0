// SPDX-License-Identifier: Apache-2.0
// With the address and the MAC of a real node, so that each is refused for what its name says and nothing else.
#include "kinds.hpp"

#include "headers.hpp"

namespace weft::attack {
namespace {

/// As if from the peer, in a header that is not quite a node's.
Frames with_header(Crafter &c, const VxlanHeader &header) { return {c.tunnel(c.forged(), c.inner_pods(), header)}; }

/// As if from the peer, an inner packet between these.
Frames with_inner(Crafter &c, const Ip &from, const Ip &to) {
    return {c.tunnel(c.forged(from.is_v4()), c.inner(c.packet(from, to)))};
}
Frames with_source(Crafter &c, const Ip &from) { return with_inner(c, from, c.scene().victim.pod_of(from.is_v4())); }
Frames with_destination(Crafter &c, const Ip &to) { return with_inner(c, c.scene().peer.pod_of(to.is_v4()), to); }

/// As if from the peer, an inner frame to this MAC.
Frames with_inner_mac(Crafter &c, const Mac &mac) {
    const auto packet = c.packet(c.scene().peer.pod, c.scene().victim.pod);
    return {c.tunnel(c.forged(), Crafter::ethernet_ip(mac, c.scene().peer.vtep, packet))};
}

const Kind kKinds[] = {
    {.name = "vni-other",
     .text = "another VNI",
     .counted = "from_wire/wrong_vni",
     .craft = [](Crafter &c) { return with_header(c, {.vni = 2 + c.below(0xfffffd)}); }},
    {.name = "vni-absent",
     .text = "the flag that says there is a VNI is not set",
     .counted = "from_wire/bad_vxlan",
     .craft = [](Crafter &c) { return with_header(c, {.flags = static_cast<std::uint8_t>(c.below(256) & ~8U)}); }},
    {.name = "flags-reserved",
     .text = "reserved flags beside it",
     .counted = "from_wire/bad_vxlan",
     .craft =
         [](Crafter &c) {
             return with_header(
                 c, {.flags = static_cast<std::uint8_t>(8 | 1U << (c.below(2) ? c.below(3) : 4 + c.below(4)))});
         }},
    {.name = "reserved-octets",
     .text = "reserved octets that are not zero (group policy, remote checksums)",
     .counted = "from_wire/bad_vxlan",
     .craft =
         [](Crafter &c) {
             VxlanHeader header;
             if (c.below(2))
                 header.reserved_last = static_cast<std::uint8_t>(1 + c.below(255));
             else
                 header.reserved[c.below(3)] = static_cast<std::uint8_t>(1 + c.below(255));
             return with_header(c, header);
         }},
    {.name = "inner-mac-other",
     .text = "to a MAC that is not the node's VtepMAC",
     .counted = "from_wire/wrong_inner_mac",
     .craft = [](Crafter &c) { return with_inner_mac(c, c.nobody()); }},
    {.name = "inner-mac-broadcast",
     .text = "to everybody in the tunnel",
     .counted = "from_wire/wrong_inner_mac",
     .craft = [](Crafter &c) { return with_inner_mac(c, kEverybody); }},
    {.name = "inner-mac-multicast",
     .text = "to a group in the tunnel",
     .counted = "from_wire/wrong_inner_mac",
     .craft =
         [](Crafter &c) {
             auto mac = c.nobody();
             mac.bytes[0] = 0x01;
             return with_inner_mac(c, mac);
         }},
    {.name = "source-pod-of-victim",
     .text = "as if from a pod of the node that receives it",
     .counted = "from_wire/own_source",
     .craft = [](Crafter &c) { return with_source(c, c.scene().neighbour); },
     .through_flannel = true},
    {.name = "source-pod-itself",
     .text = "as if from the pod that receives it",
     .counted = "from_wire/own_source",
     .craft = [](Crafter &c) { return with_source(c, c.scene().victim.pod); },
     .through_flannel = true},
    {.name = "source-gateway",
     .text = "as if from the receiving node's gateway address",
     .counted = "from_wire/own_source",
     .craft = [](Crafter &c) { return with_source(c, c.scene().victim.base + 1); }},
    {.name = "source-node",
     .text = "as if from the receiving node's own address",
     .counted = "from_wire/own_source",
     .craft = [](Crafter &c) { return with_source(c, c.scene().victim.node); }},
    {.name = "source-third-node",
     .text = "as if from a pod of a third node",
     .counted = "from_wire/spoofed_source",
     .craft = [](Crafter &c) { return with_source(c, c.scene().third.pod); },
     .through_flannel = true},
    {.name = "source-unleased",
     .text = "from the cluster's network, where nobody has a lease",
     .counted = "from_wire/spoofed_source",
     .craft = [](Crafter &c) { return with_source(c, c.within("10.244.255.0/24")); },
     .through_flannel = true},
    {.name = "source-third-node-ipv6",
     .text = "as if from an IPv6 pod of a third node",
     .counted = "from_wire/spoofed_source",
     .craft = [](Crafter &c) { return with_source(c, c.scene().third.pod6); },
     .through_flannel = true},
    {.name = "source-loopback",
     .text = "from 127.0.0.0/8",
     .counted = "from_wire/martian_source",
     .craft = [](Crafter &c) { return with_source(c, c.within("127.0.0.0/8")); }},
    {.name = "source-multicast",
     .text = "from a group",
     .counted = "from_wire/martian_source",
     .craft = [](Crafter &c) { return with_source(c, c.within("224.0.0.0/4")); }},
    {.name = "source-broadcast",
     .text = "from everybody, 255.255.255.255",
     .counted = "from_wire/martian_source",
     .craft = [](Crafter &c) { return with_source(c, *parse_ip("255.255.255.255")); }},
    {.name = "source-zero",
     .text = "from 0.0.0.0/8",
     .counted = "from_wire/martian_source",
     .craft = [](Crafter &c) { return with_source(c, *parse_ip("0.0.0.0") + c.below(1 << 24)); }},
    {.name = "source-link-local",
     .text = "from 169.254.0.0/16",
     .counted = "from_wire/martian_source",
     .craft = [](Crafter &c) { return with_source(c, c.within("169.254.0.0/16")); }},
    {.name = "source-reserved",
     .text = "from 240.0.0.0/4",
     .counted = "from_wire/martian_source",
     .craft = [](Crafter &c) { return with_source(c, c.within("240.0.0.0/4")); },
     .through_flannel = true},
    {.name = "source-loopback-ipv6",
     .text = "from ::1",
     .counted = "from_wire/martian_source",
     .craft = [](Crafter &c) { return with_source(c, *parse_ip("::1")); }},
    {.name = "source-multicast-ipv6",
     .text = "from an IPv6 group",
     .counted = "from_wire/martian_source",
     .craft = [](Crafter &c) { return with_source(c, c.within("ff0e::/64")); }},
    {.name = "source-link-local-ipv6",
     .text = "from fe80::/10",
     .counted = "from_wire/martian_source",
     .craft = [](Crafter &c) { return with_source(c, c.within("fe80::/64")); }},
    {.name = "source-mapped-ipv6",
     .text = "from ::ffff:0:0/96, an IPv4 address in IPv6's clothes",
     .counted = "from_wire/bad_ip",
     .craft = [](Crafter &c) { return with_source(c, c.within("::ffff:10.244.0.0/112")); }},
    {.name = "to-loopback",
     .text = "to 127.0.0.0/8",
     .counted = "from_wire/martian_destination",
     .craft = [](Crafter &c) { return with_destination(c, c.within("127.0.0.0/8")); }},
    {.name = "to-loopback-ipv6",
     .text = "to ::1",
     .counted = "from_wire/martian_destination",
     .craft = [](Crafter &c) { return with_destination(c, *parse_ip("::1")); }},
    {.name = "to-multicast",
     .text = "to a group",
     .counted = "from_wire/martian_destination",
     .craft = [](Crafter &c) { return with_destination(c, c.within("224.0.0.0/4")); }},
    {.name = "to-broadcast",
     .text = "to everybody, 255.255.255.255",
     .counted = "from_wire/martian_destination",
     .craft = [](Crafter &c) { return with_destination(c, *parse_ip("255.255.255.255")); }},
    {.name = "to-reserved",
     .text = "to 240.0.0.0/4",
     .counted = "from_wire/martian_destination",
     .craft = [](Crafter &c) { return with_destination(c, c.within("240.0.0.0/4")); }},
    {.name = "to-world",
     .text = "to a host outside: the node as a relay that hides the sender",
     .counted = "from_wire/other_destination",
     .craft = [](Crafter &c) { return with_destination(c, c.scene().world); },
     .through_flannel = true},
    {.name = "to-other-node",
     .text = "to a pod of a third node: back into the tunnel, from there on an honest node's packet",
     .counted = "from_wire/other_destination",
     .craft = [](Crafter &c) { return with_destination(c, c.scene().third.pod); },
     .through_flannel = true},
    {.name = "to-other-node-ipv6",
     .text = "the same over IPv6",
     .counted = "from_wire/other_destination",
     .craft = [](Crafter &c) { return with_destination(c, c.scene().third.pod6); },
     .through_flannel = true},
    {.name = "to-own-broadcast",
     .text = "to the last address of the node's own subnet",
     .counted = "from_wire/no_pod, from_tunnel/checked",
     .craft = [](Crafter &c) { return with_destination(c, c.scene().victim.base + 255); }},
    {.name = "inner-arp",
     .text = "an ARP answer that moves another node's address",
     .counted = "from_wire/inner_other",
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             return Frames{
                 c.tunnel(c.forged(), Crafter::ethernet(s.victim.vtep, s.peer.vtep, 0x0806,
                                                        arp(static_cast<std::uint16_t>(1 + c.below(2)), c.nobody(),
                                                            s.third.base, s.victim.vtep, s.victim.base) +
                                                            c.payload()))};
         }},
    {.name = "inner-vlan",
     .text = "an inner VLAN tag",
     .counted = "from_wire/inner_other",
     .craft =
         [](Crafter &c) {
             return Frames{c.tunnel(c.forged(), with_vlan(c.inner_pods(), static_cast<std::uint16_t>(c.below(0x1000)),
                                                          c.below(2) ? std::uint16_t{0x8100} : std::uint16_t{0x88a8}))};
         }},
    {.name = "inner-ethertype",
     .text = "an inner protocol that is not IP",
     .counted = "from_wire/inner_other",
     .craft =
         [](Crafter &c) {
             constexpr std::uint16_t kTypes[] = {0x8847, 0x8863, 0x88cc, 0x0842, 0x0600, 0x002e};
             return Frames{c.tunnel(c.forged(), Crafter::ethernet(c.scene().victim.vtep, c.scene().peer.vtep,
                                                                  kTypes[c.below(6)], c.payload()))};
         }},
    {.name = "inner-router",
     .text = "an IPv6 router advertisement",
     .counted = "from_wire/martian_source",
     .craft =
         [](Crafter &c) {
             return Frames{c.tunnel(c.forged(false),
                                    c.inner(router_advertisement(c, c.within("fe80::/64"), *parse_ip("ff02::1"))))};
         }},
    {.name = "inner-redirect",
     .text = "an IPv6 redirect",
     .counted = "from_wire/martian_source",
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             return Frames{c.tunnel(c.forged(false), c.inner(redirect6(c, c.within("fe80::/64"), s.victim.base6,
                                                                       c.within("fe80::/64"), s.third.pod6)))};
         }},
    {.name = "inner-neighbour",
     .text = "an IPv6 neighbour advertisement that moves a third node's address",
     .counted = "from_wire/no_pod, from_tunnel/inner_discovery",
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             return Frames{c.tunnel(c.forged(false),
                                    c.inner(neighbour_advertisement(c, s.peer.pod6, s.victim.base6, s.third.base6)))};
         },
     .through_flannel = true},
    {.name = "nested",
     .text = "VXLAN in VXLAN, to the node's tunnel port behind the first",
     .counted = "from_wire/no_pod, from_tunnel/checked",
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             const auto second = Crafter::vxlan(c.inner(c.packet(s.third.pod, s.victim.pod)));
             return Frames{
                 c.tunnel(c.forged(),
                          c.inner(c.udp_packet(s.peer.pod, c.below(2) ? s.victim.base : s.victim.node,
                                               static_cast<std::uint16_t>(49152 + c.below(16384)), s.port, second)))};
         }},
};

} // namespace

std::span<const Kind> forged_kinds() { return kKinds; }

} // namespace weft::attack

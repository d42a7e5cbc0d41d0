// SPDX-License-Identifier: Apache-2.0
// What a weft node takes as flannel's does, because nothing in it tells it from an honest node's, or because nobody looks.
#include "headers.hpp"
#include "kinds.hpp"

namespace weft::attack {
namespace {

Bytes right(Crafter &c) { return c.tunnel(c.forged(), c.inner_pods()); }

Frames as_if_from_peer(Crafter &c, const Ip &from, const Ip &to) {
    return {c.tunnel(c.forged(), c.inner(c.packet(from, to)))};
}

const Kind kKinds[] = {
    {.name = "node-address",
     .text = "a node's IP address and MAC from another host of its segment",
     .craft = [](Crafter &c) { return Frames{right(c)}; }},
    {.name = "node-address-elsewhere",
     .text = "a node's IP address from another MAC",
     .craft = [](Crafter &c) { return Frames{c.tunnel(c.misplaced(), c.inner_pods())}; }},
    {.name = "to-world",
     .text = "to a host outside, from an honest pod's address: the node as a relay",
     .craft = [](Crafter &c) { return as_if_from_peer(c, c.scene().peer.pod, c.scene().world); }},
    {.name = "to-other-node",
     .text = "to a pod of a third node",
     .craft = [](Crafter &c) { return as_if_from_peer(c, c.scene().peer.pod, c.scene().third.pod); }},
    {.name = "inner-neighbour",
     .text = "an IPv6 neighbour advertisement that moves a third node's address",
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             return Frames{c.tunnel(c.forged(false),
                                    c.inner(neighbour_advertisement(c, s.peer.pod6, s.victim.base6, s.third.base6)))};
         }},
    {.name = "source-reserved",
     .text = "from 240.0.0.0/4",
     .craft = [](Crafter &c) { return as_if_from_peer(c, c.within("240.0.0.0/4"), c.scene().victim.pod); }},
    {.name = "outer-length-short",
     .text = "an outer total length that ends before the inner packet does",
     .craft =
         [](Crafter &c) {
             auto frame = right(c);
             put16(frame, kEth + 2, static_cast<std::uint16_t>(kInnerL4 - kEth - c.below(40)));
             sum_up_ip4(frame, kEth);
             return Frames{frame};
         }},
    {.name = "outer-length-long",
     .text = "an outer total length beyond the frame",
     .craft =
         [](Crafter &c) {
             auto frame = right(c);
             put16(frame, kEth + 2, static_cast<std::uint16_t>(frame.size() - kEth + 1 + c.below(1000)));
             sum_up_ip4(frame, kEth);
             return Frames{frame};
         }},
    {.name = "outer-checksum",
     .text = "an outer header checksum that is wrong",
     .craft =
         [](Crafter &c) {
             auto frame = right(c);
             frame[kEth + 10] = static_cast<std::uint8_t>(frame[kEth + 10] + 1 + c.below(255));
             return Frames{frame};
         }},
    {.name = "udp-length-short",
     .text = "an outer UDP length that ends before the inner packet does",
     .craft =
         [](Crafter &c) {
             auto frame = right(c);
             put16(frame, kOuterUdp + 4, static_cast<std::uint16_t>(c.below(kInnerL4 - kOuterUdp)));
             return Frames{frame};
         }},
    {.name = "udp-length-long",
     .text = "an outer UDP length beyond the packet",
     .craft =
         [](Crafter &c) {
             auto frame = right(c);
             put16(frame, kOuterUdp + 4, static_cast<std::uint16_t>(frame.size() - kOuterUdp + 1 + c.below(1000)));
             return Frames{frame};
         }},
    {.name = "udp-checksum",
     .text = "an outer UDP checksum that is wrong",
     .craft =
         [](Crafter &c) {
             auto frame = right(c);
             put16(frame, kOuterUdp + 6, static_cast<std::uint16_t>(1 + c.below(0xfffe)));
             return Frames{frame};
         }},
    {.name = "inner-checksum",
     .text = "an inner header checksum that is wrong",
     .craft =
         [](Crafter &c) {
             auto frame = right(c);
             frame[kInnerIp + 10] = static_cast<std::uint8_t>(frame[kInnerIp + 10] + 1 + c.below(255));
             return Frames{frame};
         }},
    {.name = "plain-to-node",
     .text = "to the node without a tunnel, as if from another node's pod",
     .craft =
         [](Crafter &c) {
             const auto &s = c.scene();
             return Frames{Crafter::ethernet_ip(s.victim.mac, s.stranger_mac, c.packet(s.peer.pod, s.victim.node))};
         }},
};

} // namespace

std::span<const Kind> remaining_kinds() { return kKinds; }

} // namespace weft::attack

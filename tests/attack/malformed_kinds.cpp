// SPDX-License-Identifier: Apache-2.0
// With the address and the MAC of a real node, and headers that lie about lengths, end early or do not fit together.
#include "kinds.hpp"

#include "headers.hpp"

namespace weft::attack {
namespace {

Bytes right(Crafter &c) { return c.tunnel(c.forged(), c.inner_pods()); }

/// The first octets of a right packet: `from` or up to nine more of them, short of `to`.
Frames cut_at(Crafter &c, std::size_t from, std::size_t to) {
    auto frame = right(c);
    frame.resize(from + c.below(static_cast<std::uint32_t>(to - from)));
    // Lengths in the headers that are left say what is there: only what is behind them is missing.
    if (frame.size() >= kOuterUdp) {
        put16(frame, kEth + 2, static_cast<std::uint16_t>(frame.size() - kEth));
        sum_up_ip4(frame, kEth);
    }
    if (frame.size() >= kVxlan) put16(frame, kOuterUdp + 4, static_cast<std::uint16_t>(frame.size() - kOuterUdp));
    return {frame};
}

/// A right packet with one inner header field changed, summed up again.
Frames with_inner_octet(Crafter &c, std::size_t at, std::uint8_t value) {
    auto frame = right(c);
    frame[kInnerIp + at] = value;
    sum_up_ip4(frame, kInnerIp);
    return {frame};
}
Frames with_inner_length(Crafter &c, bool longer) {
    auto frame = right(c);
    const auto length = get16(frame, kInnerIp + 2);
    put16(frame, kInnerIp + 2, static_cast<std::uint16_t>(longer ? length + 1 + c.below(1000) : 1 + c.below(19)));
    sum_up_ip4(frame, kInnerIp);
    return {frame};
}

Frames with_wrong_checksum(Crafter &c, std::size_t ip) {
    auto frame = right(c);
    frame[ip + 10] = static_cast<std::uint8_t>(frame[ip + 10] + 1 + c.below(255));
    return {frame};
}
Frames with_outer_length(Crafter &c, std::size_t length) {
    auto frame = right(c);
    put16(frame, kEth + 2, static_cast<std::uint16_t>(length));
    sum_up_ip4(frame, kEth);
    return {frame};
}
Frames with_udp_length(Crafter &c, std::size_t length) {
    auto frame = right(c);
    put16(frame, kOuterUdp + 4, static_cast<std::uint16_t>(length));
    return {frame};
}

constexpr std::string_view kFragments2 = "2x from_wire/outer_fragment";

const Kind kKinds[] = {
    {.name = "cut-outer-ip",
     .text = "ends in the outer IP header",
     .counted = "from_wire/truncated",
     .craft = [](Crafter &c) { return cut_at(c, kEth + 6, kOuterUdp); },
     .counted_direct = "from_wire/truncated"},
    {.name = "cut-outer-udp",
     .text = "ends in the outer UDP header",
     .counted = "from_wire/truncated",
     .craft = [](Crafter &c) { return cut_at(c, kOuterUdp, kVxlan); }},
    {.name = "cut-vxlan",
     .text = "ends in the VXLAN header",
     .counted = "from_wire/truncated",
     .craft = [](Crafter &c) { return cut_at(c, kVxlan, kInnerEth); }},
    {.name = "cut-inner-ethernet",
     .text = "ends in the inner Ethernet header",
     .counted = "from_wire/truncated",
     .craft = [](Crafter &c) { return cut_at(c, kInnerEth, kInnerIp); }},
    {.name = "cut-inner-ip",
     .text = "ends in the inner IP header",
     .counted = "from_wire/truncated",
     .craft = [](Crafter &c) { return cut_at(c, kInnerIp, kInnerL4); }},
    {.name = "cut-inner-transport",
     .text = "ends in the inner transport header",
     .counted = "from_wire/bad_ip",
     .craft = [](Crafter &c) { return cut_at(c, kInnerL4, kInnerL4 + 8); }},
    {.name = "inner-version",
     .text = "the inner header's version is not the ethertype's",
     .counted = "from_wire/bad_ip",
     .craft =
         [](Crafter &c) {
             constexpr std::uint8_t kVersions[] = {0x05, 0x15, 0x55, 0x65, 0xf5};
             return with_inner_octet(c, 0, kVersions[c.below(5)]);
         }},
    {.name = "inner-ihl-short",
     .text = "an inner header length below 20",
     .counted = "from_wire/bad_ip",
     .craft = [](Crafter &c) { return with_inner_octet(c, 0, static_cast<std::uint8_t>(0x40 | c.below(5))); }},
    {.name = "inner-length-short",
     .text = "an inner total length below its header's",
     .counted = "from_wire/bad_ip",
     .craft = [](Crafter &c) { return with_inner_length(c, false); }},
    {.name = "inner-length-long",
     .text = "an inner total length beyond the packet",
     .counted = "from_wire/bad_ip",
     .craft = [](Crafter &c) { return with_inner_length(c, true); }},
    {.name = "inner-length-long-ipv6",
     .text = "an inner payload length beyond the packet",
     .counted = "from_wire/bad_ip",
     .craft =
         [](Crafter &c) {
             auto packet = c.packet(c.scene().peer.pod6, c.scene().victim.pod6);
             put16(packet, 4, static_cast<std::uint16_t>(get16(packet, 4) + 1 + c.below(1000)));
             return Frames{c.tunnel(c.forged(false), c.inner(packet))};
         }},
    {.name = "inner-length-zero",
     .text = "no inner total length, as the kernel's own packets beyond 65,535 octets have it",
     .counted = "from_wire/bad_ip",
     .craft =
         [](Crafter &c) {
             auto frame = right(c);
             put16(frame, kInnerIp + 2, 0);
             sum_up_ip4(frame, kInnerIp);
             return Frames{frame};
         }},
    {.name = "inner-checksum",
     .text = "an inner header checksum that is wrong",
     .counted = "from_wire/bad_ip",
     .craft = [](Crafter &c) { return with_wrong_checksum(c, kInnerIp); }},
    {.name = "outer-checksum",
     .text = "an outer header checksum that is wrong",
     .counted = "from_wire/bad_ip",
     .craft = [](Crafter &c) { return with_wrong_checksum(c, kEth); },
     .counted_direct = "from_wire/bad_ip"},
    {.name = "outer-length-short",
     .text = "an outer total length that ends before the inner packet does",
     .counted = "from_wire/truncated",
     .craft = [](Crafter &c) { return with_outer_length(c, kInnerL4 - kEth - c.below(40)); }},
    {.name = "outer-length-long",
     .text = "an outer total length beyond the frame",
     .counted = "from_wire/truncated",
     .craft = [](Crafter &c) { return with_outer_length(c, 1500 + c.below(1000)); },
     .counted_direct = "from_wire/truncated"},
    {.name = "udp-length-short",
     .text = "an outer UDP length that ends before the inner packet does",
     .counted = "from_wire/truncated",
     .craft = [](Crafter &c) { return with_udp_length(c, c.below(kInnerL4 - kOuterUdp)); }},
    {.name = "udp-length-long",
     .text = "an outer UDP length beyond the packet",
     .counted = "from_wire/truncated",
     .craft = [](Crafter &c) { return with_udp_length(c, 1500 + c.below(1000)); }},
    {.name = "inner-ttl-expired",
     .text = "an inner TTL of 0 or 1",
     .counted = "from_wire/ttl_expiring, from_tunnel/checked",
     .craft = [](Crafter &c) { return with_inner_octet(c, 8, static_cast<std::uint8_t>(c.below(2))); }},
    {.name = "inner-source-route",
     .text = "an inner source route past the node, to a host outside",
     .counted = "from_wire/no_pod, from_tunnel/checked",
     .craft =
         [](Crafter &c) {
             const auto via = c.scene().world.to_v4().to_bytes();
             const Bytes route{
                 static_cast<std::uint8_t>(c.below(2) ? 131 : 137), 7, 4, via[0], via[1], via[2], via[3], 0};
             const auto packet = c.packet(c.scene().peer.pod, c.scene().victim.base);
             return Frames{c.tunnel(c.forged(), c.inner(with_ip4_options(packet, 0, route)))};
         }},
    {.name = "outer-source-route",
     .text = "an outer source route",
     .counted = "from_wire/ip_options",
     .craft =
         [](Crafter &c) {
             const auto via = c.scene().world.to_v4().to_bytes();
             const Bytes route{
                 static_cast<std::uint8_t>(c.below(2) ? 131 : 137), 7, 4, via[0], via[1], via[2], via[3], 0};
             return Frames{with_ip4_options(right(c), kEth, route)};
         },
     .counted_direct = "from_wire/ip_options"},
    {.name = "outer-ihl-short",
     .text = "an outer header length below 20",
     .counted = "from_wire/ip_options",
     .craft =
         [](Crafter &c) {
             auto frame = right(c);
             frame[kEth] = static_cast<std::uint8_t>(0x40 | c.below(5));
             sum_up_ip4(frame, kEth);
             return Frames{frame};
         },
     .counted_direct = "from_wire/ip_options"},
    {.name = "fragments-overlapping",
     .text = "outer fragments that overlap: the second rewrites what the first has shown",
     .counted = kFragments2,
     .craft =
         [](Crafter &c) {
             const auto frame = right(c);
             return Frames{ip4_part(frame, 0, 64, true), ip4_part(frame, 8 + 8 * std::size_t{c.below(6)}, 1500, false)};
         },
     .counted_direct = "2x from_wire/outer_fragment"},
    {.name = "fragments-unfinished",
     .text = "outer fragments whose rest never comes",
     .counted = "from_wire/outer_fragment",
     .craft = [](Crafter &c) { return Frames{ip4_part(right(c), 0, 64, true)}; },
     .counted_direct = "from_wire/outer_fragment"},
    {.name = "fragment-beyond",
     .text = "an outer fragment that ends beyond 65,535 octets",
     .counted = "from_wire/outer_fragment",
     .craft =
         [](Crafter &c) {
             auto frame = ip4_part(right(c), 0, 64, true);
             put16(frame, kEth + 6, static_cast<std::uint16_t>(0x1fff - c.below(7)));
             sum_up_ip4(frame, kEth);
             return Frames{frame};
         },
     .counted_direct = "from_wire/outer_fragment"},
    {.name = "ipv6-routing-header",
     .text = "an outer routing header of type 0 through another host",
     .counted = "from_wire/ext_headers",
     .craft =
         [](Crafter &c) {
             const auto via = c.scene().peer.node6.to_v6().to_bytes();
             const Bytes route = Bytes{17, 2, 0, 1, 0, 0, 0, 0} + Bytes(via.begin(), via.end());
             return Frames{with_ip6_extension(c.tunnel(c.forged(false), c.inner_pods(false)), 43, route)};
         },
     .counted_direct = "from_wire/ext_headers"},
    {.name = "ipv6-hop-by-hop",
     .text = "an outer hop-by-hop option that nobody knows and whoever does is to discard",
     .counted = "from_wire/ext_headers",
     .craft =
         [](Crafter &c) {
             const Bytes option = Bytes{17, 0, 0x7e, 4} + c.noise(4);
             return Frames{with_ip6_extension(c.tunnel(c.forged(false), c.inner_pods(false)), 0, option)};
         },
     .counted_direct = "from_wire/ext_headers"},
};

} // namespace

std::span<const Kind> malformed_kinds() { return kKinds; }

} // namespace weft::attack

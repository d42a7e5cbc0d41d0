// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "crafter.hpp"

namespace weft::attack {

/// Headers that several kinds have in common.

inline constexpr Mac kEverybody{{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};

/// Cuts the IPv4 packet of a frame before these octets of its payload, multiples of eight.
[[nodiscard]] std::vector<Bytes> cut_ip4(const Bytes &frame, const std::vector<std::size_t> &at);
/// A part of a frame's IPv4 packet: `size` octets of its payload from `from` on.
[[nodiscard]] Bytes ip4_part(const Bytes &frame, std::size_t from, std::size_t size, bool more);
/// Puts an extension header, which names the one behind it itself, behind the IPv6 header of a frame.
[[nodiscard]] Bytes with_ip6_extension(Bytes frame, std::uint8_t type, const Bytes &extension);
/// Puts a VLAN tag behind a frame's addresses.
[[nodiscard]] Bytes with_vlan(Bytes frame, std::uint16_t tag, std::uint16_t type = 0x8100);

/// Operation 1 asks, 2 answers. IPv4.
[[nodiscard]] Bytes arp(std::uint16_t operation, const Mac &from_mac, const Ip &from, const Mac &to_mac, const Ip &to);

/// An ICMP or ICMPv6 message, summed up, with the hop limit that neighbour discovery asks for.
[[nodiscard]] Bytes icmp_packet(Crafter &c, const Ip &from, const Ip &to, Bytes message);
/// An error about `packet`: its header and what follows of it, cut where ICMP cuts.
[[nodiscard]] Bytes icmp_about(Crafter &c, const Ip &from, const Ip &to, const Bytes &packet);
/// The same, with an error's type and code.
[[nodiscard]] Bytes icmp_about(Crafter &c, const Ip &from, const Ip &to, const Bytes &packet, std::uint8_t type,
                               std::uint8_t code);
/// Each with a mark in an option that nobody knows.
[[nodiscard]] Bytes router_advertisement(Crafter &c, const Ip &from, const Ip &to);
[[nodiscard]] Bytes neighbour_advertisement(Crafter &c, const Ip &from, const Ip &to, const Ip &about,
                                            const Mac *mac = nullptr);
[[nodiscard]] Bytes redirect6(Crafter &c, const Ip &from, const Ip &to, const Ip &better, const Ip &about);

} // namespace weft::attack

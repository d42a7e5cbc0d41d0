// SPDX-License-Identifier: Apache-2.0
#include "headers.hpp"

#include <algorithm>

namespace weft::attack {
namespace {

Bytes octets(const Ip &ip) {
    if (ip.is_v4()) {
        const auto bytes = ip.to_v4().to_bytes();
        return {bytes.begin(), bytes.end()};
    }
    const auto bytes = ip.to_v6().to_bytes();
    return {bytes.begin(), bytes.end()};
}

Bytes octets(const Mac &mac) { return {mac.bytes.begin(), mac.bytes.end()}; }

std::uint16_t checksum(Bytes bytes) {
    if (bytes.size() % 2) bytes.push_back(0);
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < bytes.size(); i += 2) sum += get16(bytes, i);
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<std::uint16_t>(~sum);
}

/// An option of 16 octets that holds a mark.
Bytes marked_option(Crafter &c) { return Bytes{253, 2} + c.payload(0); }

} // namespace

Bytes ip4_part(const Bytes &frame, std::size_t from, std::size_t size, bool more) {
    Bytes part(frame.begin(), frame.begin() + kOuterUdp);
    const auto first = frame.begin() + static_cast<std::ptrdiff_t>(kOuterUdp + from);
    const auto left = static_cast<std::size_t>(frame.end() - first);
    part.insert(part.end(), first, first + static_cast<std::ptrdiff_t>(std::min(size, left)));
    put16(part, kEth + 2, static_cast<std::uint16_t>(part.size() - kEth));
    put16(part, kEth + 6, static_cast<std::uint16_t>((more ? 0x2000 : 0) | from / 8));
    sum_up_ip4(part, kEth);
    return part;
}

std::vector<Bytes> cut_ip4(const Bytes &frame, const std::vector<std::size_t> &at) {
    std::vector<Bytes> parts;
    std::size_t from = 0;
    for (const auto end : at) {
        parts.push_back(ip4_part(frame, from, end - from, true));
        from = end;
    }
    parts.push_back(ip4_part(frame, from, frame.size(), false));
    return parts;
}

Bytes with_ip6_extension(Bytes frame, std::uint8_t type, const Bytes &extension) {
    frame.insert(frame.begin() + kEth + 40, extension.begin(), extension.end());
    frame[kEth + 6] = type;
    put16(frame, kEth + 4, static_cast<std::uint16_t>(get16(frame, kEth + 4) + extension.size()));
    return frame;
}

Bytes with_vlan(Bytes frame, std::uint16_t tag, std::uint16_t type) {
    Bytes head(4);
    put16(head, 0, type);
    put16(head, 2, tag);
    frame.insert(frame.begin() + 12, head.begin(), head.end());
    return frame;
}

Bytes arp(std::uint16_t operation, const Mac &from_mac, const Ip &from, const Mac &to_mac, const Ip &to) {
    Bytes head{0, 1, 8, 0, 6, 4, 0, 0};
    put16(head, 6, operation);
    return head + octets(from_mac) + octets(from) + octets(to_mac) + octets(to);
}

Bytes icmp_packet(Crafter &c, const Ip &from, const Ip &to, Bytes message) {
    put16(message, 2, 0);
    Bytes summed = message;
    if (!from.is_v4()) {
        Bytes pseudo = octets(from) + octets(to) + Bytes{0, 0, 0, 0, 0, 0, 0, 58};
        put16(pseudo, 34, static_cast<std::uint16_t>(message.size()));
        summed = pseudo + message;
    }
    put16(message, 2, checksum(summed));
    auto packet = c.ip_packet(from, to, from.is_v4() ? 1 : 58, message);
    if (!from.is_v4()) packet[7] = 255;
    return packet;
}

Bytes icmp_about(Crafter &c, const Ip &from, const Ip &to, const Bytes &packet) {
    constexpr std::pair<std::uint8_t, std::uint8_t> kErrors[] = {{3, 4}, {3, 1}, {3, 3}, {11, 0}, {12, 0}};
    constexpr std::pair<std::uint8_t, std::uint8_t> kErrors6[] = {{2, 0}, {1, 3}, {1, 4}, {3, 0}, {4, 0}};
    const auto [type, code] = (from.is_v4() ? kErrors : kErrors6)[c.below(5)];
    return icmp_about(c, from, to, packet, type, code);
}

Bytes icmp_about(Crafter &c, const Ip &from, const Ip &to, const Bytes &packet, std::uint8_t type, std::uint8_t code) {
    // The last two octets are a path's MTU where the error is about it.
    Bytes head{type, code, 0, 0, 0, 0, 0x02, static_cast<std::uint8_t>(c.below(256))};
    const Bytes quoted(packet.begin(),
                       packet.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(packet.size(), 500)));
    return icmp_packet(c, from, to, head + quoted);
}

Bytes router_advertisement(Crafter &c, const Ip &from, const Ip &to) {
    const Bytes router{134, 0, 0, 0, 64, 0, 0x07, 0x08, 0, 0, 0, 0, 0, 0, 0, 0};
    // A prefix to make addresses of, for an hour.
    const Bytes prefix =
        Bytes{3, 4, 64, 0xc0, 0, 0, 0x0e, 0x10, 0, 0, 0x0e, 0x10, 0, 0, 0, 0} + octets(*parse_ip("2001:db8:bad::"));
    return icmp_packet(c, from, to, router + prefix + marked_option(c));
}

Bytes neighbour_advertisement(Crafter &c, const Ip &from, const Ip &to, const Ip &about, const Mac *mac) {
    const Bytes solicited_and_override{136, 0, 0, 0, 0x60, 0, 0, 0};
    return icmp_packet(c, from, to,
                       solicited_and_override + octets(about) + Bytes{2, 1} + octets(mac ? *mac : c.nobody()) +
                           marked_option(c));
}

Bytes redirect6(Crafter &c, const Ip &from, const Ip &to, const Ip &better, const Ip &about) {
    const Bytes head{137, 0, 0, 0, 0, 0, 0, 0};
    return icmp_packet(c, from, to,
                       head + octets(better) + octets(about) + Bytes{2, 1} + octets(c.nobody()) + marked_option(c));
}

} // namespace weft::attack

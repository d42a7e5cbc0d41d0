// SPDX-License-Identifier: Apache-2.0
#include "crafter.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include <tins/tins.h>

namespace weft::attack {
namespace {

constexpr std::string_view kMagic = "weft-atk";

Tins::IPv4Address v4(const Ip &ip) { return Tins::IPv4Address(ip.to_string()); }
Tins::IPv6Address v6(const Ip &ip) { return Tins::IPv6Address(ip.to_string()); }

/// Ports where somebody may listen: what judges have sockets on, DNS, the API server's, the kubelet's.
constexpr std::uint16_t kPorts[] = {4242, 53, 6443, 10250, 10256};

Mac mac_of(std::string_view text) { return *parse_mac(text); }
Ip ip_of(std::string_view text) { return *parse_ip(text); }

} // namespace

Scene Scene::example() {
    const auto party = [](int n) {
        const auto number = std::to_string(n);
        return Party{.mac = mac_of("02:00:5e:00:53:0" + number),
                     .node = ip_of("192.0.2." + number),
                     .node6 = ip_of("2001:db8:2::" + number),
                     .vtep = mac_of("02:77:c0:00:02:0" + number),
                     .vtep6 = mac_of("02:77:c0:00:02:0" + number),
                     .base = ip_of("10.244." + number + ".0"),
                     .base6 = ip_of("fd00:244:0:" + number + "::"),
                     .pod = ip_of("10.244." + number + ".2"),
                     .pod6 = ip_of("fd00:244:0:" + number + "::2")};
    };
    return {.victim = party(1),
            .peer = party(2),
            .third = party(3),
            .neighbour = ip_of("10.244.1.3"),
            .neighbour6 = ip_of("fd00:244:0:1::3"),
            .stranger_mac = mac_of("02:00:5e:00:53:66"),
            .stranger = ip_of("192.0.2.66"),
            .stranger6 = ip_of("2001:db8:2::66"),
            .world = ip_of("192.0.2.250"),
            .pod_mac = mac_of("02:00:5e:00:53:a2"),
            .gateway_mac = mac_of("02:00:5e:00:53:a1")};
}

Bytes Mark::bytes() const {
    Bytes all(kMagic.begin(), kMagic.end());
    for (const int shift : {8, 0}) all.push_back(static_cast<std::uint8_t>(kind >> shift));
    for (const int shift : {24, 16, 8, 0}) all.push_back(static_cast<std::uint8_t>(number >> shift));
    return all;
}

std::optional<Mark> Mark::at(const std::uint8_t *data, std::size_t size, std::size_t at) {
    if (at + kSize > size || std::memcmp(data + at, kMagic.data(), kMagic.size()) != 0) return std::nullopt;
    const auto *octet = data + at + kMagic.size();
    return Mark{static_cast<std::uint16_t>(octet[0] << 8 | octet[1]),
                static_cast<std::uint32_t>(octet[2]) << 24 | static_cast<std::uint32_t>(octet[3] << 16) |
                    static_cast<std::uint32_t>(octet[4] << 8) | octet[5]};
}

std::optional<Mark> Mark::find(const std::uint8_t *data, std::size_t size, std::size_t from) {
    const auto *end = data + size;
    const auto *found = std::search(data + std::min(from, size), end, kMagic.begin(), kMagic.end());
    return at(data, size, static_cast<std::size_t>(found - data));
}

Crafter::Crafter(const Scene &scene, std::uint16_t kind, std::uint64_t seed)
    : scene_(scene), mark_{kind, 0}, random_(seed * 0x9e3779b97f4a7c15U + kind) {}

Bytes Crafter::noise(std::size_t size) {
    Bytes bytes(size);
    for (auto &octet : bytes) octet = static_cast<std::uint8_t>(random_());
    return bytes;
}

Bytes Crafter::payload(std::size_t most) { return mark_.bytes() + noise(below(static_cast<std::uint32_t>(most) + 1)); }

Ip Crafter::within(std::string_view net) {
    const auto parsed = *parse_net(net);
    const auto bits = (parsed.is_v4() ? 32 : 128) - parsed.prefix_length();
    const auto most = bits >= 24 ? 0xfffffeU : (1U << bits) - 2;
    return parsed.address() + (1 + below(most));
}

Mac Crafter::nobody() {
    Mac mac{{0x02, 0xba, 0xd0, 0, 0, 0}};
    for (std::size_t i = 3; i < 6; ++i) mac.bytes[i] = static_cast<std::uint8_t>(random_());
    return mac;
}

Bytes Crafter::ip_packet(const Ip &from, const Ip &to, std::uint8_t protocol, const Bytes &data) {
    if (from.is_v4()) {
        Tins::IP ip(v4(to), v4(from));
        ip.id(word());
        ip.ttl(static_cast<std::uint8_t>(32 + below(33)));
        ip.protocol(protocol);
        Bytes bytes = (ip / Tins::RawPDU(data)).serialize();
        bytes[9] = protocol; // the library writes 255 before what it does not know
        sum_up_ip4(bytes, 0);
        return bytes;
    }
    Tins::IPv6 ip(v6(to), v6(from));
    ip.flow_label(below(1 << 20));
    ip.hop_limit(static_cast<std::uint8_t>(32 + below(33)));
    Bytes bytes = (ip / Tins::RawPDU(data)).serialize();
    bytes[6] = protocol;
    return bytes;
}

namespace {

/// The transport header of `l4` summed up between these addresses.
Bytes summed(const Ip &from, const Ip &to, Tins::PDU &l4) {
    if (from.is_v4()) {
        const auto bytes = (Tins::IP(v4(to), v4(from)) / l4).serialize();
        return {bytes.begin() + 20, bytes.end()};
    }
    const auto bytes = (Tins::IPv6(v6(to), v6(from)) / l4).serialize();
    return {bytes.begin() + 40, bytes.end()};
}

} // namespace

Bytes Crafter::udp_packet(const Ip &from, const Ip &to, std::uint16_t from_port, std::uint16_t to_port,
                          const Bytes &data) {
    Tins::UDP udp(to_port, from_port);
    udp /= Tins::RawPDU(data);
    return ip_packet(from, to, 17, summed(from, to, udp));
}

Bytes Crafter::packet(const Ip &from, const Ip &to, Carry carry) {
    constexpr Carry kAll[] = {Carry::udp, Carry::tcp, Carry::echo};
    if (carry == Carry::any) carry = kAll[below(3)];
    const auto to_port = kPorts[below(std::size(kPorts))];
    const auto from_port = static_cast<std::uint16_t>(20000 + below(40000));
    if (carry == Carry::udp) return udp_packet(from, to, from_port, to_port, payload());
    if (carry == Carry::tcp || carry == Carry::reset) {
        Tins::TCP tcp(to_port, from_port);
        tcp.flags(carry == Carry::tcp ? Tins::TCP::SYN : Tins::TCP::RST);
        tcp.seq(static_cast<std::uint32_t>(random_()));
        tcp.window(word());
        tcp /= Tins::RawPDU(payload());
        return ip_packet(from, to, 6, summed(from, to, tcp));
    }
    if (from.is_v4()) {
        Tins::ICMP echo(Tins::ICMP::ECHO_REQUEST);
        echo.id(word());
        echo.sequence(word());
        echo /= Tins::RawPDU(payload());
        return ip_packet(from, to, 1, summed(from, to, echo));
    }
    Tins::ICMPv6 echo(Tins::ICMPv6::ECHO_REQUEST);
    echo.identifier(word());
    echo.sequence(word());
    echo /= Tins::RawPDU(payload());
    return ip_packet(from, to, 58, summed(from, to, echo));
}

Bytes Crafter::ethernet(const Mac &to, const Mac &from, std::uint16_t type, const Bytes &data) {
    Bytes frame(to.bytes.begin(), to.bytes.end());
    frame.insert(frame.end(), from.bytes.begin(), from.bytes.end());
    frame.resize(kEth);
    put16(frame, 12, type);
    return frame + data;
}

Bytes Crafter::ethernet_ip(const Mac &to, const Mac &from, const Bytes &ip) {
    return ethernet(to, from, ip.at(0) >> 4 == 6 ? 0x86dd : 0x0800, ip);
}

Bytes Crafter::from_pod(const Bytes &ip) const { return ethernet_ip(scene_.gateway_mac, scene_.pod_mac, ip); }

Way Crafter::stranger(bool v4) const {
    return {scene_.stranger_mac, scene_.victim.mac, v4 ? scene_.stranger : scene_.stranger6, scene_.victim.node_of(v4)};
}
Way Crafter::misplaced(bool v4) const {
    return {scene_.stranger_mac, scene_.victim.mac, scene_.peer.node_of(v4), scene_.victim.node_of(v4)};
}
Way Crafter::forged(bool v4) const {
    return {scene_.peer.mac, scene_.victim.mac, scene_.peer.node_of(v4), scene_.victim.node_of(v4)};
}

Bytes Crafter::inner(const Bytes &ip) const {
    const bool is_v6 = ip.at(0) >> 4 == 6;
    return ethernet_ip(is_v6 ? scene_.victim.vtep6 : scene_.victim.vtep, is_v6 ? scene_.peer.vtep6 : scene_.peer.vtep,
                       ip);
}

Bytes Crafter::inner_pods(bool v4, Carry carry) {
    return inner(packet(scene_.peer.pod_of(v4), scene_.victim.pod_of(v4), carry));
}

Bytes Crafter::vxlan(const Bytes &frame, const VxlanHeader &header) {
    const auto octet = [&](int shift) { return static_cast<std::uint8_t>(header.vni >> shift); };
    const Bytes head{header.flags, header.reserved[0], header.reserved[1], header.reserved[2],
                     octet(16),    octet(8),           octet(0),           header.reserved_last};
    return head + frame;
}

Bytes Crafter::tunnel_udp(const Way &way, std::uint16_t to_port, const Bytes &data) {
    auto ip = udp_packet(way.from, way.to, static_cast<std::uint16_t>(49152 + below(16384)), to_port, data);
    if (way.from.is_v4()) put16(ip, 26, 0);
    return ethernet_ip(way.to_mac, way.from_mac, ip);
}

Bytes Crafter::tunnel(const Way &way, const Bytes &frame, const VxlanHeader &header) {
    return tunnel_udp(way, scene_.port, vxlan(frame, header));
}

void put16(Bytes &bytes, std::size_t at, std::uint16_t value) {
    bytes.at(at) = static_cast<std::uint8_t>(value >> 8);
    bytes.at(at + 1) = static_cast<std::uint8_t>(value);
}

std::uint16_t get16(const Bytes &bytes, std::size_t at) {
    return static_cast<std::uint16_t>(bytes.at(at) << 8 | bytes.at(at + 1));
}

void sum_up_ip4(Bytes &bytes, std::size_t at) {
    put16(bytes, at + 10, 0);
    std::uint32_t sum = 0;
    const auto end = std::min<std::size_t>(at + (bytes.at(at) & 0x0f) * 4U, bytes.size() & ~std::size_t{1});
    for (auto i = at; i + 1 < end; i += 2) sum += get16(bytes, i);
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    put16(bytes, at + 10, static_cast<std::uint16_t>(~sum));
}

Bytes operator+(Bytes first, const Bytes &second) {
    first.insert(first.end(), second.begin(), second.end());
    return first;
}

Bytes with_ip4_options(Bytes frame, std::size_t at, const Bytes &options) {
    const auto size = static_cast<std::uint16_t>(options.size());
    frame.insert(frame.begin() + static_cast<std::ptrdiff_t>(at) + 20, options.begin(), options.end());
    frame[at] = static_cast<std::uint8_t>(frame[at] + size / 4);
    put16(frame, at + 2, static_cast<std::uint16_t>(get16(frame, at + 2) + size));
    sum_up_ip4(frame, at);
    return frame;
}

} // namespace weft::attack

// SPDX-License-Identifier: Apache-2.0
#include "random_packets.hpp"

#include <algorithm>

namespace weft::prog_run {
namespace {

using Bytes = RandomPackets::Bytes;

constexpr unsigned kTcp = 6, kUdp = 17, kIcmp = 1, kIcmp6 = 58, kIpip = 4, kArp = 0x0806;

void put16(Bytes &bytes, std::size_t at, unsigned value) {
    bytes[at] = static_cast<std::uint8_t>(value >> 8);
    bytes[at + 1] = static_cast<std::uint8_t>(value);
}

void append(Bytes &to, const Bytes &more) { to.insert(to.end(), more.begin(), more.end()); }

void seal(Bytes &header) {
    unsigned long sum = 0;
    for (std::size_t i = 0; i < 20; i += 2) sum += static_cast<unsigned>(header[i] << 8 | header[i + 1]);
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    put16(header, 10, static_cast<unsigned>(~sum & 0xffff));
}

} // namespace

RandomPackets::RandomPackets(std::uint64_t seed, Cast cast) : random_(seed), cast_(std::move(cast)) {
    for (const auto *role : {&cast_.nodes, &cast_.peers, &cast_.pods, &cast_.far, &cast_.other})
        anybody_.insert(anybody_.end(), role->begin(), role->end());
}

Ip RandomPackets::address(bool v4, const Addresses &role) {
    const auto &choice = once_in(8) ? anybody_ : role;
    for (;;) {
        const Ip &known = one_of(choice);
        if (known.is_v4() == v4) return once_in(40) ? known + below(256) : known;
    }
}

RandomPackets::Flow RandomPackets::flow(const Addresses &from, const Addresses &to) {
    const bool v4 = !once_in(3);
    return {v4, address(v4, from), address(v4, to)};
}

Bytes RandomPackets::noise(std::size_t length) {
    Bytes bytes(length);
    for (auto &byte : bytes) byte = static_cast<std::uint8_t>(random_());
    return bytes;
}

Bytes RandomPackets::ip(const Flow &flow, unsigned protocol, const Bytes &payload) {
    const auto &[v4, from, to] = flow;
    const auto hops = static_cast<std::uint8_t>(once_in(8) ? below(3) : 1 + below(255));
    const auto tos = static_cast<std::uint8_t>(once_in(4) ? random_() : 0);
    Bytes header(v4 ? 20 : 40);
    if (v4) {
        header[0] = static_cast<std::uint8_t>(once_in(20) ? random_() : 0x45);
        header[1] = tos;
        put16(header, 2, once_in(20) ? below(1600) : static_cast<unsigned>(20 + payload.size()));
        put16(header, 6, once_in(20) ? static_cast<unsigned>(random_()) : once_in(2) ? 0x4000 : 0);
        header[8] = hops, header[9] = static_cast<std::uint8_t>(protocol);
        std::ranges::copy(from.to_v4().to_bytes(), header.begin() + 12);
        std::ranges::copy(to.to_v4().to_bytes(), header.begin() + 16);
        if (!once_in(30)) seal(header);
    } else {
        header[0] = static_cast<std::uint8_t>((once_in(30) ? below(16) : 6) << 4 | tos >> 4);
        header[1] = static_cast<std::uint8_t>(tos << 4 | below(16));
        put16(header, 2, static_cast<unsigned>(random_()));
        put16(header, 4, once_in(20) ? below(1600) : static_cast<unsigned>(payload.size()));
        header[6] = static_cast<std::uint8_t>(protocol), header[7] = hops;
        std::ranges::copy(from.to_v6().to_bytes(), header.begin() + 8);
        std::ranges::copy(to.to_v6().to_bytes(), header.begin() + 24);
    }
    append(header, payload);
    return header;
}

Bytes RandomPackets::udp(unsigned port, const Bytes &payload) {
    Bytes header(8);
    put16(header, 0, static_cast<unsigned>(random_())), put16(header, 2, port);
    put16(header, 4, once_in(20) ? below(1600) : static_cast<unsigned>(8 + payload.size()));
    append(header, payload);
    return header;
}

Bytes RandomPackets::neighbour_discovery() {
    Bytes message = noise(8);
    message[0] = static_cast<std::uint8_t>(133 + below(5));
    const auto target = address(false, cast_.pods).to_v6().to_bytes();
    message.insert(message.end(), target.begin(), target.end());
    append(message, noise(8 * below(3)));
    return message;
}

Bytes RandomPackets::arp(const Mac &sender) {
    Bytes packet{0, 1, 8, 0, 6, 4, 0, static_cast<std::uint8_t>(1 + below(2))};
    const auto add = [&](const Mac &mac, const Ip &address) {
        packet.insert(packet.end(), mac.bytes.begin(), mac.bytes.end());
        const auto octets = address.to_v4().to_bytes();
        packet.insert(packet.end(), octets.begin(), octets.end());
    };
    add(once_in(8) ? one_of(cast_.macs) : sender, once_in(8) ? Ip(Ip4()) : address(true, cast_.pods));
    add(one_of(cast_.macs), address(true, cast_.other));
    return packet;
}

Bytes RandomPackets::transport(const Flow &flow, unsigned protocol) {
    const std::size_t length = once_in(12) ? 1300 + below(200) : below(80);
    if (protocol == kUdp && once_in(10)) {
        auto dhcp = udp(flow.v4 ? 68 : 546, noise(length));
        put16(dhcp, 0, flow.v4 ? 67 : 547);
        return dhcp;
    }
    if (protocol == kUdp) return udp(one_of(std::vector<unsigned>{53, 8472, 8285, 80}), noise(length));
    if (protocol == kTcp) {
        auto header = noise(20);
        header[12] = 0x50;
        append(header, noise(length));
        return header;
    }
    if (protocol != kIcmp && protocol != kIcmp6) return noise(length);
    if (!flow.v4 && once_in(2)) return neighbour_discovery();
    Bytes error = noise(8);
    error[0] = static_cast<std::uint8_t>(flow.v4 ? one_of(std::vector<unsigned>{0, 3, 4, 5, 8, 11, 12}) : below(7));
    // What it is about, sent by whom it goes to.
    const Flow about{flow.v4, once_in(8) ? flow.from : flow.to, once_in(8) ? flow.to : flow.from};
    append(error, ip(about, one_of(std::vector<unsigned>{kTcp, kUdp, kTcp, kUdp, kIcmp, 132}), noise(8)));
    return error;
}

Bytes RandomPackets::packet(const Flow &flow) {
    const std::vector<unsigned> kUsual{kTcp, kUdp, kTcp, kUdp, flow.v4 ? kIcmp : kIcmp6};
    static const std::vector<unsigned> kOther{kIpip, 41, 132, 47, 0, 43, 44, 51, 60, 135, 59};
    const unsigned protocol = once_in(8) ? one_of(kOther) : one_of(kUsual);
    auto payload = transport(flow, protocol);
    if (flow.v4 || !once_in(8)) return ip(flow, protocol, payload);
    auto next = protocol;
    for (auto headers = 1 + below(8); headers-- > 0;) {
        static const std::vector<unsigned> kExtensions{0, 43, 44, 51, 60, 135};
        const unsigned extension = one_of(kExtensions);
        const unsigned units = extension == 44 || !once_in(4) ? 0 : below(3);
        Bytes header(extension == 51 ? (units + 2) * 4 : (units + 1) * 8);
        header[0] = static_cast<std::uint8_t>(next), header[1] = static_cast<std::uint8_t>(units);
        if (extension == 44 && once_in(3)) put16(header, 2, static_cast<unsigned>(random_()));
        append(header, payload);
        payload = std::move(header), next = extension;
    }
    return ip(flow, next, payload);
}

Bytes RandomPackets::ethernet(bool v4, const Bytes &payload, const Mac &destination, const Mac &usual_source) {
    Bytes frame;
    const Mac &source = once_in(8) ? one_of(cast_.macs) : usual_source;
    frame.insert(frame.end(), destination.bytes.begin(), destination.bytes.end());
    frame.insert(frame.end(), source.bytes.begin(), source.bytes.end());
    frame.resize(14);
    put16(frame, 12,
          once_in(40) ? one_of(std::vector<unsigned>{0x0806, 0x8100, 0x86dd, 0x0800, 0x0040})
          : v4        ? 0x0800
                      : 0x86dd);
    append(frame, payload);
    return frame;
}

Bytes RandomPackets::encapsulated(const Bytes &inner, bool inner_v4, const Flow &outer) {
    switch (outer.v4 && inner_v4 ? below(6) : 0) {
    case 1: return ip(outer, kUdp, udp(8285, inner));
    case 2: return ip(outer, kIpip, inner);
    default: break;
    }
    Bytes vxlan{0x08, 0, 0, 0, 0, 0, 1, 0};
    if (once_in(30)) vxlan[below(8)] ^= static_cast<std::uint8_t>(1U << below(8));
    append(vxlan, ethernet(inner_v4, inner, once_in(20) ? one_of(cast_.macs) : cast_.vtep_mac, one_of(cast_.macs)));
    return ip(outer, kUdp, udp(once_in(30) ? below(65536) : 8472, vxlan));
}

Bytes RandomPackets::mutated(Bytes frame) {
    switch (below(16)) {
    case 0:
        for (auto n = below(4); n-- > 0;)
            frame[below(static_cast<std::uint32_t>(frame.size()))] = static_cast<std::uint8_t>(random_());
        break;
    case 1: frame.resize(14 + below(static_cast<std::uint32_t>(frame.size() - 13))); break; // the kernel takes no less
    case 2: append(frame, noise(1 + below(40))); break;                                     // padding
    case 3: frame[below(static_cast<std::uint32_t>(frame.size()))] ^= static_cast<std::uint8_t>(1U << below(8)); break;
    default: break;
    }
    return frame;
}

Bytes RandomPackets::plain() {
    if (once_in(16)) {
        auto frame = ethernet(true, arp(cast_.pod_mac), one_of(cast_.macs), cast_.pod_mac);
        put16(frame, 12, kArp);
        return mutated(frame);
    }
    const auto way = flow(cast_.pods, once_in(4) ? cast_.pods : cast_.far);
    return mutated(ethernet(way.v4, packet(way), one_of(cast_.macs), cast_.pod_mac));
}

Bytes RandomPackets::received() {
    auto way = flow(cast_.far, cast_.pods);
    auto inner = packet(way);
    for (int layers = once_in(20) ? 2 : once_in(8) ? 0 : 1; layers-- > 0;) {
        const auto outer = flow(cast_.peers, cast_.nodes);
        inner = encapsulated(inner, way.v4, outer);
        way = outer;
    }
    return mutated(ethernet(way.v4, inner, one_of(cast_.macs), cast_.link_mac));
}

Bytes RandomPackets::decapsulated() {
    const auto way = flow(cast_.far, cast_.pods);
    const Mac &to = once_in(20) ? one_of(cast_.macs) : cast_.vtep_mac;
    return mutated(ethernet(way.v4, packet(way), to, one_of(cast_.macs)));
}

std::optional<RandomPackets::Sender> RandomPackets::sender() {
    if (once_in(30)) return std::nullopt;
    return Sender{address(!once_in(3), cast_.peers), once_in(30) ? below(4) : 1};
}

} // namespace weft::prog_run

// SPDX-License-Identifier: Apache-2.0
#include "model_packet.hpp"

#include <algorithm>

namespace weft::prog_run::model {

unsigned folded(unsigned long sum) {
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<unsigned>(sum);
}

bool is_summed_up(const View &ip4) {
    unsigned long sum = 0;
    for (std::size_t word = 0; word < 20; word += 2) sum += ip4.u16(word);
    return folded(sum) == 0xffff;
}

bool is_ip(unsigned ethertype) { return ethertype == kIpv4 || ethertype == kIpv6; }
bool is_mapped(const Ip &address) { return !address.is_v4() && address.to_v6().is_v4_mapped(); }

bool in_any(const std::vector<Net> &nets, const Ip &address) {
    return std::ranges::any_of(nets, [&](const Net &net) { return contains(net, address); });
}

bool is_martian(const Ip &address) {
    for (const char *net : {"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "240.0.0.0/4", "::/127",
                            "fe80::/10", "ff00::/8"})
        if (contains(*parse_net(net), address)) return true;
    return false;
}
bool is_group(const Ip &address) {
    return address.is_v4() ? address.to_v4().is_multicast() || address.to_v4() == Ip4::broadcast()
                           : address.to_v6().is_multicast();
}

const weft_lease *lease_of(const World &world, const Ip &address) {
    const weft_lease *best = nullptr;
    unsigned length = 0;
    for (const auto &[net, lease] : world.leases)
        if (contains(net, address) && (!best || net.prefix_length() > length)) {
            best = &lease;
            length = net.prefix_length();
        }
    return best;
}

const weft_endpoint *endpoint_of(const World &world, const Ip &address) {
    const auto found = world.endpoints.find(address);
    return found == world.endpoints.end() ? nullptr : &found->second;
}
bool wants_stack(const weft_endpoint &pod) { return (pod.flags & (WEFT_EP_STACK | WEFT_EP_SHAPED)) != 0; }

weft_reason extension(unsigned next) {
    if (next == 44) return WEFT_R_FRAGMENT;
    for (const unsigned header : {0U, 43U, 51U, 60U, 135U})
        if (next == header) return WEFT_R_EXT_HEADERS;
    return WEFT_R_NONE;
}

std::size_t said_length(const View &ip, bool v4) {
    const unsigned field = ip.u16(v4 ? 2 : 4);
    if (field == 0 && ip.left() > 0xffff) return ip.left();
    return v4 ? field : 40 + field;
}

std::expected<Packet, weft_reason> ip_packet(const View &ip, unsigned ethertype) {
    Packet p{.ethertype = ethertype, .at = ip.at, .source = {}, .destination = {}};
    if (View{ip.bytes, ip.at}.left() < p.header()) return std::unexpected(WEFT_R_TRUNCATED);
    const auto length = said_length(ip, ethertype == kIpv4);
    p.end = ip.at + length;
    if (ethertype == kIpv4) {
        const unsigned header = (ip.u8(0) & 15) * 4;
        if (ip.u8(0) >> 4 != 4 || header < 20) return std::unexpected(WEFT_R_BAD_IP);
        if (length > ip.left() || length < header) return std::unexpected(WEFT_R_BAD_IP);
        if (header == 20 && !is_summed_up(ip)) return std::unexpected(WEFT_R_BAD_IP);
        p.source = ip.ip4(12), p.destination = ip.ip4(16);
        p.protocol = ip.u8(9), p.tos = ip.u8(1), p.hops = ip.u8(8);
        const bool fragment = (ip.u16(6) & 0x3fff) != 0;
        p.odd = header != 20 ? WEFT_R_IP_OPTIONS : fragment ? WEFT_R_FRAGMENT : WEFT_R_NONE;
        return p;
    }
    if (ip.u8(0) >> 4 != 6 || length > ip.left()) return std::unexpected(WEFT_R_BAD_IP);
    p.source = ip.ip6(8), p.destination = ip.ip6(24);
    if (is_mapped(p.source) || is_mapped(p.destination)) return std::unexpected(WEFT_R_BAD_IP);
    p.protocol = ip.u8(6), p.tos = ip.u16(0) >> 4 & 0xff, p.hops = ip.u8(7);
    p.odd = extension(p.protocol);
    return p;
}

std::expected<Ip, weft_reason> flow_source(const Bytes &frame, const Packet &p) {
    if (p.odd) return std::unexpected(p.odd);
    if (p.hops <= 1) return std::unexpected(WEFT_R_TTL_EXPIRING);
    const View l4{frame, p.at + p.header(), p.end};
    if (p.protocol == kTcp || p.protocol == kUdp) {
        if (l4.left() < (p.protocol == kTcp ? 20 : 8)) return std::unexpected(WEFT_R_TRUNCATED);
        return p.source;
    }
    // An error quotes the packet that it is about: its header and the ports.
    const bool v4 = p.ethertype == kIpv4;
    const auto untracked = std::unexpected(WEFT_R_L4_UNTRACKED);
    if (p.protocol != (v4 ? kIcmp : kIcmp6) || l4.left() < 8 + p.header() + 4) return untracked;
    const unsigned type = l4.u8(0);
    const bool error = v4 ? type == 3 || type == 4 || type == 11 || type == 12 : type >= 1 && type <= 4;
    const View quoted = l4.from(8);
    const unsigned about = quoted.u8(v4 ? 9 : 6);
    if (!error || (about != kTcp && about != kUdp)) return untracked;
    if (v4 && (quoted.u8(0) != 0x45 || (quoted.u16(6) & 0x3fff) != 0)) return untracked;
    if (!v4 && quoted.u8(0) >> 4 != 6) return untracked;
    if ((v4 ? quoted.ip4(12) : quoted.ip6(8)) != p.destination) return untracked;
    const Ip receiver = v4 ? quoted.ip4(16) : quoted.ip6(24);
    if (is_mapped(receiver)) return untracked;
    return receiver;
}

std::expected<Carried, weft_reason> carried_by(const Bytes &frame, const Packet &p) {
    const View ip{frame, p.at};
    if (p.ethertype == kIpv4) {
        if ((ip.u16(6) & 0x1fff) != 0) return std::unexpected(WEFT_R_NONE);
        return Carried{p.at + (ip.u8(0) & 15) * 4, p.protocol};
    }
    Carried carried{p.at + 40, p.protocol};
    for (int headers = 0; extension(carried.protocol) != WEFT_R_NONE; ++headers) {
        const View head{frame, carried.at};
        if (headers == 6 || head.left() < 4) return std::unexpected(WEFT_R_POD_HEADERS);
        if (carried.protocol == 44 && (head.u16(2) & 0xfff8) != 0) return std::unexpected(WEFT_R_NONE);
        carried.at += carried.protocol == 44 ? 8 : carried.protocol == 51 ? (head.u8(1) + 2) * 4 : (head.u8(1) + 1) * 8;
        carried.protocol = head.u8(0);
    }
    return carried;
}

} // namespace weft::prog_run::model

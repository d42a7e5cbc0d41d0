// SPDX-License-Identifier: Apache-2.0
#include "model.hpp"

#include <algorithm>
#include <expected>
#include <optional>

namespace weft::prog_run::model {
namespace {

constexpr std::size_t kEth = 14;
constexpr unsigned kTcp = 6, kUdp = 17, kIcmp = 1, kIcmp6 = 58, kIpip = 4;
constexpr unsigned kIpv4 = 0x0800, kIpv6 = 0x86dd, kArp = 0x0806;

/// Bytes from some offset on; reading behind the end is the model's own fault and throws.
struct View {
    const Bytes &bytes;
    std::size_t at = 0;

    [[nodiscard]] std::size_t left() const { return at < bytes.size() ? bytes.size() - at : 0; }
    [[nodiscard]] unsigned u8(std::size_t offset) const { return bytes.at(at + offset); }
    [[nodiscard]] unsigned u16(std::size_t offset) const { return u8(offset) << 8 | u8(offset + 1); }
    [[nodiscard]] std::uint32_t u32(std::size_t offset) const { return u16(offset) << 16 | u16(offset + 2); }
    [[nodiscard]] Ip ip4(std::size_t offset) const { return Ip4(u32(offset)); }
    [[nodiscard]] Ip ip6(std::size_t offset) const {
        Ip6::bytes_type octets;
        for (std::size_t i = 0; i < octets.size(); ++i) octets[i] = bytes.at(at + offset + i);
        return Ip6(octets);
    }
    [[nodiscard]] Mac mac(std::size_t offset) const {
        Mac mac{};
        for (std::size_t i = 0; i < mac.bytes.size(); ++i) mac.bytes[i] = bytes.at(at + offset + i);
        return mac;
    }
    [[nodiscard]] View from(std::size_t offset) const { return {bytes, at + offset}; }
};

bool is_ip(unsigned ethertype) { return ethertype == kIpv4 || ethertype == kIpv6; }
bool is_mapped(const Ip &address) { return !address.is_v4() && address.to_v6().is_v4_mapped(); }

bool in_any(const std::vector<Net> &nets, const Ip &address) {
    return std::ranges::any_of(nets, [&](const Net &net) { return contains(net, address); });
}

/// RFC 6890's addresses that nothing comes from or goes to through a network, multicast with them.
bool is_martian(const Ip &address) {
    for (const char *net : {"0.0.0.0/8", "127.0.0.0/8", "169.254.0.0/16", "224.0.0.0/4", "255.255.255.255/32", "::/127",
                            "fe80::/10", "ff00::/8"})
        if (contains(*parse_net(net), address)) return true;
    return false;
}
bool is_group(const Ip &address) {
    return address.is_v4() ? address.to_v4().is_multicast() || address.to_v4() == Ip4::broadcast()
                           : address.to_v6().is_multicast();
}

/// The lease with the longest prefix around an address.
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

/// RFC 8200, section 4; 135: RFC 6275.
weft_reason extension(unsigned next) {
    if (next == 44) return WEFT_R_FRAGMENT;
    for (const unsigned header : {0U, 43U, 51U, 60U, 135U})
        if (next == header) return WEFT_R_EXT_HEADERS;
    return WEFT_R_NONE;
}

struct Packet {
    unsigned ethertype = 0;
    std::size_t at = 0; ///< of its IP header in the frame
    Ip source, destination;
    unsigned protocol = 0, tos = 0, hops = 0;
    weft_reason odd = WEFT_R_NONE;
    [[nodiscard]] std::size_t header() const { return ethertype == kIpv4 ? 20 : 40; }
};

std::expected<Packet, weft_reason> ip_packet(const View &ip, unsigned ethertype) {
    Packet p{.ethertype = ethertype, .at = ip.at, .source = {}, .destination = {}};
    if (ip.left() < p.header()) return std::unexpected(WEFT_R_TRUNCATED);
    if (ethertype == kIpv4) {
        const unsigned header = (ip.u8(0) & 15) * 4, total = ip.u16(2);
        if (ip.u8(0) >> 4 != 4 || header < 20) return std::unexpected(WEFT_R_BAD_IP);
        if (total > ip.left() || (total != 0 && total < header)) return std::unexpected(WEFT_R_BAD_IP);
        p.source = ip.ip4(12), p.destination = ip.ip4(16);
        p.protocol = ip.u8(9), p.tos = ip.u8(1), p.hops = ip.u8(8);
        const bool fragment = (ip.u16(6) & 0x3fff) != 0;
        p.odd = header != 20 ? WEFT_R_IP_OPTIONS : fragment ? WEFT_R_FRAGMENT : WEFT_R_NONE;
        return p;
    }
    if (ip.u8(0) >> 4 != 6 || 40 + ip.u16(4) > ip.left()) return std::unexpected(WEFT_R_BAD_IP);
    p.source = ip.ip6(8), p.destination = ip.ip6(24);
    if (is_mapped(p.source) || is_mapped(p.destination)) return std::unexpected(WEFT_R_BAD_IP);
    p.protocol = ip.u8(6), p.tos = ip.u16(0) >> 4 & 0xff, p.hops = ip.u8(7);
    p.odd = extension(p.protocol);
    return p;
}

/// The source of the flow that decides about a packet, as seen by its receiver; or why nobody can say.
std::expected<Ip, weft_reason> flow_source(const Bytes &frame, const Packet &p) {
    if (p.odd) return std::unexpected(p.odd);
    if (p.hops <= 1) return std::unexpected(WEFT_R_TTL_EXPIRING);
    const View l4{frame, p.at + p.header()};
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

// --- changes ----------------------------------------------------------------------------------------------------------

void put16(Bytes &bytes, std::size_t at, unsigned value) {
    bytes.at(at) = static_cast<std::uint8_t>(value >> 8);
    bytes.at(at + 1) = static_cast<std::uint8_t>(value);
}
void put_mac(Bytes &bytes, std::size_t at, const Mac &mac) {
    std::ranges::copy(mac.bytes, bytes.begin() + static_cast<long>(at));
}

unsigned folded(unsigned long sum) {
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return static_cast<unsigned>(sum);
}

/// RFC 1624, equation 3, for the 16-bit word at `word` of the IPv4 header at `ip`, which has become `value`.
void change_word(Bytes &bytes, std::size_t ip, std::size_t word, unsigned value) {
    const View header{bytes, ip};
    const unsigned old = header.u16(word), check = header.u16(10);
    put16(bytes, ip + word, value);
    put16(bytes, ip + 10, ~folded((~check & 0xffffUL) + (~old & 0xffffUL) + value) & 0xffff);
}

void one_hop_less(Bytes &bytes, std::size_t ip, unsigned ethertype) {
    if (ethertype == kIpv6)
        bytes.at(ip + 7) -= 1;
    else
        change_word(bytes, ip, 8, View{bytes, ip}.u16(8) - 0x100);
}

void set_ecn(Bytes &bytes, std::size_t ip, unsigned ethertype, unsigned ecn) {
    if (ethertype == kIpv6)
        bytes.at(ip + 1) = static_cast<std::uint8_t>((bytes.at(ip + 1) & ~0x30U) | ecn << 4);
    else
        change_word(bytes, ip, 0, (View{bytes, ip}.u16(0) & ~3U) | ecn);
}

Bytes header4(const World &world, const weft_lease &lease, unsigned tos, unsigned protocol, std::size_t length) {
    Bytes ip(20);
    ip[0] = 0x45, ip[1] = static_cast<std::uint8_t>(tos & 3), ip[8] = 64, ip[9] = static_cast<std::uint8_t>(protocol);
    put16(ip, 2, static_cast<unsigned>(length));
    const auto node = std::ranges::find_if(world.nodes, [](const Ip &address) { return address.is_v4(); });
    std::ranges::copy(node->to_v4().to_bytes(), ip.begin() + 12);
    std::ranges::copy(abi::ip(lease.node).to_v4().to_bytes(), ip.begin() + 16);
    return ip;
}

Bytes header6(const World &world, const weft_lease &lease, unsigned tos, unsigned next, std::size_t payload) {
    Bytes ip(40);
    put16(ip, 0, 6U << 12 | (tos & 3) << 4);
    put16(ip, 4, static_cast<unsigned>(payload));
    ip[6] = static_cast<std::uint8_t>(next), ip[7] = 64;
    const auto node = std::ranges::find_if(world.nodes, [](const Ip &address) { return !address.is_v4(); });
    std::ranges::copy(node->to_v6().to_bytes(), ip.begin() + 8);
    std::ranges::copy(abi::ip(lease.node).to_v6().to_bytes(), ip.begin() + 24);
    return ip;
}

/// Outer headers without the outer Ethernet header, checksum, identification, flow label and source port left zero.
Bytes outer_headers(const World &world, const weft_lease &lease, const Packet &p, std::size_t inner_length) {
    const auto udp = [](unsigned source, unsigned port, std::size_t length) {
        Bytes header(8);
        put16(header, 0, source), put16(header, 2, port), put16(header, 4, static_cast<unsigned>(length));
        return header;
    };
    Bytes out;
    const auto add = [&](const Bytes &more) { out.insert(out.end(), more.begin(), more.end()); };
    switch (lease.encap) {
    case WEFT_ENCAP_VXLAN:
    case WEFT_ENCAP_VXLAN6: {
        const std::size_t datagram = 8 + 8 + kEth + inner_length;
        add(lease.encap == WEFT_ENCAP_VXLAN ? header4(world, lease, p.tos, kUdp, 20 + datagram)
                                            : header6(world, lease, p.tos, kUdp, datagram));
        add(udp(0, 8472, datagram));
        add({0x08, 0, 0, 0, 0, 0, 1, 0});
        Bytes ethernet(kEth);
        put_mac(ethernet, 0, abi::mac(lease.vtep_mac)), put_mac(ethernet, 6, world.vtep_mac);
        put16(ethernet, 12, p.ethertype);
        add(ethernet);
        break;
    }
    case WEFT_ENCAP_UDP:
        add(header4(world, lease, p.tos, kUdp, 28 + inner_length));
        add(udp(8285, 8285, 8 + inner_length));
        break;
    case WEFT_ENCAP_IPIP: add(header4(world, lease, p.tos, kIpip, 20 + inner_length)); break;
    default: break;
    }
    return out;
}

bool has_writer(const weft_lease &lease) { return lease.encap >= WEFT_ENCAP_VXLAN && lease.encap <= WEFT_ENCAP_VXLAN6; }

Expected pushed(const World &world, const weft_lease &lease, Bytes frame, const Packet &p, bool hop) {
    if (!has_writer(lease)) return {WEFT_R_ENCAP_UNSUPPORTED, frame};
    if (hop) one_hop_less(frame, kEth, p.ethertype);
    const auto outer = outer_headers(world, lease, p, frame.size() - kEth);
    frame.insert(frame.begin() + kEth, outer.begin(), outer.end());
    return {WEFT_R_ENCAP, frame, static_cast<weft_encap>(lease.encap)};
}

/// For the vxlan driver: the inner Ethernet header is all that a packet gets here.
Bytes for_driver(const World &world, const weft_lease &lease, Bytes frame, const Packet &p, bool hop) {
    if (hop) one_hop_less(frame, kEth, p.ethertype);
    put_mac(frame, 0, abi::mac(lease.vtep_mac)), put_mac(frame, 6, world.vtep_mac);
    return frame;
}

// --- from the wire ----------------------------------------------------------------------------------------------------

struct Outer {
    weft_encap encap = WEFT_ENCAP_NONE;
    std::size_t inner = 0; ///< where its IP header starts
    unsigned ethertype = 0, inner_ethertype = 0, tos = 0;
    Ip source;
    Mac link_mac; ///< the frame's source
};

/// Behind the outer IP header, which is for us.
std::expected<Outer, weft_reason> tunnel(const World &world, const View &at, unsigned protocol, Outer outer) {
    const bool v4 = outer.ethertype == kIpv4;
    if (v4 && protocol == kIpip) {
        outer.encap = WEFT_ENCAP_IPIP, outer.inner = at.at, outer.inner_ethertype = kIpv4;
        return outer;
    }
    if (protocol != kUdp) return std::unexpected(WEFT_R_NOT_OVERLAY);
    if (at.left() < 8) return std::unexpected(WEFT_R_TRUNCATED);
    if (v4 && at.u16(2) == 8285) {
        outer.encap = WEFT_ENCAP_UDP, outer.inner = at.at + 8, outer.inner_ethertype = kIpv4;
        return outer;
    }
    if (at.u16(2) != 8472) return std::unexpected(WEFT_R_NOT_OVERLAY);
    const View vxlan = at.from(8);
    if (vxlan.left() < 8 + kEth) return std::unexpected(WEFT_R_TRUNCATED);
    if (vxlan.u32(0) != 0x08000000 || vxlan.u8(7) != 0) return std::unexpected(WEFT_R_BAD_VXLAN);
    if (vxlan.u32(4) >> 8 != 1) return std::unexpected(WEFT_R_WRONG_VNI);
    if (!is_ip(vxlan.u16(20))) return std::unexpected(WEFT_R_INNER_OTHER);
    if (vxlan.mac(8) != world.vtep_mac) return std::unexpected(WEFT_R_WRONG_INNER_MAC);
    outer.encap = v4 ? WEFT_ENCAP_VXLAN : WEFT_ENCAP_VXLAN6;
    outer.inner = vxlan.at + 8 + kEth, outer.inner_ethertype = vxlan.u16(20);
    return outer;
}

std::expected<Outer, weft_reason> outer_of(const World &world, const Bytes &frame) {
    const View eth{frame}, ip = eth.from(kEth);
    Outer outer{.ethertype = eth.u16(12), .source = {}, .link_mac = eth.mac(6)};
    if (!is_ip(outer.ethertype)) return std::unexpected(WEFT_R_NOT_IP);
    const bool v4 = outer.ethertype == kIpv4;
    if (ip.left() < (v4 ? 20 : 40)) return std::unexpected(WEFT_R_TRUNCATED);
    if (ip.u8(0) >> 4 != (v4 ? 4 : 6)) return std::unexpected(WEFT_R_NOT_OVERLAY);
    outer.source = v4 ? ip.ip4(12) : ip.ip6(8);
    outer.tos = v4 ? ip.u8(1) : ip.u16(0) >> 4 & 0xff;
    const Ip destination = v4 ? ip.ip4(16) : ip.ip6(24);
    const auto bare = [&] {
        if (in_any(world.own, outer.source)) return WEFT_R_OWN_SOURCE;
        const bool between_pods = in_any(world.networks, outer.source) && in_any(world.networks, destination);
        return between_pods ? WEFT_R_BARE_SOURCE : WEFT_R_NOT_OVERLAY;
    };
    if (is_mapped(outer.source) || is_mapped(destination)) return std::unexpected(WEFT_R_BAD_IP);
    if (!world.nodes.contains(destination)) {
        if (!in_any(world.own, destination) || !in_any(world.networks, outer.source)) return std::unexpected(bare());
        outer.encap = WEFT_ENCAP_DIRECT, outer.inner = kEth, outer.inner_ethertype = outer.ethertype;
        return outer;
    }
    const unsigned protocol = ip.u8(v4 ? 9 : 6);
    if (v4) {
        if (protocol != kUdp && protocol != kIpip) return std::unexpected(bare());
        if ((ip.u16(6) & 0x3fff) != 0) return std::unexpected(WEFT_R_OUTER_FRAGMENT);
        if ((ip.u8(0) & 15) != 5) return std::unexpected(WEFT_R_IP_OPTIONS);
    } else if (const auto between = extension(protocol)) {
        return std::unexpected(between == WEFT_R_FRAGMENT ? WEFT_R_OUTER_FRAGMENT : between);
    }
    auto found = tunnel(world, ip.from(v4 ? 20 : 40), protocol, outer);
    if (!found && found.error() == WEFT_R_NOT_OVERLAY) return std::unexpected(bare());
    return found;
}

/// RFC 6040, section 4.2; nullopt: to be dropped.
std::optional<unsigned> ecn_after(unsigned outer, unsigned inner) {
    enum { not_ect, ect1, ect0, ce };
    outer &= 3, inner &= 3;
    if (inner == not_ect) return outer == ce ? std::nullopt : std::optional(inner);
    if (outer == ce) return ce;
    return outer == ect1 && inner == ect0 ? static_cast<unsigned>(ect1) : inner;
}

weft_reason check_sender(const World &world, const Outer &outer, const Packet &p) {
    const auto *lease = lease_of(world, p.source);
    const bool ours = in_any(world.own, p.source) || world.nodes.contains(p.source) || endpoint_of(world, p.source);
    if (outer.encap == WEFT_ENCAP_DIRECT) {
        if (!lease) return ours ? WEFT_R_OWN_SOURCE : WEFT_R_SPOOFED_SOURCE;
        return outer.link_mac == abi::mac(lease->link_mac) ? WEFT_R_NONE : WEFT_R_WRONG_LINK_MAC;
    }
    if (lease && abi::ip(lease->node) == outer.source) return WEFT_R_NONE;
    if (!world.peers.contains(outer.source)) return WEFT_R_UNKNOWN_SENDER;
    if (is_martian(p.source)) return WEFT_R_MARTIAN_SOURCE;
    if (ours) return WEFT_R_OWN_SOURCE;
    return in_any(world.networks, p.source) ? WEFT_R_SPOOFED_SOURCE : WEFT_R_NONE;
}

struct Received {
    Outer outer;
    Packet inner;
    unsigned ecn = 0;
    const weft_endpoint *pod = nullptr;
    weft_reason left_to_stack = WEFT_R_NONE; ///< taken, but not for the fast path
};

std::expected<Received, weft_reason> received(const World &world, const Bytes &frame) {
    const auto outer = outer_of(world, frame);
    if (!outer) return std::unexpected(outer.error());
    const auto inner = ip_packet({frame, outer->inner}, outer->inner_ethertype);
    if (!inner) return std::unexpected(inner.error());
    if (const auto refused = check_sender(world, *outer, *inner)) return std::unexpected(refused);
    const auto ecn = ecn_after(outer->tos, inner->tos);
    if (!ecn) return std::unexpected(WEFT_R_BAD_ECN);
    Received r{.outer = *outer, .inner = *inner, .ecn = *ecn, .pod = endpoint_of(world, inner->destination)};
    if (!r.pod && is_martian(inner->destination)) return std::unexpected(WEFT_R_MARTIAN_DESTINATION);
    if (!r.pod) {
        r.left_to_stack = WEFT_R_NO_POD;
    } else if (wants_stack(*r.pod)) {
        r.left_to_stack = WEFT_R_POD_PREFERS_STACK;
    } else {
        const auto flow = flow_source(frame, *inner);
        r.left_to_stack = !flow ? flow.error() : in_any(world.networks, *flow) ? WEFT_R_NONE : WEFT_R_SOURCE_OUTSIDE;
    }
    return r;
}

Bytes without_outer(const Bytes &frame, const Received &r) {
    Bytes out(frame.begin(), frame.begin() + kEth);
    out.insert(out.end(), frame.begin() + static_cast<long>(r.outer.inner), frame.end());
    if (r.ecn != (r.inner.tos & 3)) set_ecn(out, kEth, r.inner.ethertype, r.ecn);
    return out;
}

Bytes for_pod(const Bytes &frame, const Received &r) {
    auto out = without_outer(frame, r);
    one_hop_less(out, kEth, r.inner.ethertype);
    put_mac(out, 0, abi::mac(r.pod->pod_mac)), put_mac(out, 6, abi::mac(r.pod->host_mac));
    put16(out, 12, r.inner.ethertype);
    return out;
}

// --- from a pod -------------------------------------------------------------------------------------------------------

weft_endpoint *own_endpoint(World &world, unsigned ifindex, const Ip &address) {
    const auto found = world.endpoints.find(address);
    return found != world.endpoints.end() && found->second.ifindex == ifindex ? &found->second : nullptr;
}
bool is_allowed(const World &world, unsigned ifindex, const Ip &address) {
    const auto found = world.allowed.find(ifindex);
    return found != world.allowed.end() && in_any(found->second, address);
}
bool can_be_a_pods(const Mac &mac, const weft_endpoint &pod) {
    return (mac.bytes[0] & 1) == 0 && mac != Mac{} && mac != abi::mac(pod.host_mac);
}

weft_reason judge_arp(World &world, unsigned ifindex, const View &eth) {
    const View arp = eth.from(kEth);
    if (arp.left() < 28 || arp.u16(2) != kIpv4) return WEFT_R_NOT_IP;
    const Ip sender = arp.ip4(14);
    if (sender.is_unspecified()) return WEFT_R_NOT_IP;
    auto *own = own_endpoint(world, ifindex, sender);
    if (!own) return is_allowed(world, ifindex, sender) ? WEFT_R_NOT_IP : WEFT_R_POD_ARP;
    if (arp.mac(8) != eth.mac(6) || !can_be_a_pods(eth.mac(6), *own)) return WEFT_R_POD_ARP;
    own->pod_mac = abi::mac(eth.mac(6));
    return WEFT_R_NOT_IP;
}

weft_reason refused_source(World &world, unsigned ifindex, const Bytes &frame, const Packet &p) {
    const View l4{frame, p.at + p.header()};
    const Mac mac = View{frame}.mac(6);
    if (auto *own = own_endpoint(world, ifindex, p.source)) {
        if (mac == abi::mac(own->pod_mac)) return WEFT_R_NONE;
        const bool nd =
            p.ethertype == kIpv6 && p.protocol == kIcmp6 && l4.left() >= 8 && (l4.u8(0) == 135 || l4.u8(0) == 136);
        if (!nd || !can_be_a_pods(mac, *own)) return WEFT_R_POD_MAC;
        own->pod_mac = abi::mac(mac);
        return WEFT_R_NONE;
    }
    if (p.source.is_unspecified()) {
        if (is_group(p.destination)) return WEFT_R_NONE;
    } else if (!p.source.is_v4() && p.source.to_v6().is_link_local()) {
        return WEFT_R_NONE;
    }
    return is_allowed(world, ifindex, p.source) ? WEFT_R_NONE : WEFT_R_POD_SOURCE;
}

/// Where the transport header is, past options and at most six extension headers, and its protocol.
struct Carried {
    std::size_t at = 0;
    unsigned protocol = 0;
};
/// Errors: POD_HEADERS; NONE: a later fragment, which has none.
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

bool is_dhcp_answer(const Packet &p, const View &udp) {
    return udp.u32(0) == (p.ethertype == kIpv4 ? 67U << 16 | 68 : 547U << 16 | 546);
}

weft_reason refused_for_stack(World &world, unsigned ifindex, const Bytes &frame, const Packet &p) {
    const auto carried = carried_by(frame, p);
    if (!carried) return carried.error();
    const bool v4 = p.ethertype == kIpv4;
    const View l4{frame, carried->at};
    const bool udp = carried->protocol == kUdp;
    if (udp && l4.left() < 4) return WEFT_R_NONE;
    const Ip &to = p.destination;
    const bool to_node =
        world.nodes.contains(to) || world.peers.contains(to) || (in_any(world.own, to) && !endpoint_of(world, to));
    const bool tunnel = udp ? l4.u16(2) == 8472 || l4.u16(2) == 8285 : carried->protocol == kIpip;
    if (tunnel && to_node) return WEFT_R_POD_TUNNEL;
    if (udp) return is_dhcp_answer(p, l4) ? WEFT_R_POD_DHCP : WEFT_R_NONE;
    if (v4) return carried->protocol == kIcmp && l4.left() >= 1 && l4.u8(0) == 5 ? WEFT_R_POD_ROUTER : WEFT_R_NONE;
    if (carried->protocol != kIcmp6 || l4.left() < 8) return WEFT_R_NONE;
    if (l4.u8(0) == 134 || l4.u8(0) == 137) return WEFT_R_POD_ROUTER;
    if (l4.u8(0) != 136 || l4.left() < 24) return WEFT_R_NONE;
    const Ip target = l4.ip6(8);
    if (is_mapped(target)) return WEFT_R_POD_ND;
    if (auto *own = own_endpoint(world, ifindex, target)) {
        if (can_be_a_pods(View{frame}.mac(6), *own)) own->pod_mac = abi::mac(View{frame}.mac(6));
        return WEFT_R_NONE;
    }
    return target.to_v6().is_link_local() || is_allowed(world, ifindex, target) ? WEFT_R_NONE : WEFT_R_POD_ND;
}

/// A packet that the pod may send.
Expected routed_from_pod(World &world, unsigned ifindex, const Bytes &frame, const Packet &p) {
    const auto left = [&](weft_reason reason) { return Expected{reason, frame}; };
    if (!in_any(world.networks, p.destination)) return left(WEFT_R_NOT_POD_NETWORK);
    const bool own = in_any(world.own, p.destination);
    const auto *lease = own ? nullptr : lease_of(world, p.destination);
    const auto *pod = lease ? nullptr : endpoint_of(world, p.destination);
    if (!lease && !pod) return left(own ? WEFT_R_NO_POD : WEFT_R_NO_LEASE);
    const auto *self = own_endpoint(world, ifindex, p.source);
    if (!self) return left(WEFT_R_NOT_OWN_SOURCE);
    if (wants_stack(*self)) return left(WEFT_R_POD_PREFERS_STACK);
    const auto flow = flow_source(frame, p);
    if (!flow) return left(flow.error());
    if (*flow != p.source) return left(WEFT_R_L4_UNTRACKED);
    if (p.protocol == kUdp && is_dhcp_answer(p, {frame, p.at + p.header()})) return left(WEFT_R_POD_DHCP);
    if (lease) {
        if (frame.size() - kEth > lease->mtu) return left(WEFT_R_TOO_BIG);
        if (lease->flags & WEFT_LEASE_OUTER_CSUM) return {WEFT_R_VIA_DRIVER, for_driver(world, *lease, frame, p, true)};
        return pushed(world, *lease, frame, p, true);
    }
    if (wants_stack(*pod)) return left(WEFT_R_POD_PREFERS_STACK);
    auto out = frame;
    one_hop_less(out, kEth, p.ethertype);
    put_mac(out, 0, abi::mac(pod->pod_mac)), put_mac(out, 6, abi::mac(pod->host_mac));
    return {WEFT_R_TO_POD, out};
}

} // namespace

Expected from_pod(World &world, unsigned ifindex, const Bytes &frame) {
    const View eth{frame};
    const auto left = [&](weft_reason reason) { return Expected{reason, frame}; };
    if (eth.u16(12) == kArp) return left(judge_arp(world, ifindex, eth));
    if (!is_ip(eth.u16(12))) return left(WEFT_R_NOT_IP);
    const auto p = ip_packet(eth.from(kEth), eth.u16(12));
    if (!p) return left(p.error());
    if (const auto refused = refused_source(world, ifindex, frame, *p)) return left(refused);
    auto out = routed_from_pod(world, ifindex, frame, *p);
    const unsigned reason = out.reason;
    if (reason < WEFT_R_FIRST_STACK || reason >= WEFT_R_FIRST_DROP) return out;
    const auto refused = refused_for_stack(world, ifindex, frame, *p);
    return refused ? left(refused) : out;
}

Expected from_host(const World &world, const Bytes &frame) {
    const View eth{frame};
    const auto left = [&](weft_reason reason) { return Expected{reason, frame}; };
    if (!is_ip(eth.u16(12))) return left(WEFT_R_TUNNEL_NOT_IP);
    const auto p = ip_packet(eth.from(kEth), eth.u16(12));
    if (!p) return left(WEFT_R_BAD_IP);
    const Ip &to = p->destination;
    if (to.is_v4() ? to.to_v4().is_multicast() : to.to_v6().is_multicast() || to.to_v6().is_link_local())
        return left(WEFT_R_LINK_SCOPE);
    const auto *lease = lease_of(world, to);
    if (!lease || lease->encap == WEFT_ENCAP_NONE) return left(WEFT_R_NO_ROUTE);
    const bool too_big = frame.size() - kEth > lease->mtu;
    const bool driver = lease->flags & WEFT_LEASE_OUTER_CSUM;
    if (!driver && !too_big) return pushed(world, *lease, frame, *p, false);
    if (lease->encap != WEFT_ENCAP_VXLAN && lease->encap != WEFT_ENCAP_VXLAN6) return left(WEFT_R_CANNOT_PUSH);
    return {WEFT_R_KERNEL_ENCAP, for_driver(world, *lease, frame, *p, false)};
}

Expected from_wire(const World &world, const Bytes &frame) {
    auto r = received(world, frame);
    if (!r) return {r.error(), frame};
    const auto encap = r->outer.encap;
    if (!r->left_to_stack && r->outer.ethertype != r->inner.ethertype && !world.pops_other_family)
        r->left_to_stack = WEFT_R_OTHER_FAMILY;
    if (!r->left_to_stack) return {WEFT_R_DECAP_TO_POD, for_pod(frame, *r)};
    if (encap == WEFT_ENCAP_VXLAN || encap == WEFT_ENCAP_VXLAN6) return {r->left_to_stack, frame};
    auto out = without_outer(frame, *r);
    put_mac(out, 0, world.vtep_mac);
    return {WEFT_R_DECAP_TO_HOST, out};
}

Expected xdp_wire(const World &world, const Bytes &frame) {
    const auto r = received(world, frame);
    if (!r) return {r.error(), frame};
    if (r->left_to_stack) return {r->left_to_stack, frame};
    if (r->outer.encap == WEFT_ENCAP_DIRECT) return {WEFT_R_NOT_OVERLAY, frame};
    return {WEFT_R_XDP_POPPED, for_pod(frame, *r)};
}

bool normalise(Bytes &packet, weft_encap pushed) {
    if (pushed == WEFT_ENCAP_NONE || pushed == WEFT_ENCAP_DIRECT) return true;
    const bool v4 = pushed != WEFT_ENCAP_VXLAN6;
    const View ip{packet, kEth};
    if (v4) {
        unsigned long sum = 0;
        for (std::size_t word = 0; word < 20; word += 2) sum += ip.u16(word);
        if (folded(sum) != 0xffff) return false;
        put16(packet, kEth + 4, 0), put16(packet, kEth + 10, 0);
    } else {
        packet.at(kEth + 1) &= 0xf0, put16(packet, kEth + 2, 0);
    }
    if (pushed != WEFT_ENCAP_VXLAN && pushed != WEFT_ENCAP_VXLAN6) return true;
    const std::size_t udp = kEth + (v4 ? 20 : 40);
    const unsigned port = View{packet, udp}.u16(0);
    put16(packet, udp, 0);
    return port >= 32768 && port <= 60999;
}

} // namespace weft::prog_run::model

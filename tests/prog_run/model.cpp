// SPDX-License-Identifier: Apache-2.0
#include "model.hpp"

#include <algorithm>
#include <expected>
#include <optional>

#include "model_packet.hpp"

namespace weft::prog_run::model {
namespace {

// --- changes ----------------------------------------------------------------------------------------------------------

void put16(Bytes &bytes, std::size_t at, unsigned value) {
    bytes.at(at) = static_cast<std::uint8_t>(value >> 8);
    bytes.at(at + 1) = static_cast<std::uint8_t>(value);
}
void put_mac(Bytes &bytes, std::size_t at, const Mac &mac) {
    std::ranges::copy(mac.bytes, bytes.begin() + static_cast<long>(at));
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
    std::size_t end = 0;   ///< by the outermost header's word
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
    if (View{at.bytes, at.at}.left() < 8) return std::unexpected(WEFT_R_TRUNCATED);
    const bool fits = at.left() == at.u16(4);
    if (v4 && at.u16(2) == 8285) {
        if (!fits) return std::unexpected(WEFT_R_TRUNCATED);
        outer.encap = WEFT_ENCAP_UDP, outer.inner = at.at + 8, outer.inner_ethertype = kIpv4;
        return outer;
    }
    if (at.u16(2) != 8472) return std::unexpected(WEFT_R_NOT_OVERLAY);
    const View vxlan = at.from(8);
    if (View{at.bytes, vxlan.at}.left() < 8 + kEth || !fits) return std::unexpected(WEFT_R_TRUNCATED);
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
    Outer outer{.end = frame.size(), .ethertype = eth.u16(12), .source = {}, .link_mac = eth.mac(6)};
    if (!is_ip(outer.ethertype)) return std::unexpected(WEFT_R_NOT_IP);
    const bool v4 = outer.ethertype == kIpv4;
    if (ip.left() < (v4 ? 20 : 40)) return std::unexpected(WEFT_R_TRUNCATED);
    if (ip.u8(0) >> 4 != (v4 ? 4 : 6)) return std::unexpected(WEFT_R_NOT_OVERLAY);
    outer.source = v4 ? ip.ip4(12) : ip.ip6(8);
    outer.tos = v4 ? ip.u8(1) : ip.u16(0) >> 4 & 0xff;
    const Ip destination = v4 ? ip.ip4(16) : ip.ip6(24);
    // Perhaps without any tunnel: no pod's address may come so. (In this world nobody knows nodes' MACs by the kernel.)
    const auto bare = [&](weft_reason otherwise = WEFT_R_NOT_OVERLAY) {
        if (!in_any(world.networks, outer.source)) return otherwise;
        if (in_any(world.own, outer.source)) return WEFT_R_OWN_SOURCE;
        if (in_any(world.networks, destination)) return WEFT_R_BARE_SOURCE;
        return lease_of(world, outer.source) ? otherwise : WEFT_R_SPOOFED_SOURCE;
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
        if ((ip.u16(6) & 0x3fff) != 0) return std::unexpected(bare(WEFT_R_OUTER_FRAGMENT));
        if ((ip.u8(0) & 15) != 5) return std::unexpected(bare(WEFT_R_IP_OPTIONS));
    } else if (protocol == 44) {
        return std::unexpected(bare(WEFT_R_OUTER_FRAGMENT));
    }
    const auto length = said_length(ip, v4);
    if (length > ip.left()) return std::unexpected(WEFT_R_TRUNCATED);
    outer.end = ip.at + length;
    if (v4 && !is_summed_up(ip)) return std::unexpected(WEFT_R_BAD_IP);
    if (!v4 && extension(protocol)) return std::unexpected(bare(WEFT_R_EXT_HEADERS));
    auto found = tunnel(world, {frame, ip.at + (v4 ? 20 : 40), outer.end}, protocol, outer);
    if (!found && found.error() == WEFT_R_NOT_OVERLAY) return std::unexpected(bare());
    if (found && found->end < found->inner) return std::unexpected(WEFT_R_TRUNCATED);
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

/// Nodes send what is for this one, or for its pods.
weft_reason check_destination(const World &world, const Ip &to) {
    if (endpoint_of(world, to) || in_any(world.own, to)) return WEFT_R_NONE;
    if (is_martian(to)) return WEFT_R_MARTIAN_DESTINATION;
    return world.nodes.contains(to) ? WEFT_R_NONE : WEFT_R_OTHER_DESTINATION;
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
    const auto inner = ip_packet({frame, outer->inner, outer->end}, outer->inner_ethertype);
    if (!inner) return std::unexpected(inner.error());
    if (const auto refused = check_sender(world, *outer, *inner)) return std::unexpected(refused);
    const auto ecn = ecn_after(outer->tos, inner->tos);
    if (!ecn) return std::unexpected(WEFT_R_BAD_ECN);
    Received r{.outer = *outer, .inner = *inner, .ecn = *ecn, .pod = endpoint_of(world, inner->destination)};
    if (const auto refused = check_destination(world, inner->destination)) return std::unexpected(refused);
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

/// Router and neighbour discovery (RFC 4861) is a link's.
bool is_discovery(const Bytes &frame, const Packet &p) {
    if (p.ethertype != kIpv6) return false;
    const auto carried = carried_by(frame, p);
    if (!carried) return carried.error() == WEFT_R_POD_HEADERS;
    const View l4{frame, carried->at};
    return carried->protocol == kIcmp6 && l4.left() >= 1 && l4.u8(0) >= 133 && l4.u8(0) <= 137;
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
    if (is_discovery(frame, r->inner)) return {WEFT_R_INNER_DISCOVERY, frame};
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

Expected from_tunnel(const World &world, const std::optional<TunnelKey> &key, std::uint32_t mark, const Bytes &frame) {
    const View eth{frame};
    const auto left = [&](weft_reason reason) { return Expected{reason, frame}; };
    if (!key) return left(mark == kReceivedMark ? WEFT_R_CHECKED : WEFT_R_NO_TUNNEL_KEY);
    if (key->vni != 1) return left(WEFT_R_WRONG_VNI);
    if (!is_ip(eth.u16(12))) return left(WEFT_R_INNER_OTHER);
    if (eth.mac(0) != world.vtep_mac) return left(WEFT_R_WRONG_INNER_MAC);
    const auto p = ip_packet(eth.from(kEth), eth.u16(12));
    if (!p) return left(p.error());
    const Outer outer{.encap = WEFT_ENCAP_VXLAN, .source = key->sender, .link_mac = {}};
    if (const auto refused = check_sender(world, outer, *p)) return left(refused);
    if (const auto refused = check_destination(world, p->destination)) return left(refused);
    return left(is_discovery(frame, *p) ? WEFT_R_INNER_DISCOVERY : WEFT_R_CHECKED);
}

bool normalise(Bytes &packet, weft_encap pushed) {
    if (pushed == WEFT_ENCAP_NONE || pushed == WEFT_ENCAP_DIRECT) return true;
    const bool v4 = pushed != WEFT_ENCAP_VXLAN6;
    const View ip{packet, kEth};
    if (v4) {
        if (!is_summed_up(ip)) return false;
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

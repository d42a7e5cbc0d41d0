// SPDX-License-Identifier: Apache-2.0
// IPv6 pods and IPv6 between nodes: what is other than with IPv4.
#include "harness.hpp"

#include <netinet/in.h>

namespace weft::prog_run {
namespace {

using namespace world;

constexpr std::size_t kOuter6 = 40, kHops = 7;

Bytes framed(const Tins::PDU &inner) { return bytes_of(eth(kPodHostMac, kPodMac) / inner); }

/// VXLAN over IPv6 as the peer sends it.
Bytes tunnel6(const Bytes &inner, std::uint16_t ethertype, const Ip6 &src = kPeer6, std::uint8_t outer_class = 0) {
    const auto over4 = tunnel_raw(inner, ethertype);
    const Bytes vxlan(over4.begin() + kEthLen + 20 + 8, over4.end());
    return framed(ip6(src, kNode6, 64, outer_class) / udp(WEFT_DEFAULT_PORT, 50000) / Tins::RawPDU(vxlan));
}
Bytes tunnel6(const Tins::IPv6 &inner, const Ip6 &src = kPeer6, std::uint8_t outer_class = 0) {
    return tunnel6(bytes_of(inner), 0x86dd, src, outer_class);
}

Bytes tail(const Bytes &packet, std::size_t from) {
    return {packet.begin() + static_cast<std::ptrdiff_t>(from), packet.end()};
}

/// The same bytes but for the hop that was taken.
void expect_one_hop(const Bytes &before, Bytes after) {
    ASSERT_EQ(after.size(), before.size());
    EXPECT_EQ(after[kHops], before[kHops] - 1);
    after[kHops] = before[kHops];
    EXPECT_EQ(after, before);
}

void expect_pushed6(const Bytes &in, const Outcome &out) {
    ASSERT_EQ(out.packet.size(), in.size() + WEFT_VXLAN6_OVERHEAD);
    // Not the frame: the outer Ethernet header is written behind the program, where the neighbour is found.
    const Tins::IPv6 outer(out.packet.data() + kEthLen, static_cast<std::uint32_t>(out.packet.size() - kEthLen));
    const auto &datagram = outer.rfind_pdu<Tins::UDP>();
    EXPECT_EQ(outer.src_addr().to_string(), kNode6.to_string());
    EXPECT_EQ(outer.dst_addr().to_string(), kPeer6.to_string());
    EXPECT_EQ(outer.hop_limit(), 64);
    EXPECT_EQ(outer.payload_length(), out.packet.size() - kEthLen - kOuter6);
    EXPECT_EQ(datagram.dport(), WEFT_DEFAULT_PORT);
    EXPECT_EQ(datagram.length(), outer.payload_length());
    EXPECT_EQ(be16(out.packet, kEthLen + kOuter6 + 6), 0) << "RFC 6935: none";
    EXPECT_EQ(be16(out.packet, kEthLen + WEFT_VXLAN6_OVERHEAD - 2), be16(in, 12)) << "inner ethertype";
    EXPECT_EQ(out.peer.tx_packets, 1U);
}

void expect_pushed_6in6(const Bytes &in, const Outcome &out) {
    expect_pushed6(in, out);
    if (::testing::Test::HasFatalFailure()) return;
    expect_one_hop(tail(in, kEthLen), tail(out.packet, kEthLen + WEFT_VXLAN6_OVERHEAD));
    const int inner_class = (in[kEthLen] & 0x0f) << 4 | in[kEthLen + 1] >> 4;
    const int outer_class = (out.packet[kEthLen] & 0x0f) << 4 | out.packet[kEthLen + 1] >> 4;
    EXPECT_EQ(outer_class, inner_class & 3) << "ECN copied, DSCP not";
}

void expect_pushed_6in4(const Bytes &in, const Outcome &out) {
    ASSERT_EQ(out.packet.size(), in.size() + kOverhead);
    EXPECT_EQ(be16(out.packet, kInnerIp - 2), 0x86dd);
    EXPECT_TRUE(ip_checksum_ok(out.packet, kEthLen));
    expect_one_hop(tail(in, kEthLen), tail(out.packet, kInnerIp));
}

void expect_delivered(const Bytes &in, const Outcome &out) {
    ASSERT_GE(in.size(), out.packet.size());
    expect_one_hop(tail(in, in.size() - out.packet.size() + kEthLen), tail(out.packet, kEthLen));
    EXPECT_EQ(Bytes(out.packet.begin(), out.packet.begin() + 6), Bytes(kPodMac.bytes.begin(), kPodMac.bytes.end()));
    EXPECT_EQ(be16(out.packet, 12), 0x86dd);
}

void expect_keyed(const Bytes &in, const Outcome &out) {
    ASSERT_EQ(out.packet.size(), in.size());
    EXPECT_EQ(Bytes(out.packet.begin(), out.packet.begin() + 6),
              Bytes(kPeerVtepMac.bytes.begin(), kPeerVtepMac.bytes.end()));
    EXPECT_EQ(out.peer.tx_packets, 1U);
}

/// As RFC 8200 numbers them, in front of what the header announces.
Bytes with_extension(Bytes packet, std::size_t ip_offset, std::uint8_t type) {
    packet[ip_offset + 6] = type;
    return packet;
}

Bytes icmp_error(const Tins::IPv6 &about, std::uint8_t type = 1) {
    auto quoted = bytes_of(about);
    Bytes body{type, 0, 0, 0, 0, 0, 0, 0};
    body.insert(body.end(), quoted.begin(), quoted.end());
    auto packet = framed(ip6(kPod6, kPeerPod6) / Tins::RawPDU(body));
    packet[kEthLen + 6] = IPPROTO_ICMPV6;
    return packet;
}

const Bytes kTcp = framed(ip6(kPod6, kPeerPod6) / tcp() / Tins::RawPDU("payload"));
const Bytes kFits = framed(ip6(kPod6, kPeerPod6) / udp() / Tins::RawPDU(std::string(kMtu - 20 - 48, 'x')));
const Bytes kTooBig = framed(ip6(kPod6, kPeerPod6) / udp() / Tins::RawPDU(std::string(kMtu - 20 - 47, 'x')));

const Row kFromPod[] = {
    {"TCP over IPv6 is pushed into IPv6", kTcp, "encap", expect_pushed_6in6},
    {"UDP over IPv6 is pushed into IPv6", framed(ip6(kPod6, kPeerPod6) / udp() / Tins::RawPDU("q")), "encap",
     expect_pushed_6in6},
    {"CE is copied outwards", framed(ip6(kPod6, kPeerPod6, 64, 0xbb) / tcp()), "encap", expect_pushed_6in6},
    {"exactly the MTU is pushed", kFits, "encap", expect_pushed_6in6},
    {"one byte over is the kernels to answer", kTooBig, "too_big"},
    {"IPv6 inside IPv4", framed(ip6(kPod6, kMixedPod6) / tcp()), "encap", expect_pushed_6in4},
    {"IPv4 inside IPv6", framed(ip(kPod, kMixedPod) / tcp()), "encap", expect_pushed6},
    {"a node that wants checksums gets them from the driver", framed(ip6(kPod6, kDriverPod6) / tcp()), "via_driver",
     [](const Bytes &in, const Outcome &out) {
         expect_keyed(in, out);
         EXPECT_EQ(out.packet[kEthLen + kHops], in[kEthLen + kHops] - 1);
     }},
    {"without outer headers", framed(ip6(kPod6, kDirectPod6) / tcp()), "encap",
     [](const Bytes &in, const Outcome &out) { expect_one_hop(tail(in, kEthLen), tail(out.packet, kEthLen)); }},
    {"a pod on the same node gets it directly", framed(ip6(kPod6, kNeighbourPod6) / tcp()), "to_pod", expect_delivered},
    {"hop limit 2 is forwarded", framed(ip6(kPod6, kPeerPod6, 2) / tcp()), "encap", expect_pushed_6in6},
    {"hop limit 1 is the kernels to answer", framed(ip6(kPod6, kPeerPod6, 1) / tcp()), "ttl_expiring"},
    {"no such pod in our subnet", framed(ip6(kPod6, kNoPod6) / tcp()), "no_pod"},
    {"a subnet nobody leases", framed(ip6(kPod6, kNoLease6) / tcp()), "no_lease"},
    {"the world outside", framed(ip6(kPod6, kOutside6) / tcp()), "not_pod_network"},
    {"neighbour discovery", framed(ip6(kPod6, *parse_ip6("ff02::1:ff00:1"), 255) / Tins::ICMPv6()), "not_pod_network"},
    {"ping takes the stack", framed(ip6(kPod6, kPeerPod6) / Tins::ICMPv6()), "l4_untracked"},
    {"an error goes the way of its flow", icmp_error(ip6(kPeerPod6, kPod6) / udp()), "encap", expect_pushed_6in6},
    {"packet too big does too", icmp_error(ip6(kPeerPod6, kPod6) / tcp(), 2), "encap", expect_pushed_6in6},
    {"an error about somebody elses flow", icmp_error(ip6(kPeerPod6, kNeighbourPod6) / udp()), "l4_untracked"},
    {"an error to one who did not send what it quotes", icmp_error(ip6(kOutside6, kPod6) / udp()), "l4_untracked"},
    {"an error about a packet to an IPv4 mapped address",
     icmp_error(ip6(kPeerPod6, *parse_ip6("::ffff:10.244.63.3")) / udp()), "l4_untracked"},
    {"an ICMPv6 type that is no error", icmp_error(ip6(kPeerPod6, kPod6) / udp(), 135), "l4_untracked"},
    {"hop by hop options take the stack", with_extension(kTcp, kEthLen, 0), "ext_headers"},
    {"a routing header takes the stack", with_extension(kTcp, kEthLen, 43), "ext_headers"},
    {"an authentication header takes the stack", with_extension(kTcp, kEthLen, 51), "ext_headers"},
    {"destination options take the stack", with_extension(kTcp, kEthLen, 60), "ext_headers"},
    {"a mobility header takes the stack", with_extension(kTcp, kEthLen, 135), "ext_headers"},
    {"a fragment takes the stack", with_extension(kTcp, kEthLen, 44), "fragment"},
    {"ESP takes the stack", with_extension(kTcp, kEthLen, 50), "l4_untracked"},
    {"no next header takes the stack", with_extension(kTcp, kEthLen, 59), "l4_untracked"},
    {"somebody elses source address", framed(ip6(kNeighbourPod6, kPeerPod6) / tcp()), "pod_source"},
    {"version 4 in an IPv6 frame", patched(kTcp, kEthLen, {0x45}), "bad_ip"},
    {"a payload length beyond the frame", patched(kTcp, kEthLen + 4, {0x7f, 0xff}), "bad_ip"},
    {"an IPv4 mapped destination reaches no IPv4 pod", framed(ip6(kPod6, *parse_ip6("::ffff:10.244.63.3")) / tcp()),
     "bad_ip"},
    {"an IPv4 mapped source is nobody", framed(ip6(*parse_ip6("::ffff:10.244.63.2"), kPeerPod6) / tcp()), "bad_ip"},
};

class Ipv6FromPod : public ::testing::TestWithParam<Row> {};
TEST_P(Ipv6FromPod, Row) { expect_row(WEFT_HOOK_FROM_POD, GetParam()); }
INSTANTIATE_TEST_SUITE_P(Table, Ipv6FromPod, ::testing::ValuesIn(kFromPod), row_name);

const Row kFromHost[] = {
    {"pushed into IPv6", framed(ip6(kOutside6, kPeerPod6) / Tins::ICMPv6()), "encap", expect_pushed6},
    {"pushed into IPv4", framed(ip6(kOutside6, kMixedPod6) / tcp()), "encap"},
    {"over the path MTU the driver pushes", kTooBig, "kernel_encap", expect_keyed},
    {"a node that wants checksums gets them from the driver", framed(ip6(kOutside6, kDriverPod6) / tcp()),
     "kernel_encap", expect_keyed},
    {"what a pods program has keyed goes to the driver as it is",
     kTcp,
     "kernel_encap",
     [](const Bytes &in, const Outcome &out) {
         EXPECT_EQ(out.packet, in);
         EXPECT_EQ(out.mark, 0U);
     },
     {.mark = 0x77656b79}},
    {"router solicitations end here", framed(ip6(*parse_ip6("fe80::1"), *parse_ip6("ff02::2"), 255) / Tins::ICMPv6()),
     "link_scope"},
    {"link local addresses end here", framed(ip6(*parse_ip6("fe80::1"), *parse_ip6("fe80::2")) / tcp()), "link_scope"},
    {"a subnet nobody leases", framed(ip6(kOutside6, kNoLease6) / tcp()), "no_route"},
    {"site local addresses are nobodys", framed(ip6(kOutside6, *parse_ip6("fec0::1")) / tcp()), "no_route"},
    {"GSO of an unknown kind without outer headers",
     framed(ip6(kOutside6, kDirectPod6) / Tins::ICMPv6()),
     "encap",
     nullptr,
     {.gso_size = 1000, .gso_segs = 2}},
    {"an IPv4 mapped destination", framed(ip6(kOutside6, *parse_ip6("::ffff:10.244.86.2")) / tcp()), "bad_ip"},
};

class Ipv6FromHost : public ::testing::TestWithParam<Row> {};
TEST_P(Ipv6FromHost, Row) {
    auto row = GetParam();
    if (row.sentence == "pushed into IPv4")
        row.check = [](const Bytes &in, const Outcome &out) {
            EXPECT_EQ(tail(out.packet, kInnerIp), tail(in, kEthLen)) << "the stack has taken its hop";
        };
    expect_row(WEFT_HOOK_FROM_HOST, row);
}
INSTANTIATE_TEST_SUITE_P(Table, Ipv6FromHost, ::testing::ValuesIn(kFromHost), row_name);

/// The kernel says of no GSO packet here what it consists of, so all go to the driver, whatever their headers say.
TEST(Ipv6FromHostAlone, GsoOfEveryKindGoesToTheDriver) {
    const auto quoted = bytes_of(ip(kPeerPod, kPod) / udp());
    const auto error = ip(kPod, kPeerPod) / Tins::ICMP(Tins::ICMP::DEST_UNREACHABLE) / Tins::RawPDU(quoted);
    const auto tcp4 = framed(ip(kPod, kPeerPod) / tcp()), udp4 = framed(ip(kPod, kPeerPod) / udp());
    const auto tcp6 = framed(ip6(kPod6, kPeerPod6) / tcp()), udp6 = framed(ip6(kPod6, kPeerPod6) / udp());
    for (const auto &packet :
         {tcp4, udp4, tcp6, udp6, framed(error), icmp_error(ip6(kPeerPod6, kPod6) / udp()),
          framed(ip(kPod, kPeerPod) / Tins::ICMP()), framed(ip6(kPod6, kPeerPod6) / Tins::ICMPv6()),
          patched_ip4(tcp4, kEthLen, 9, {132}), patched(tcp6, kEthLen + 6, {132}), patched(tcp6, kEthLen + 6, {60}),
          patched_ip4(tcp4, kEthLen, 2, {0, 30}), patched_ip4(udp4, kEthLen, 2, {0, 27})})
        expect_row(WEFT_HOOK_FROM_HOST, {"",
                                         packet,
                                         "kernel_encap",
                                         [](const Bytes &in, const Outcome &out) {
                                             EXPECT_EQ(tail(out.packet, kEthLen), tail(in, kEthLen));
                                             EXPECT_EQ(out.peer.tx_packets, 2U);
                                         },
                                         {.gso_size = 1000, .gso_segs = 2}});
}

Tins::IPv6 inner(std::uint8_t hops = 63, std::uint8_t traffic_class = 0) {
    return ip6(kPeerPod6, kPod6, hops, traffic_class);
}
const Bytes kGood = tunnel6(inner() / tcp() / Tins::RawPDU("payload"));
constexpr std::size_t kInner6 = kEthLen + WEFT_VXLAN6_OVERHEAD;
Tins::IPv6 from_mixed() { return ip6(kMixedPod6, kPod6, 63) / tcp(); }

/// What both programs of the uplink must judge alike. Reason "" is a packet that is popped and delivered.
const Row kFromWire[] = {
    {"IPv6 inside IPv6 is delivered", kGood, ""},
    {"IPv6 inside IPv4 is delivered", tunnel_raw(bytes_of(from_mixed()), 0x86dd), ""},
    {"UDP is delivered", tunnel6(inner() / udp() / Tins::RawPDU("q")), ""},
    {"an outer checksum is fine", patched(kGood, kEthLen + kOuter6 + 6, {0x12, 0x34}), ""},
    {"outer CE inner Not ECT", tunnel6(inner() / tcp(), kPeer6, 3), "bad_ecn"},
    {"a sender without a lease", tunnel6(inner() / tcp(), *parse_ip6("2001:db8::66")), "unknown_sender"},
    {"a node that speaks as another nodes pod", tunnel6(ip6(kNoLease6, kPod6) / tcp()), "spoofed_source"},
    {"a node that speaks as its pod in the other family", tunnel6(from_mixed()), "spoofed_source"},
    {"a source outside the pod network", tunnel6(ip6(kOutside6, kPod6) / tcp()), "source_outside"},
    {"no such pod", tunnel6(ip6(kPeerPod6, kNoPod6) / tcp()), "no_pod"},
    {"ping", tunnel6(inner() / Tins::ICMPv6()), "l4_untracked"},
    {"hop limit 1", tunnel6(inner(1) / tcp()), "ttl_expiring"},
    {"an inner extension header", with_extension(kGood, kInner6, 0), "ext_headers"},
    {"an inner fragment", with_extension(kGood, kInner6, 44), "fragment"},
    {"an outer fragment", with_extension(kGood, kEthLen, 44), "outer_fragment"},
    {"outer hop by hop options", with_extension(kGood, kEthLen, 0), "ext_headers"},
    {"IPv4 behind the ethertype of IPv6", tunnel6(bytes_of(ip(kPeerPod, kPod) / tcp()), 0x86dd), "bad_ip"},
    {"IPv6 behind the ethertype of IPv4", tunnel6(bytes_of(inner() / tcp()), 0x0800), "bad_ip"},
    {"an IPv4 mapped inner destination", tunnel6(ip6(kPeerPod6, *parse_ip6("::ffff:10.244.63.2")) / tcp()), "bad_ip"},
    {"an IPv4 mapped outer source", tunnel6(inner() / tcp(), *parse_ip6("::ffff:192.0.2.1")), "bad_ip"},
    {"another node", patched(kGood, kEthLen + 39, {0x77}), "not_overlay"},
    {"TCP to the node", framed(ip6(kPeer6, kNode6) / tcp(WEFT_DEFAULT_PORT)), "not_overlay"},
    {"an outer length beyond the frame", patched(kGood, kEthLen + 4, {0x05, 0x00}), "truncated"},
    {"an outer length that ends in the inner packet", patched(kGood, kEthLen + 4, {0x00, 0x50}), "truncated"},
    {"an inner length that ends in the TCP header", patched(kGood, kInner6 + 4, {0x00, 0x13}), "truncated"},
    {"no inner length", patched(kGood, kInner6 + 4, {0x00, 0x00}), "truncated"},
    {"a destination elsewhere", tunnel6(ip6(kPeerPod6, kNoLease6) / tcp()), "other_destination"},
    {"a frame cut inside the VXLAN header", cut(kGood, kEthLen + kOuter6 + 12), "truncated"},
    {"a frame cut inside the inner header", cut(kGood, kInner6 + 30), "truncated"},
};

class Ipv6FromWire : public ::testing::TestWithParam<Row> {};
TEST_P(Ipv6FromWire, Tc) {
    auto row = GetParam();
    if (row.reason.empty()) row.reason = "decap_to_pod", row.check = expect_delivered;
    expect_row(WEFT_HOOK_FROM_WIRE, row);
}
TEST_P(Ipv6FromWire, Xdp) {
    auto row = GetParam();
    if (row.reason.empty()) row.reason = "xdp_popped", row.check = expect_delivered;
    expect_row(WEFT_HOOK_XDP_WIRE, row);
}
INSTANTIATE_TEST_SUITE_P(Table, Ipv6FromWire, ::testing::ValuesIn(kFromWire), row_name);

TEST(Ipv6FromWireAlone, IPv4InsideIPv6IsDelivered) {
    expect_row(WEFT_HOOK_FROM_WIRE, {"", tunnel6(bytes_of(ip(kMixedPod, kPod) / tcp()), 0x0800), "decap_to_pod",
                                     [](const Bytes &, const Outcome &out) {
                                         EXPECT_EQ(be16(out.packet, 12), 0x0800);
                                         EXPECT_TRUE(ip_checksum_ok(out.packet, kEthLen));
                                     }});
}

TEST(Ipv6FromWireAlone, WithoutOuterHeaders) {
    WEFT_NEEDS_FEATURE(conntrack_lookup);
    const auto from_peer = [](const Tins::IPv6 &packet) { return bytes_of(eth(kPodHostMac, kPeerLinkMac) / packet); };
    expect_row(WEFT_HOOK_FROM_WIRE, {"", from_peer(ip6(kDirectPod6, kPod6) / tcp()), "decap_to_pod", expect_delivered});
    expect_row(WEFT_HOOK_FROM_WIRE, {"", from_peer(ip6(kNoLease6, kPod6) / tcp()), "spoofed_source"});
}

} // namespace
} // namespace weft::prog_run

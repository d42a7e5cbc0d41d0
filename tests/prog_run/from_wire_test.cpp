// SPDX-License-Identifier: Apache-2.0
// What comes from the wire: one table for tc and XDP, which must judge alike.
#include "harness.hpp"

#include <cstring>

namespace weft::prog_run {
namespace {

using namespace world;

struct WireRow {
    Row row;
    bool popped = false; ///< forwarded: popped and rewritten for the pod
    int ecn = -1;        ///< of the inner packet afterwards; -1: as it was
};

Tins::IP inner(std::uint8_t ttl = 63, std::uint8_t tos = 0) { return ip(kPeerPod, kPod, ttl, tos); }
Tins::IP payload() { return inner() / tcp() / Tins::RawPDU("payload"); }

Tins::IP with_options() {
    auto header = inner();
    header.add_option(Tins::IP::option(Tins::IP::option_identifier(Tins::IP::NOOP, Tins::IP::CONTROL, 0)));
    return header / tcp();
}

Tins::IP fragment() {
    auto header = inner();
    header.flags(Tins::IP::MORE_FRAGMENTS);
    return header / udp() / Tins::RawPDU("12345678");
}

Outer outer(auto set) {
    Outer o;
    set(o);
    return o;
}

WireRow popped(std::string sentence, Bytes packet, int ecn = -1) {
    return {{std::move(sentence), std::move(packet), ""}, true, ecn};
}
WireRow left(std::string sentence, Bytes packet, std::string reason) {
    return {{std::move(sentence), std::move(packet), std::move(reason)}};
}

const Bytes kGood = tunnel(payload());
/// A tunnel packet with a UDP checksum, as the kernel's vxlan driver sends: any value will do, nobody verifies it here.
const Bytes kWithUdpChecksum = patched(kGood, kEthLen + 20 + 6, {0x12, 0x34});
const Bytes kOuterFragment = patched_ip4(kGood, kEthLen, 6, {0x20, 0x00});

/// With an 802.1Q tag. A tag beside the packet, where drivers and the stack put it, cannot be given to a test run.
Bytes tagged(Bytes frame) {
    frame.insert(frame.begin() + 12, {0x81, 0x00, 0x00, 0x07});
    return frame;
}

/// As Ethernet pads what is short.
Bytes with_trailer(Bytes frame) {
    frame.resize(frame.size() + 9);
    return frame;
}

std::vector<WireRow> rows() {
    using enum Tins::IP::Flags;
    const auto tos = [](std::uint8_t t) { return outer([t](Outer &o) { o.tos = t; }); };
    return {
        popped("TCP is popped and delivered", kGood),
        popped("UDP is popped and delivered", tunnel(inner() / udp() / Tins::RawPDU("q"))),
        popped("a non zero outer checksum is fine", kWithUdpChecksum),
        popped("an ICMP error about a flow of the pods from the node between",
               tunnel(ip(*parse_ip4("10.244.86.0"), kPod) / Tins::ICMP(Tins::ICMP::TIME_EXCEEDED) /
                      Tins::RawPDU(bytes_of(ip(kPod, kPeerPod) / tcp())))),
        popped("TTL 2 still goes in", tunnel(inner(2) / tcp())),
        // RFC 6040, section 4.2, row by row of its table
        popped("outer Not ECT inner ECT 0", tunnel(inner(63, 2) / tcp(), tos(0)), 2),
        popped("outer Not ECT inner CE", tunnel(inner(63, 3) / tcp(), tos(0)), 3),
        popped("outer ECT 0 inner Not ECT", tunnel(inner(63, 0) / tcp(), tos(2)), 0),
        popped("outer ECT 1 inner ECT 0", tunnel(inner(63, 2) / tcp(), tos(1)), 1),
        popped("outer ECT 0 inner ECT 1", tunnel(inner(63, 1) / tcp(), tos(2)), 1),
        popped("outer CE inner ECT 0", tunnel(inner(63, 2) / tcp(), tos(3)), 3),
        popped("outer CE inner ECT 1 with DSCP kept", tunnel(inner(63, 0xb9) / tcp(), tos(3)), 3),
        left("outer CE inner Not ECT", tunnel(inner(63, 0) / tcp(), tos(3)), "bad_ecn"),

        left("a source outside the pod network from a known node", tunnel(ip(kOutside, kPod, 60) / tcp()),
             "source_outside"),
        left("another UDP port", tunnel(payload(), outer([](Outer &o) { o.dport = 4789; })), "not_overlay"),
        left("another destination node", tunnel(payload(), outer([](Outer &o) { o.dst = kRouter; })), "not_overlay"),
        left("TCP to the node itself", bytes_of(eth(kPodMac, kPodMac) / ip(kPeer, kNode) / tcp(8472)), "not_overlay"),
        left("a VLAN tag in the frame", tagged(kGood), "not_ip"),
        left("ARP on the uplink", bytes_of(Tins::ARP::make_arp_request("192.0.2.2", "192.0.2.1")), "not_ip"),
        left("an outer fragment", kOuterFragment, "outer_fragment"),
        left("a later outer fragment", patched_ip4(kGood, kEthLen, 6, {0x00, 0x10}), "outer_fragment"),
        left("outer IP options", patched(kGood, kEthLen, {0x46}), "ip_options"),
        left("a frame cut inside the VXLAN header", cut(kGood, kEthLen + 20 + 8 + 4), "truncated"),
        left("a frame cut inside the inner header", cut(kGood, kInnerIp + 12), "truncated"),
        left("the VNI flag missing", tunnel(payload(), outer([](Outer &o) { o.flags = 0; })), "bad_vxlan"),
        left("a reserved flag set", tunnel(payload(), outer([](Outer &o) { o.flags = 0x88000000; })), "bad_vxlan"),
        left("reserved bits behind the VNI", patched(kGood, kEthLen + 35, {0x01}), "bad_vxlan"),
        left("another VNI", tunnel(payload(), outer([](Outer &o) { o.vni = 2; })), "wrong_vni"),
        left("an inner MAC that is not ours", tunnel(payload(), outer([](Outer &o) { o.inner_dst = kPodMac; })),
             "wrong_inner_mac"),
        left("an inner broadcast",
             tunnel(payload(), outer([](Outer &o) { o.inner_dst = *parse_mac("ff:ff:ff:ff:ff:ff"); })),
             "wrong_inner_mac"),
        left("inner ARP", tunnel_raw(Bytes(28), 0x0806), "inner_other"),
        left("inner IPv6 to nobody", tunnel_raw(bytes_of(ip6(kOutside6, kOutside6) / tcp()), 0x86dd),
             "other_destination"),
        left("an inner VLAN tag", tunnel_raw(Bytes(40), 0x8100), "inner_other"),
        left("a sender without a lease", tunnel(payload(), outer([](Outer &o) { o.src = kStranger; })),
             "unknown_sender"),
        left("a node that speaks as another nodes pod", tunnel(ip(kNoLease, kPod) / tcp()), "spoofed_source"),
        left("a node that speaks as our own pod", tunnel(ip(kNeighbourPod, kPod) / tcp()), "own_source"),
        left("no such pod", tunnel(ip(kPeerPod, kNoPod) / tcp()), "no_pod"),
        left("the nodes own tunnel address", tunnel(ip(kPeerPod, *parse_ip4("10.244.63.0")) / tcp()), "no_pod"),
        left("a pod whose qdisc must see packets", tunnel(ip(kPeerPod, kStackPod) / tcp()), "pod_prefers_stack"),
        left("a pod whose qdisc weftd has seen", tunnel(ip(kPeerPod, kShapedPod) / tcp()), "pod_prefers_stack"),
        left("ICMP", tunnel(inner() / Tins::ICMP()), "l4_untracked"),
        left("TTL 1", tunnel(inner(1) / tcp()), "ttl_expiring"),
        left("inner options", tunnel(with_options()), "ip_options"),
        left("an inner fragment", tunnel(fragment()), "fragment"),
        left("an inner header length below the minimum", patched(kGood, kInnerIp, {0x44}), "bad_ip"),
        left("an inner length beyond the frame", patched_ip4(kGood, kInnerIp, 2, {0x05, 0x00}), "bad_ip"),
        left("an inner length below the header", patched_ip4(kGood, kInnerIp, 2, {0x00, 0x10}), "bad_ip"),
        left("no inner length", patched_ip4(kGood, kInnerIp, 2, {0x00, 0x00}), "bad_ip"),
        left("an inner length that ends in the TCP header", patched_ip4(kGood, kInnerIp, 2, {0x00, 0x1c}), "truncated"),
        left("a wrong inner header checksum", patched(kGood, kInnerIp + 10, {0x12, 0x34}), "bad_ip"),
        popped("padding behind the outer packet", with_trailer(kGood)),
        left("an outer length beyond the frame", patched_ip4(kGood, kEthLen, 2, {0x05, 0x00}), "truncated"),
        left("an outer length that ends in the inner packet", patched_ip4(kGood, kEthLen, 2, {0x00, 0x50}),
             "truncated"),
        left("a wrong outer header checksum", patched(kGood, kEthLen + 10, {0x12, 0x34}), "bad_ip"),
        left("a UDP length beyond the packet", patched(kGood, kEthLen + 24, {0x05, 0x00}), "truncated"),
        left("a UDP length that ends in the inner packet", patched(kGood, kEthLen + 24, {0x00, 0x30}), "truncated"),
        left("a tunnel inside the tunnel to the node", tunnel(ip(kPeerPod, kNode) / udp(8472) / Tins::RawPDU("x")),
             "no_pod"),
    };
}

std::string wire_row_name(const ::testing::TestParamInfo<WireRow> &info) {
    return row_name(::testing::TestParamInfo<Row>(info.param.row, info.index));
}
void PrintTo(const WireRow &row, std::ostream *os) { PrintTo(row.row, os); }

/// Popped: the inner packet in a frame for the pod, one hop older, with the ECN field that RFC 6040 gives it.
void expect_popped(const WireRow &row, const Bytes &in, const Outcome &out) {
    ASSERT_EQ(out.packet.size(), in.size() - kOverhead);
    EXPECT_EQ(Bytes(out.packet.begin(), out.packet.begin() + 6), Bytes(kPodMac.bytes.begin(), kPodMac.bytes.end()));
    EXPECT_EQ(Bytes(out.packet.begin() + 6, out.packet.begin() + 12),
              Bytes(kPodHostMac.bytes.begin(), kPodHostMac.bytes.end()));
    EXPECT_EQ(be16(out.packet, 12), 0x0800);
    EXPECT_TRUE(ip_checksum_ok(out.packet, kEthLen));
    EXPECT_EQ(out.packet[kEthLen + 8], in[kInnerIp + 8] - 1);
    const int tos = in[kInnerIp + 1];
    EXPECT_EQ(out.packet[kEthLen + 1], row.ecn < 0 ? tos : (tos & ~3) | row.ecn);
    EXPECT_EQ(Bytes(out.packet.begin() + kEthLen + 12, out.packet.end()), Bytes(in.begin() + kInnerIp + 12, in.end()));
    if (!out.metadata.empty()) { // XDP: the mark that tells the tc program whose it is
        std::uint32_t mark[2]{};
        ASSERT_EQ(out.metadata.size(), sizeof(mark));
        std::memcpy(mark, out.metadata.data(), sizeof(mark));
        EXPECT_EQ(mark[1], kPodIfindex);
    }
    EXPECT_EQ(out.peer.rx_packets, 1U);
    EXPECT_EQ(out.peer.rx_bytes, in.size());
}

void expect_wire_row(weft_hook hook, std::string_view popped_reason, const WireRow &wire) {
    Row row = wire.row;
    if (wire.popped) {
        row.reason = popped_reason;
        row.check = [&wire](const Bytes &in, const Outcome &out) { expect_popped(wire, in, out); };
    }
    expect_row(hook, row);
}

class FromWire : public ::testing::TestWithParam<WireRow> {};
TEST_P(FromWire, Tc) { expect_wire_row(WEFT_HOOK_FROM_WIRE, "decap_to_pod", GetParam()); }
TEST_P(FromWire, Xdp) { expect_wire_row(WEFT_HOOK_XDP_WIRE, "xdp_popped", GetParam()); }
INSTANTIATE_TEST_SUITE_P(Table, FromWire, ::testing::ValuesIn(rows()), wire_row_name);

// What only tc can meet: packets that GRO or the sender's "hardware" left joined.
const Row kJoinedRows[] = {
    {"tunnelled UDP to be segmented keeps its tunnel type after a pop",
     tunnel(inner() / udp() / Tins::RawPDU("12345678")),
     "udp_gso",
     nullptr,
     {.gso_size = 4, .gso_segs = 2}},
    {"a tunnelled TCP GSO packet of unknown type is not shrunk",
     kGood,
     "pop_refused",
     nullptr,
     {.gso_size = 4, .gso_segs = 2}},
};
class FromWireJoined : public ::testing::TestWithParam<Row> {};
TEST_P(FromWireJoined, Tc) { expect_row(WEFT_HOOK_FROM_WIRE, GetParam()); }
INSTANTIATE_TEST_SUITE_P(Table, FromWireJoined, ::testing::ValuesIn(kJoinedRows), row_name);

// What only XDP can meet: a program before it has used up what room there is for metadata, 32 bytes in kernels to 6.5, later
// most of the 256 before the packet.
TEST(FromWireXdp, WithoutRoomForTheMarkThePacketGoesOnWhole) {
    auto &programs = Programs::instance();
    if (!programs.available()) GTEST_SKIP() << programs.why_not();
    WEFT_NEEDS_FEATURE(conntrack_lookup);
    const auto small = programs.run(WEFT_HOOK_XDP_WIRE, kGood, {.metadata = 32});
    expect_row(WEFT_HOOK_XDP_WIRE,
               {"", kGood, "no_metadata", nullptr, {.metadata = small.reasons.contains("xdp_popped") ? 216U : 32U}});
}

} // namespace
} // namespace weft::prog_run

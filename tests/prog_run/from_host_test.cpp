// SPDX-License-Identifier: Apache-2.0
// What the host's stack sends into the pod network through weft.1: the table of from_host.
#include "harness.hpp"

namespace weft::prog_run {
namespace {

using namespace world;

const Ip4 kVtep = *parse_ip4("10.244.63.0");

Bytes from_host(const Tins::PDU &inner) { return bytes_of(eth(*parse_mac("02:00:00:00:00:77"), kVtepMac) / inner); }

/// Pushed without being a hop: the stack has taken its TTL already.
void expect_pushed(const Bytes &in, const Outcome &out) {
    ASSERT_EQ(out.packet.size(), in.size() + kOverhead);
    EXPECT_TRUE(ip_checksum_ok(out.packet, kEthLen));
    EXPECT_EQ(be16(out.packet, kEthLen + 2), out.packet.size() - kEthLen);
    EXPECT_EQ(Bytes(out.packet.begin() + kInnerIp, out.packet.end()), Bytes(in.begin() + kEthLen, in.end()));
    EXPECT_EQ(Bytes(out.packet.begin() + 50, out.packet.begin() + 56),
              Bytes(kPeerVtepMac.bytes.begin(), kPeerVtepMac.bytes.end()));
    EXPECT_EQ(out.peer.tx_packets, 1U);
}

/// Left to the vxlan driver, which needs the inner MACs right.
void expect_keyed(const Bytes &in, const Outcome &out) {
    ASSERT_EQ(out.packet.size(), in.size());
    EXPECT_EQ(Bytes(out.packet.begin(), out.packet.begin() + 6),
              Bytes(kPeerVtepMac.bytes.begin(), kPeerVtepMac.bytes.end()));
    EXPECT_EQ(Bytes(out.packet.begin() + 6, out.packet.begin() + 12),
              Bytes(kVtepMac.bytes.begin(), kVtepMac.bytes.end()));
    EXPECT_EQ(Bytes(out.packet.begin() + 12, out.packet.end()), Bytes(in.begin() + 12, in.end()));
}

Tins::IP fragment() {
    auto header = ip(kVtep, kPeerPod);
    header.fragment_offset(8);
    return header;
}

const Bytes kTooBig = from_host(ip(kVtep, kPeerPod) / udp() / Tins::RawPDU(std::string(kMtu - 27, 'x')));

const Row kRows[] = {
    {"TCP from the host is pushed", from_host(ip(kVtep, kPeerPod) / tcp()), "encap", expect_pushed},
    {"ICMP is pushed", from_host(ip(kVtep, kPeerPod) / Tins::ICMP()), "encap", expect_pushed},
    {"a fragment that the stack made is pushed", from_host(fragment() / Tins::RawPDU(std::string(64, 'x'))), "encap",
     expect_pushed},
    {"TTL 1 is the next hops to judge", from_host(ip(kVtep, kPeerPod, 1) / Tins::ICMP()), "encap", expect_pushed},
    {"over the path MTU the driver pushes", kTooBig, "kernel_encap", expect_keyed},
    {"GSO of a kind the push refuses goes to the driver",
     from_host(ip(kVtep, kPeerPod) / tcp()),
     "kernel_encap",
     expect_keyed,
     {.gso_size = 1000, .gso_segs = 2}},
    {"GSO of another protocol goes to the driver",
     from_host(ip(kVtep, kPeerPod) / Tins::ICMP()),
     "kernel_encap",
     expect_keyed,
     {.gso_size = 1000, .gso_segs = 2}},
    {"GSO whose segments nobody has counted",
     from_host(ip(kVtep, kPeerPod) / tcp() / Tins::RawPDU(std::string(2000, 'x'))),
     "kernel_encap",
     expect_keyed,
     {.gso_size = 1000}},
    {"a subnet nobody leases", from_host(ip(kVtep, kNoLease) / tcp()), "no_route"},
    {"our own subnet is no lease", from_host(ip(kVtep, kNoPod) / tcp()), "no_route"},
    {"IPv6 multicast of the interface itself", from_host(Tins::IPv6("ff02::2", "fe80::1") / Tins::ICMPv6()),
     "link_scope"},
    {"IPv4 multicast", from_host(ip(kVtep, *parse_ip4("224.0.0.22")) / udp()), "link_scope"},
    {"ARP, which nobody behind the tunnel answers", bytes_of(Tins::ARP::make_arp_request("10.244.86.2", "10.244.63.0")),
     "tunnel_not_ip"},
    {"a malformed header", patched(from_host(ip(kVtep, kPeerPod) / tcp()), kEthLen, {0x43}), "bad_ip"},
};

class FromHost : public ::testing::TestWithParam<Row> {};
TEST_P(FromHost, Row) { expect_row(WEFT_HOOK_FROM_HOST, GetParam()); }
INSTANTIATE_TEST_SUITE_P(Table, FromHost, ::testing::ValuesIn(kRows), row_name);

} // namespace
} // namespace weft::prog_run

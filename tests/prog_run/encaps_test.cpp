// SPDX-License-Identifier: Apache-2.0
// Each way to reach another node: what goes out, byte for byte, and what comes in again. vxlan has tables of its own.
#include "harness.hpp"

#include <gtest/gtest.h>

namespace weft::prog_run {
namespace {

using namespace world;

/// A peer's lease that is reached by one encapsulation, and how its packets look.
struct Way {
    const char *label;
    weft_encap encap;
    std::size_t overhead;
    std::function<Bytes(const Tins::IP &)> wrapped; ///< as the peer sends them
};

Bytes in_udp(const Tins::IP &inner) {
    auto outer = ip(kPeer, kNode);
    return bytes_of(eth(kVtepMac, kPodHostMac) / outer / Tins::UDP(WEFT_DEFAULT_UDP_PORT, WEFT_DEFAULT_UDP_PORT) /
                    Tins::RawPDU(bytes_of(inner)));
}
Bytes in_ipip(const Tins::IP &inner) {
    auto outer = ip(kPeer, kNode);
    outer.protocol(IPPROTO_IPIP);
    return bytes_of(eth(kVtepMac, kPodHostMac) / outer / Tins::RawPDU(bytes_of(inner)));
}
Bytes bare(const Tins::IP &inner) { return bytes_of(eth(kVtepMac, kPeerLinkMac) / inner); }

const Way kWays[] = {{"direct", WEFT_ENCAP_DIRECT, WEFT_DIRECT_OVERHEAD, bare},
                     {"udp", WEFT_ENCAP_UDP, WEFT_UDP_OVERHEAD, in_udp},
                     {"ipip", WEFT_ENCAP_IPIP, WEFT_IPIP_OVERHEAD, in_ipip}};

void PrintTo(const Way &way, std::ostream *os) { *os << way.label; }

/// The peer's lease is of this way as long as the test runs.
class Encaps : public testing::TestWithParam<Way> {
protected:
    void SetUp() override {
        auto &programs = Programs::instance();
        if (!programs.available()) GTEST_SKIP() << programs.why_not();
        before_ = (*programs.datapath().leases().get(kKey)).value();
        auto lease = before_;
        lease.encap = static_cast<__u8>(GetParam().encap);
        ASSERT_TRUE(programs.datapath().leases().put(kKey, lease));
    }
    void TearDown() override {
        if (!Programs::instance().available()) return;
        ASSERT_TRUE(Programs::instance().datapath().leases().put(kKey, before_));
    }

    static Bytes from_pod(const Tins::PDU &inner) { return bytes_of(eth(kPodHostMac, kPodMac) / inner); }
    static Bytes from_host(const Tins::PDU &inner) { return bytes_of(eth(kPodHostMac, kVtepMac) / inner); }

    const weft_lease_key kKey = abi::lease_key(*parse_net4("10.244.86.0/24"));
    weft_lease before_{};
};

TEST_P(Encaps, APodsPacketGoesOutInItsHeaders) {
    const auto overhead = GetParam().overhead;
    expect_row(WEFT_HOOK_FROM_POD,
               {"", from_pod(ip(kPod, kPeerPod) / tcp() / Tins::RawPDU("payload")), "encap",
                [&](const Bytes &in, const Outcome &out) {
                    ASSERT_EQ(out.packet.size(), in.size() + overhead);
                    const auto inner = kEthLen + overhead;
                    EXPECT_EQ(out.packet[inner + 8], in[kEthLen + 8] - 1) << "one hop";
                    EXPECT_TRUE(ip_checksum_ok(out.packet, inner));
                    EXPECT_EQ(Bytes(out.packet.begin() + static_cast<long>(inner) + 12, out.packet.end()),
                              Bytes(in.begin() + kEthLen + 12, in.end()));
                    EXPECT_EQ(out.peer.tx_packets, 1U);
                    if (overhead == 0) return;
                    EXPECT_TRUE(ip_checksum_ok(out.packet, kEthLen));
                    EXPECT_EQ(be16(out.packet, kEthLen + 2), out.packet.size() - kEthLen);
                    const auto octets = kPeer.to_bytes();
                    EXPECT_EQ(Bytes(out.packet.begin() + kEthLen + 16, out.packet.begin() + kEthLen + 20),
                              Bytes(octets.begin(), octets.end()));
                }});
}

TEST_P(Encaps, TheWiresPacketComesOutOfItsHeaders) {
    WEFT_NEEDS_FEATURE(conntrack_lookup);
    const auto packet = GetParam().wrapped(ip(kPeerPod, kPod) / tcp() / Tins::RawPDU("payload"));
    expect_row(WEFT_HOOK_FROM_WIRE, {"", packet, "decap_to_pod", [&](const Bytes &in, const Outcome &out) {
                                         const auto overhead = GetParam().overhead;
                                         ASSERT_EQ(out.packet.size(), in.size() - overhead);
                                         EXPECT_EQ(out.packet[kEthLen + 8], in[kEthLen + overhead + 8] - 1);
                                         EXPECT_TRUE(ip_checksum_ok(out.packet, kEthLen));
                                         EXPECT_EQ(be16(out.packet, 12), 0x0800);
                                         EXPECT_EQ(Bytes(out.packet.begin(), out.packet.begin() + 6),
                                                   Bytes(kPodMac.bytes.begin(), kPodMac.bytes.end()));
                                     }});
}

TEST_P(Encaps, WhatTheStackKeepsEntersThroughTheHostsDevice) {
    const auto packet = GetParam().wrapped(ip(kPeerPod, kPod) / Tins::ICMP());
    expect_row(WEFT_HOOK_FROM_WIRE, {"", packet, "decap_to_host", [&](const Bytes &in, const Outcome &out) {
                                         ASSERT_EQ(out.packet.size(), in.size() - GetParam().overhead);
                                         EXPECT_EQ(Bytes(out.packet.begin(), out.packet.begin() + 6),
                                                   Bytes(kVtepMac.bytes.begin(), kVtepMac.bytes.end()));
                                         EXPECT_EQ(out.packet[kEthLen + 8], in[kEthLen + GetParam().overhead + 8])
                                             << "the stack takes the hop";
                                     }});
}

TEST_P(Encaps, AStrangerIsNotHeard) {
    const auto forged = ip(kNoLease, kPod) / tcp();
    const auto *reason = "spoofed_source"; // no lease has this source, whoever sends it
    expect_row(WEFT_HOOK_FROM_WIRE, {"", GetParam().wrapped(forged), reason});
}

TEST_P(Encaps, TheHostsPacketGoesOutInItsHeaders) {
    expect_row(WEFT_HOOK_FROM_HOST, {"", from_host(ip(kOutside, kPeerPod) / Tins::ICMP()), "encap",
                                     [&](const Bytes &in, const Outcome &out) {
                                         EXPECT_EQ(out.packet.size(), in.size() + GetParam().overhead);
                                     }});
}

TEST_P(Encaps, WhatTheHostCannotPushIsCountedAsSuch) {
    expect_row(
        WEFT_HOOK_FROM_HOST,
        {"", from_host(ip(kOutside, kPeerPod) / udp() / Tins::RawPDU(std::string(kMtu - 27, 'x'))), "cannot_push"});
}

INSTANTIATE_TEST_SUITE_P(Every, Encaps, testing::ValuesIn(kWays),
                         [](const auto &way) { return std::string(way.param.label); });

} // namespace
} // namespace weft::prog_run

// SPDX-License-Identifier: Apache-2.0
// A flannel node's own packets: what it sent must be taken, and what it would send must be what we send.
#include "capture.hpp"
#include "harness.hpp"

#include <cstring>

namespace weft::prog_run {
namespace {

using namespace world;

const std::string kCapture = std::string(WEFT_TEST_FIXTURES) + "/flannel-wire.pcap";

struct Frame {
    Bytes bytes;
    [[nodiscard]] std::uint8_t at(std::size_t inner_offset) const { return bytes.at(kInnerIp + inner_offset); }
    [[nodiscard]] bool sent_by(const Ip4 &node) const {
        const auto address = node.to_bytes();
        return std::memcmp(bytes.data() + kEthLen + 12, address.data(), address.size()) == 0;
    }
    [[nodiscard]] bool is_fragment() const { return (be16(bytes, kInnerIp + 6) & 0x3fff) != 0; }
    [[nodiscard]] bool is_tcp_or_udp() const { return at(9) == 6 || at(9) == 17; }
};

/// What the rules say of a well-formed packet from a known node to a known pod.
std::string expected_reason(const Frame &frame) {
    if (frame.is_fragment()) return "fragment";
    if (frame.at(8) <= 1) return "ttl_expiring";
    return frame.is_tcp_or_udp() ? "decap_to_pod" : "l4_untracked";
}

TEST(FlannelCapture, EveryPacketFromTheFlannelNodeIsTakenByTheRightPath) {
    auto &programs = Programs::instance();
    if (!programs.available()) GTEST_SKIP() << programs.why_not();
    WEFT_NEEDS_FEATURE(conntrack_lookup);
    int taken = 0;
    std::map<std::string, int> seen;
    for (const auto &bytes : read_capture(kCapture)) {
        const Frame frame{bytes};
        if (!frame.sent_by(kPeer)) continue;
        const auto reason = expected_reason(frame);
        const std::map<std::string, std::uint64_t> expected{{reason, 1}};
        EXPECT_EQ(programs.run(WEFT_HOOK_FROM_WIRE, bytes).reasons, expected) << "frame " << taken;
        ++seen[reason], ++taken;
    }
    EXPECT_GE(taken, 15);
    for (const char *reason : {"decap_to_pod", "l4_untracked", "fragment", "ttl_expiring"})
        EXPECT_GT(seen[reason], 0) << reason;
}

TEST(FlannelCapture, OurOuterHeadersAreFlannels) {
    auto &programs = Programs::instance();
    if (!programs.available()) GTEST_SKIP() << programs.why_not();
    WEFT_NEEDS_FEATURE(conntrack_lookup);
    int compared = 0;
    for (const auto &bytes : read_capture(kCapture)) {
        const Frame frame{bytes};
        if (!frame.sent_by(kNode) || frame.is_fragment() || !frame.is_tcp_or_udp()) continue;
        // The pod's packet before node 2 took its hop.
        Bytes inner(bytes.begin() + kInnerIp, bytes.end());
        auto packet = bytes_of(eth(kPodHostMac, kPodMac) / Tins::RawPDU(inner));
        packet[12] = 0x08, packet[13] = 0x00;
        packet = patched_ip4(packet, kEthLen, 8, {static_cast<std::uint8_t>(packet[kEthLen + 8] + 1)});
        const auto ours = programs.run(WEFT_HOOK_FROM_POD, packet).packet;
        ASSERT_EQ(ours.size(), bytes.size());
        // All but the outer Ethernet header (the neighbour's), id, checksums and source port, which no two senders share.
        auto expected = bytes;
        for (const auto &[from, to] : {std::pair{0, 12},
                                       {kEthLen + 4, kEthLen + 6},
                                       {kEthLen + 10, kEthLen + 12},
                                       {kEthLen + 20, kEthLen + 22},
                                       {kEthLen + 26, kEthLen + 28}})
            std::copy(ours.begin() + from, ours.begin() + to, expected.begin() + from);
        EXPECT_EQ(ours, expected) << "packet " << compared;
        ++compared;
    }
    EXPECT_GE(compared, 5);
}

} // namespace
} // namespace weft::prog_run

// SPDX-License-Identifier: Apache-2.0
// What weft puts on a cable, frame by frame.
#include <gtest/gtest.h>

#include <set>

#include <fmt/format.h>

#include "capture.hpp"
#include "cluster_fixture.hpp"

namespace weft::test {
namespace {

class Wire : public ClusterTest {
protected:
    void SetUp() override {
        ClusterTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        WEFT_ASSERT_ASSIGN(one_, cluster_->add_node());
        WEFT_ASSERT_ASSIGN(two_, cluster_->add_node());
        WEFT_ASSERT_OK(cluster_->settle());
        WEFT_ASSERT_ASSIGN(pod_one_, one_->add_pod());
        WEFT_ASSERT_ASSIGN(pod_two_, two_->add_pod());
        WEFT_ASSERT_ASSIGN(leases_, read_leases(cluster_->etcd()));
    }

    /// On the switch, where frames from both nodes are as they were sent. Port 0 is the world's, n the n-th node's.
    [[nodiscard]] Result<Capture> capture(std::size_t node) {
        return Capture::start(cluster_->lan().netns(), Segment::port(node), "udp port 8472");
    }

    [[nodiscard]] Mac vtep_mac_of(const Ip4 &node) const {
        for (const auto &lease : leases_) {
            if (lease.public_ip == node) return lease.vtep_mac;
        }
        return {};
    }

    /// What holds for every frame of a pod's packet between the two nodes.
    void expect_sound(const VxlanFrame &frame) const {
        EXPECT_EQ(frame.outer.destination_port, 8472);
        EXPECT_GE(frame.outer.source_port, 1024);
        EXPECT_EQ(frame.vni, 1u);
        EXPECT_EQ(frame.flags, 0x08);
        EXPECT_TRUE(frame.reserved_zero);
        EXPECT_EQ(frame.outer.ttl, 64);
        EXPECT_FALSE(frame.outer.fragment);
        EXPECT_TRUE(frame.outer.header_checksum_valid);
        EXPECT_TRUE(frame.outer.length_valid);
        EXPECT_TRUE(frame.outer.l4_length_valid);
        EXPECT_NE(frame.outer.l4_checksum, Ip4View::Checksum::invalid);
        EXPECT_EQ(frame.inner_source_mac, vtep_mac_of(frame.outer.source));
        EXPECT_EQ(frame.inner_destination_mac, vtep_mac_of(frame.outer.destination));
        ASSERT_TRUE(frame.inner);
        EXPECT_EQ(frame.inner->ttl, 63) << "one router on the way, as with flannel";
        EXPECT_TRUE(frame.inner->header_checksum_valid);
        EXPECT_TRUE(frame.inner->length_valid);
        EXPECT_LE(frame.inner->total_length, 1450);
        EXPECT_EQ(frame.outer.total_length, frame.inner->total_length + 50);
        EXPECT_EQ(frame.outer.tos & 3, frame.inner->tos & 3);
    }

    WeftNode *one_ = nullptr, *two_ = nullptr;
    Pod *pod_one_ = nullptr, *pod_two_ = nullptr;
    std::vector<FlannelPeer> leases_;
};

TEST_P(Wire, EveryFrameOfATransferIsSoundVxlan) {
    WEFT_ASSERT_ASSIGN(auto frames_of, capture(1));
    WEFT_ASSERT_OK(tcp_transfer(pod_one_->ns, pod_two_->address, 500'000));
    WEFT_ASSERT_OK(tcp_transfer(pod_one_->ns, pod_two_->address, 500'000, {.direction = Direction::receive}));
    WEFT_ASSERT_OK(udp_echo(pod_one_->ns, pod_two_->address, {1, 100, 1422}, 10));
    WEFT_ASSERT_ASSIGN(const auto frames, frames_of.vxlan_frames());
    ASSERT_GT(frames.size(), 2 * 500'000u / 1400);
    for (const auto &frame : frames) {
        SCOPED_TRACE(frame.to_string());
        expect_sound(frame);
        ASSERT_TRUE(frame.inner);
        EXPECT_EQ(frame.inner->l4_checksum, Ip4View::Checksum::valid);
        if (HasFailure()) return; // the first bad frame tells all
    }
}

TEST_P(Wire, EveryFlowHasASourcePortOfItsOwn) {
    WEFT_ASSERT_ASSIGN(auto frames_of, capture(1));
    constexpr int kFlows = 16;
    for (int n = 0; n < kFlows; ++n) WEFT_ASSERT_OK(tcp_transfer(pod_one_->ns, pod_two_->address, 5000));
    WEFT_ASSERT_ASSIGN(const auto frames, frames_of.vxlan_frames());
    std::map<std::uint16_t, std::set<std::uint16_t>> outer_ports; // by the client's port
    std::set<std::uint16_t> all;
    for (const auto &frame : frames) {
        if (frame.outer.source.to_string() != "192.0.2.1" || !frame.inner) continue;
        outer_ports[frame.inner->source_port].insert(frame.outer.source_port);
        all.insert(frame.outer.source_port);
    }
    EXPECT_EQ(outer_ports.size(), std::size_t{kFlows});
    for (const auto &[flow, ports] : outer_ports)
        EXPECT_EQ(ports.size(), 1u) << "the flow from port " << flow << " is spread";
    EXPECT_GT(all.size(), std::size_t{kFlows / 2}) << "flows are not spread";
}

TEST_P(Wire, EcnIsCarriedAndDscpIsNot) {
    for (const auto &[tos, ecn] : {std::pair{0x02, 2}, std::pair{0x01, 1}, std::pair{0x03, 3}, std::pair{0xb8, 0}}) {
        WEFT_ASSERT_ASSIGN(auto frames_of, capture(1));
        WEFT_ASSERT_OK(ping(pod_one_->ns, pod_two_->address, 1, fmt::format("-Q {:#x}", tos)));
        WEFT_ASSERT_ASSIGN(const auto frames, frames_of.vxlan_frames());
        ASSERT_EQ(frames.size(), 2u);
        for (const auto &frame : frames) {
            SCOPED_TRACE(frame.to_string());
            expect_sound(frame);
            EXPECT_EQ(frame.inner->tos, tos);
            EXPECT_EQ(frame.outer.tos & 3, ecn);
            EXPECT_EQ(frame.outer.tos & ~3, 0) << "flannel's outer header has no DSCP";
        }
    }
}

TEST_P(Wire, TheNodesOwnPacketsComeFromItsOverlayAddress) {
    WEFT_ASSERT_ASSIGN(auto frames_of, capture(1));
    WEFT_ASSERT_OK(tcp_transfer(one_->netns(), pod_two_->address, 100'000));
    WEFT_ASSERT_ASSIGN(const auto frames, frames_of.vxlan_frames());
    WEFT_ASSERT_ASSIGN(const auto base, one_->base_address());
    ASSERT_GT(frames.size(), 70u);
    for (const auto &frame : frames) {
        SCOPED_TRACE(frame.to_string());
        ASSERT_TRUE(frame.inner);
        const bool request = frame.outer.source.to_string() == "192.0.2.1";
        EXPECT_EQ((request ? frame.inner->source : frame.inner->destination).to_string(), base);
        EXPECT_EQ(frame.inner_destination_mac, vtep_mac_of(frame.outer.destination));
        EXPECT_EQ(frame.inner->l4_checksum, Ip4View::Checksum::valid);
        EXPECT_NE(frame.outer.l4_checksum, Ip4View::Checksum::invalid);
        if (HasFailure()) return;
    }
}

INSTANTIATE_TEST_SUITE_P(Setups, Wire, kBareSetups, setup_name);

} // namespace
} // namespace weft::test

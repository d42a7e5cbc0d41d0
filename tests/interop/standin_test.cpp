// SPDX-License-Identifier: Apache-2.0
// The flannel stand-in itself: two of them must talk as two flannel nodes do, and look alike on the wire.
#include <gtest/gtest.h>

#include <optional>

#include "capture.hpp"
#include "flannel_node.hpp"
#include "needs.hpp"
#include "wire.hpp"

namespace weft::test {
namespace {

const Net4 kNetwork = *parse_net4("10.244.0.0/16");

class FlannelPair : public testing::TestWithParam<WireMode> {
protected:
    void SetUp() override {
        WEFT_REQUIRES(requires_netns());
        WEFT_REQUIRES(requires_tools({"etcd", "etcdctl", "ethtool", "tcpdump", "iptables-restore", "bridge", "ping"}));
        WEFT_ASSERT_ASSIGN(etcd_, EtcdServer::start());
        WEFT_ASSERT_ASSIGN(lan_, Segment::create("lan", GetParam()));
        WEFT_ASSERT_ASSIGN(one_, make_node("one", "10.244.1.0/24", "192.0.2.1"));
        WEFT_ASSERT_ASSIGN(two_, make_node("two", "10.244.2.0/24", "192.0.2.2"));
        WEFT_ASSERT_OK(one_->sync(*etcd_));
        WEFT_ASSERT_OK(two_->sync(*etcd_));
        WEFT_ASSERT_ASSIGN(pod_one_, one_->add_pod());
        WEFT_ASSERT_ASSIGN(pod_two_, two_->add_pod());
    }

    Result<FlannelNode> make_node(std::string_view name, std::string_view subnet, std::string_view address) {
        auto node = FlannelNode::create(
            name, {.network = kNetwork, .subnet = *parse_net4(subnet), .public_ip = *parse_ip4(address)});
        if (!node) return node;
        if (auto plugged = lan_->plug(node->netns(), "eth0", std::string(address) + "/24"); !plugged)
            return fail_as_is(std::move(plugged));
        if (auto started = node->start(*etcd_); !started) return fail_as_is(std::move(started));
        return node;
    }

    std::optional<EtcdServer> etcd_;
    std::optional<Segment> lan_;
    std::optional<FlannelNode> one_, two_;
    Pod *pod_one_ = nullptr, *pod_two_ = nullptr;
};

TEST_P(FlannelPair, TalksBothWays) {
    WEFT_EXPECT_OK(ping(pod_one_->ns, pod_two_->address));
    WEFT_EXPECT_OK(ping(one_->netns(), pod_two_->address));
    WEFT_EXPECT_OK(udp_echo(pod_two_->ns, pod_one_->address, {1, 64, 1400, 3000}, 20));
    for (const auto direction : {Direction::send, Direction::receive}) {
        WEFT_ASSERT_ASSIGN(auto transfer,
                           tcp_transfer(pod_one_->ns, pod_two_->address, 20'000'001, {.direction = direction}));
        EXPECT_EQ(transfer.bytes, 20'000'001u);
        EXPECT_EQ(transfer.seen_as, pod_one_->address);
    }
    WEFT_ASSERT_ASSIGN(auto from_host, tcp_transfer(one_->netns(), pod_two_->address, 1000));
    EXPECT_EQ(from_host.seen_as, one_->base_address());
}

/// Only there are frames what they are on a cable.
class FlannelPairOnBareWire : public FlannelPair {};

TEST_P(FlannelPairOnBareWire, LooksLikeFlannel) {
    WEFT_ASSERT_ASSIGN(auto capture, Capture::start(lan_->netns(), Segment::port(1)));
    WEFT_ASSERT_OK(tcp_transfer(pod_one_->ns, pod_two_->address, 100'000));
    WEFT_ASSERT_ASSIGN(auto frames, capture.vxlan_frames());
    ASSERT_GT(frames.size(), 10u);
    for (const auto &frame : frames) {
        SCOPED_TRACE(frame.to_string());
        EXPECT_EQ(frame.vni, 1u);
        EXPECT_EQ(frame.flags, 0x08);
        EXPECT_EQ(frame.outer.ttl, 64);
        ASSERT_TRUE(frame.inner);
        EXPECT_EQ(frame.inner_destination_mac,
                  frame.outer.source.to_string() == "192.0.2.1" ? two_->vtep_mac() : one_->vtep_mac());
        EXPECT_EQ(frame.outer.l4_checksum, Ip4View::Checksum::valid);
        EXPECT_EQ(frame.inner->l4_checksum, Ip4View::Checksum::valid);
    }
}

INSTANTIATE_TEST_SUITE_P(Wires, FlannelPair, testing::Values(WireMode::offload, WireMode::framed, WireMode::bare),
                         [](const auto &wire) { return std::string(name_of(wire.param)); });
INSTANTIATE_TEST_SUITE_P(Wires, FlannelPairOnBareWire, testing::Values(WireMode::bare),
                         [](const auto &wire) { return std::string(name_of(wire.param)); });

TEST(FlannelCapture, IsReadAsRealFlannelWroteIt) {
    WEFT_ASSERT_ASSIGN(auto frames, read_vxlan(WEFT_FIXTURES "/flannel-wire.pcap"));
    ASSERT_FALSE(frames.empty());
    bool ecn = false, fragments = false;
    for (const auto &frame : frames) {
        SCOPED_TRACE(frame.to_string());
        const bool from_one = frame.outer.source.to_string() == "192.0.2.1";
        EXPECT_EQ(frame.vni, 1u);
        EXPECT_EQ(frame.flags, 0x08);
        EXPECT_TRUE(frame.reserved_zero);
        EXPECT_EQ(frame.outer.ttl, 64);
        EXPECT_FALSE(frame.outer.dont_fragment);
        EXPECT_TRUE(frame.outer.header_checksum_valid);
        EXPECT_TRUE(frame.outer.length_valid);
        EXPECT_EQ(frame.outer.l4_checksum, Ip4View::Checksum::valid);
        EXPECT_EQ(frame.inner_destination_mac, *parse_mac(from_one ? "1e:3a:76:11:44:7f" : "16:d2:3f:db:e2:37"));
        ASSERT_TRUE(frame.inner);
        EXPECT_TRUE(frame.inner->header_checksum_valid);
        EXPECT_EQ(frame.outer.tos & 3, frame.inner->tos & 3);
        ecn |= (frame.inner->tos & 3) == 2;
        fragments |= frame.inner->fragment;
    }
    EXPECT_TRUE(ecn);
    EXPECT_TRUE(fragments);
}

} // namespace
} // namespace weft::test

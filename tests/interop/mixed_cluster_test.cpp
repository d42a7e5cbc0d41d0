// SPDX-License-Identifier: Apache-2.0
// A weft node and a flannel node in one cluster.
#include <gtest/gtest.h>

#include <map>
#include <vector>

#include <fmt/format.h>

#include "capture.hpp"
#include "cluster_fixture.hpp"

namespace weft::test {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

class MixedCluster : public ClusterTest {
protected:
    void SetUp() override {
        ClusterTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        WEFT_ASSERT_ASSIGN(weft_, cluster_->add_node());
        WEFT_ASSERT_ASSIGN(flannel_, cluster_->add_flannel_node(GetParam().backend));
        WEFT_ASSERT_OK(cluster_->settle());
        WEFT_ASSERT_ASSIGN(weft_pod_, weft_->add_pod());
        WEFT_ASSERT_ASSIGN(flannel_pod_, flannel_->add_pod());
    }
    void TearDown() override {
        if (weft_) expect_no_drops(*weft_);
    }

    void expect_transfers(const Netns &from, const std::string &to, const std::string &seen_as, std::uint64_t bytes) {
        for (const auto direction : {Direction::send, Direction::receive}) {
            WEFT_ASSERT_ASSIGN(const auto transfer, tcp_transfer(from, to, bytes, {.direction = direction}));
            EXPECT_EQ(transfer.seen_as, seen_as) << from.name() << " to " << to;
        }
    }

    /// The flannel node's own address in the pod network; without a device of its backend's it has none, and is seen as itself.
    [[nodiscard]] std::string flannel_address() const {
        return GetParam().has_outer_headers() ? flannel_->base_address() : "192.0.2.2";
    }

    WeftNode *weft_ = nullptr;
    FlannelNode *flannel_ = nullptr;
    Pod *weft_pod_ = nullptr, *flannel_pod_ = nullptr;
};

TEST_P(MixedCluster, PodsReachEachOther) {
    WEFT_ASSERT_ASSIGN(const auto before, weft_->counters());
    WEFT_EXPECT_OK(ping(weft_pod_->ns, flannel_pod_->address));
    WEFT_EXPECT_OK(ping(flannel_pod_->ns, weft_pod_->address));
    for (const std::size_t size : {std::size_t{1}, std::size_t{64}, std::size_t{GetParam().mtu()} - 28,
                                   std::size_t{GetParam().mtu()} - 27, std::size_t{9000}, std::size_t{60000}}) {
        WEFT_EXPECT_OK(udp_echo(weft_pod_->ns, flannel_pod_->address, {size}, 5));
        WEFT_EXPECT_OK(udp_echo(flannel_pod_->ns, weft_pod_->address, {size}, 5));
    }
    expect_transfers(weft_pod_->ns, flannel_pod_->address, weft_pod_->address, 32 * kMiB);
    expect_transfers(flannel_pod_->ns, weft_pod_->address, flannel_pod_->address, 32 * kMiB);
    WEFT_ASSERT_ASSIGN(const auto after, weft_->counters());
    const auto counted = after.all - before.all;
    EXPECT_GE(count(counted, "from_pod/encap"), 64 * kMiB / 1500) << to_string(counted);
    EXPECT_GE(count(counted, pop_counter()), 64 * kMiB / 1500) << to_string(counted);
}

TEST_P(MixedCluster, NodesReachEachOthersPods) {
    WEFT_ASSERT_ASSIGN(const auto base, weft_->base_address());
    WEFT_ASSERT_ASSIGN(const auto weft_server, serve_traffic(weft_->netns()));
    WEFT_ASSERT_ASSIGN(const auto flannel_server, serve_traffic(flannel_->netns()));
    WEFT_EXPECT_OK(ping(weft_->netns(), flannel_pod_->address));
    WEFT_EXPECT_OK(ping(flannel_->netns(), weft_pod_->address));
    expect_transfers(weft_->netns(), flannel_pod_->address, base, 4 * kMiB);
    expect_transfers(flannel_->netns(), weft_pod_->address, flannel_address(), 4 * kMiB);
    if (flannel_address() == flannel_->base_address()) // else nothing there has it
        expect_transfers(weft_pod_->ns, flannel_->base_address(), weft_pod_->address, 4 * kMiB);
    expect_transfers(flannel_pod_->ns, base, flannel_pod_->address, 4 * kMiB);
    expect_transfers(flannel_->netns(), base, flannel_address(), 4 * kMiB);
    WEFT_EXPECT_OK(udp_echo(weft_->netns(), flannel_pod_->address, {1, 1422, 9000}, 5));
    WEFT_EXPECT_OK(udp_echo(flannel_->netns(), weft_pod_->address, {1, 1422, 9000}, 5));
}

TEST_P(MixedCluster, AFlannelNodeThatJoinsLaterIsReached) {
    WEFT_ASSERT_ASSIGN(auto *late, cluster_->add_flannel_node(GetParam().backend));
    WEFT_ASSERT_OK(weft_->wait_for_leases(2));
    WEFT_ASSERT_ASSIGN(auto *late_pod, late->add_pod());
    WEFT_EXPECT_OK(ping(weft_pod_->ns, late_pod->address));
    expect_transfers(late_pod->ns, weft_pod_->address, late_pod->address, 4 * kMiB);
}

INSTANTIATE_TEST_SUITE_P(Setups, MixedCluster, kEverySetup, setup_name);
// This kernel has no ipip device to be the other side.
INSTANTIATE_TEST_SUITE_P(Backends, MixedCluster,
                         testing::ValuesIn(with_backends({"host-gw", "direct"},
                                                         {{"tc", WireMode::offload}, {"xdp", WireMode::bare}})),
                         setup_name);
// Not where the wire carries half-done checksums: a process that reads the inner packet from a socket gets it as it is, and no
// NIC ever delivers such a one.
INSTANTIATE_TEST_SUITE_P(Udp, MixedCluster,
                         testing::ValuesIn(with_backends({"udp"}, {{"tc", WireMode::bare}, {"xdp", WireMode::bare}})),
                         setup_name);

/// vxlan with DirectRouting: a weft and a flannel node on one segment, and one of each behind a router.
class MixedSegments : public ClusterTest {};

TEST_P(MixedSegments, EachPeerIsReachedAsItCanBe) {
    WEFT_ASSERT_ASSIGN(auto *near, cluster_->add_node());
    WEFT_ASSERT_ASSIGN(auto *far, cluster_->add_node(true));
    WEFT_ASSERT_ASSIGN(auto *flannel_near, cluster_->add_flannel_node("direct"));
    WEFT_ASSERT_ASSIGN(auto *flannel_far, cluster_->add_flannel_node("direct", true));
    WEFT_ASSERT_OK(cluster_->settle());
    std::vector<Pod *> weft_pods(2), flannel_pods(2);
    WEFT_ASSERT_ASSIGN(weft_pods[0], near->add_pod());
    WEFT_ASSERT_ASSIGN(weft_pods[1], far->add_pod());
    WEFT_ASSERT_ASSIGN(flannel_pods[0], flannel_near->add_pod());
    WEFT_ASSERT_ASSIGN(flannel_pods[1], flannel_far->add_pod());

    WEFT_ASSERT_ASSIGN(const auto leases, near->weftctl("leases"));
    std::map<std::string, std::string> ways;
    for (const auto &lease : leases) ways[lease.value("node", "")] = lease.value("encap", "");
    const std::map<std::string, std::string> expected{
        {"198.51.100.2", "vxlan"}, {"192.0.2.3", "direct"}, {"198.51.100.4", "vxlan"}};
    EXPECT_EQ(ways, expected) << leases;
    for (auto *weft : weft_pods)
        for (auto *flannel : flannel_pods) {
            WEFT_EXPECT_OK(ping(weft->ns, flannel->address, 1));
            WEFT_EXPECT_OK(ping(flannel->ns, weft->address, 1));
            WEFT_EXPECT_OK(udp_echo(weft->ns, flannel->address, {1, 1400, 9000}));
            for (const auto direction : {Direction::send, Direction::receive}) {
                WEFT_ASSERT_ASSIGN(const auto transfer,
                                   tcp_transfer(weft->ns, flannel->address, 4 * kMiB, {.direction = direction}));
                EXPECT_EQ(transfer.seen_as, weft->address);
            }
        }
    for (const auto *node : {flannel_near, flannel_far})
        for (const auto *pod : weft_pods) WEFT_EXPECT_OK(ping(node->netns(), pod->address, 1));
    for (const auto *node : {near, far})
        for (const auto *pod : flannel_pods) WEFT_EXPECT_OK(ping(node->netns(), pod->address, 1));
    for (const auto *node : {near, far}) expect_no_drops(*node);
}

INSTANTIATE_TEST_SUITE_P(Backends, MixedSegments,
                         testing::ValuesIn(with_backends({"direct"},
                                                         {{"tc", WireMode::offload}, {"xdp", WireMode::bare}})),
                         setup_name);

/// On the bare wire, where a frame is what it would be on a cable.
class MixedWire : public MixedCluster {};

/// What may not differ between the two kinds of node. Identification and source port are each sender's own.
std::string outer_shape(const VxlanFrame &frame) {
    return fmt::format(
        "ttl {} tos {:#x} DF {} fragment {} port {} flags {:#x} reserved zero {} vni {} length {} inner ttl {}",
        frame.outer.ttl, frame.outer.tos, frame.outer.dont_fragment, frame.outer.fragment, frame.outer.destination_port,
        frame.flags, frame.reserved_zero, frame.vni,
        frame.outer.total_length - (frame.inner ? frame.inner->total_length : 0), frame.inner ? frame.inner->ttl : 0);
}

TEST_P(MixedWire, OuterHeadersAreAlike) {
    WEFT_ASSERT_ASSIGN(auto capture, Capture::start(cluster_->lan().netns(), Segment::port(1), "udp port 8472"));
    expect_transfers(weft_pod_->ns, flannel_pod_->address, weft_pod_->address, kMiB);
    WEFT_EXPECT_OK(udp_echo(weft_pod_->ns, flannel_pod_->address, {1, 1422}, 3));
    WEFT_EXPECT_OK(ping(weft_pod_->ns, flannel_pod_->address, 1, "-Q 0x02"));
    WEFT_EXPECT_OK(ping(weft_pod_->ns, flannel_pod_->address, 1, "-Q 0xb8"));
    WEFT_ASSERT_ASSIGN(const auto frames, capture.vxlan_frames());
    std::map<std::string, std::string> shapes[2]; // by shape: an example; [0] weft's, [1] flannel's
    for (const auto &frame : frames) {
        const bool from_weft = frame.outer.source.to_string() == "192.0.2.1";
        EXPECT_TRUE(frame.outer.header_checksum_valid && frame.outer.length_valid && frame.outer.l4_length_valid &&
                    frame.outer.l4_checksum != Ip4View::Checksum::invalid)
            << frame.to_string();
        shapes[from_weft ? 0 : 1].emplace(outer_shape(frame), frame.to_string());
    }
    EXPECT_GE(shapes[0].size(), 2u);
    for (const auto &[shape, example] : shapes[0]) EXPECT_TRUE(shapes[1].contains(shape)) << "only weft: " << example;
    for (const auto &[shape, example] : shapes[1])
        EXPECT_TRUE(shapes[0].contains(shape)) << "only flannel: " << example;
}

INSTANTIATE_TEST_SUITE_P(Setups, MixedWire, kBareSetups, setup_name);

} // namespace
} // namespace weft::test

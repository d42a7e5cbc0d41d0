// SPDX-License-Identifier: Apache-2.0
// Nodes that are not neighbours, and neighbours that change.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "cluster_fixture.hpp"

namespace weft::test {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

class BehindARouter : public ClusterTest {
protected:
    void SetUp() override {
        ClusterTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        WEFT_ASSERT_ASSIGN(near_, cluster_->add_node());
        WEFT_ASSERT_ASSIGN(far_, cluster_->add_node(true));
        WEFT_ASSERT_OK(cluster_->settle());
        WEFT_ASSERT_ASSIGN(near_pod_, near_->add_pod());
        WEFT_ASSERT_ASSIGN(far_pod_, far_->add_pod());
    }
    WeftNode *near_ = nullptr, *far_ = nullptr;
    Pod *near_pod_ = nullptr, *far_pod_ = nullptr;
};

TEST_P(BehindARouter, PodsReachEachOther) {
    WEFT_EXPECT_OK(ping(near_pod_->ns, far_pod_->address));
    WEFT_EXPECT_OK(ping(far_pod_->ns, near_pod_->address));
    WEFT_EXPECT_OK(ping(near_->netns(), far_pod_->address));
    WEFT_EXPECT_OK(udp_echo(far_pod_->ns, near_pod_->address, {1, 1422, 5000}, 5));
    for (const auto direction : {Direction::send, Direction::receive})
        WEFT_EXPECT_OK(tcp_transfer(near_pod_->ns, far_pod_->address, 16 * kMiB, {.direction = direction}));
    WEFT_ASSERT_ASSIGN(const auto leases, near_->weftctl("leases"));
    ASSERT_EQ(leases.size(), 1u) << leases;
    EXPECT_EQ(leases[0].value("node", ""), "198.51.100.2");
    EXPECT_EQ(leases[0].value("next_hop", ""), "192.0.2.254");
    expect_no_drops(*near_);
    expect_no_drops(*far_);
}

TEST_P(BehindARouter, ANextHopsNewMacIsFollowed) {
    WEFT_ASSERT_OK(ping(near_pod_->ns, far_pod_->address));
    // A router that is replaced announces itself, as VRRP and cloud gateways do.
    WEFT_ASSERT_OK(cluster_->router().sysctl("net.ipv4.conf.all.arp_notify", "1"));
    WEFT_ASSERT_OK(cluster_->router().ip("link set near address 02:00:00:00:be:ef"));
    EXPECT_TRUE(wait_until([&] { return ping(near_pod_->ns, far_pod_->address, 1).has_value(); }));
    WEFT_EXPECT_OK(tcp_transfer(near_pod_->ns, far_pod_->address, kMiB));
}

TEST_P(BehindARouter, ANewRouteToTheNodeIsFollowed) {
    WEFT_ASSERT_OK(ping(near_pod_->ns, far_pod_->address));
    // The router moves to another address; the node's route follows, and so must the lease's next hop.
    WEFT_ASSERT_OK(cluster_->router().sysctl("net.ipv4.conf.all.promote_secondaries", "1"));
    WEFT_ASSERT_OK(cluster_->router().ip("address add 192.0.2.253/24 dev near"));
    WEFT_ASSERT_OK(near_->netns().ip("route replace default via 192.0.2.253"));
    WEFT_ASSERT_OK(cluster_->router().ip("address del 192.0.2.254/24 dev near"));
    const auto next_hop = [&] {
        const auto leases = near_->weftctl("leases");
        return leases && leases->size() == 1 ? leases->at(0).value("next_hop", "") : "";
    };
    EXPECT_TRUE(wait_until([&] { return next_hop() == "192.0.2.253"; })) << next_hop();
    WEFT_EXPECT_OK(tcp_transfer(near_pod_->ns, far_pod_->address, kMiB));
}

INSTANTIATE_TEST_SUITE_P(Setups, BehindARouter, kEverySetup, setup_name);

class Neighbours : public ClusterTest {};

TEST_P(Neighbours, ANodesNewMacIsFollowed) {
    WEFT_ASSERT_ASSIGN(auto *one, cluster_->add_node());
    WEFT_ASSERT_ASSIGN(auto *two, cluster_->add_node());
    WEFT_ASSERT_OK(cluster_->settle());
    WEFT_ASSERT_ASSIGN(auto *pod_one, one->add_pod());
    WEFT_ASSERT_ASSIGN(auto *pod_two, two->add_pod());
    WEFT_ASSERT_OK(ping(pod_one->ns, pod_two->address));
    WEFT_ASSERT_OK(two->netns().sysctl("net.ipv4.conf.all.arp_notify", "1"));
    WEFT_ASSERT_OK(two->netns().ip("link set eth0 address 02:00:00:00:be:ef"));
    EXPECT_TRUE(wait_until([&] { return ping(pod_one->ns, pod_two->address, 1).has_value(); }));
    for (const auto direction : {Direction::send, Direction::receive})
        WEFT_EXPECT_OK(tcp_transfer(pod_one->ns, pod_two->address, kMiB, {.direction = direction}));
}

INSTANTIATE_TEST_SUITE_P(Setups, Neighbours, kBareSetups, setup_name);

} // namespace
} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
// Two nodes on a segment and one behind a router: what is reached without headers, and what follows when that changes.
#include <gtest/gtest.h>

#include <future>
#include <map>

#include <fmt/format.h>

#include "cluster_fixture.hpp"

namespace weft::test {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

/// near, beside and far have the addresses 192.0.2.1, 192.0.2.2 and 198.51.100.3.
class AcrossARouter : public ClusterTest {
protected:
    void SetUp() override {
        ClusterTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        WEFT_ASSERT_ASSIGN(near_, cluster_->add_node());
        WEFT_ASSERT_ASSIGN(beside_, cluster_->add_node());
        WEFT_ASSERT_ASSIGN(far_, cluster_->add_node(true));
        for (auto *node : {near_, beside_, far_}) {
            WEFT_ASSERT_ASSIGN(auto *pod, node->add_pod());
            pods_.push_back(pod);
        }
    }

    /// "encap via next_hop" of the lease whose node has this address; "" without one.
    static std::string way(const WeftNode &from, std::string_view node) {
        const auto leases = from.weftctl("leases");
        if (!leases) return leases.error().sentence();
        for (const auto &lease : *leases)
            if (lease.value("node", "") == node)
                return fmt::format("{} via {}", lease.value("encap", ""), lease.value("next_hop", ""));
        return "";
    }
    static void expect_way(const WeftNode &from, std::string_view node, const std::string &expected,
                           std::chrono::milliseconds within = 10s) {
        EXPECT_TRUE(wait_until([&] { return way(from, node) == expected; }, within))
            << from.name() << " to " << node << ": " << way(from, node);
    }
    /// Why a lease is not used, as the daemon says; "" when it is.
    static std::string unusable(const WeftNode &node, const std::string &subnet) {
        const auto status = node.weftctl("status");
        return status
                   ? status->value("/daemon/leases/unusable"_json_pointer, nlohmann::json::object()).value(subnet, "")
                   : status.error().sentence();
    }
    static Result<std::string> subnet_of(const WeftNode &node) {
        auto base = node.base_address();
        if (base) *base += "/24";
        return base;
    }

    void expect_all_reach_all() {
        for (const auto *from : pods_)
            for (const auto *to : pods_) {
                if (from == to) continue;
                WEFT_EXPECT_OK(ping(from->ns, to->address, 1));
                WEFT_EXPECT_OK(udp_echo(from->ns, to->address, {1, 1400, 5000}));
                WEFT_EXPECT_OK(tcp_transfer(from->ns, to->address, kMiB));
            }
        const std::map<const WeftNode *, std::string> nodes{
            {near_, "192.0.2.1"}, {beside_, "192.0.2.2"}, {far_, "198.51.100.3"}};
        std::size_t n = 0;
        for (const auto *node : {near_, beside_, far_}) {
            for (const auto *to : pods_) WEFT_EXPECT_OK(tcp_transfer(node->netns(), to->address, kMiB));
            WEFT_ASSERT_ASSIGN(const auto outside, tcp_transfer(pods_[n++]->ns, Cluster::kWorld, kMiB));
            EXPECT_EQ(outside.seen_as, nodes.at(node));
        }
    }

    /// Joins the two segments, as one does who takes the router out of a network.
    void join_segments() {
        const auto &lan = cluster_->lan().netns();
        const auto &far_lan = cluster_->far_lan().netns();
        WEFT_ASSERT_OK(connect(lan, "joint", far_lan, "joint"));
        for (const auto *segment : {&lan, &far_lan}) {
            WEFT_ASSERT_OK(set_wire_mode(*segment, "joint", GetParam().wire));
            WEFT_ASSERT_OK(segment->ip("link set joint master switch"));
        }
    }

    WeftNode *near_ = nullptr, *beside_ = nullptr, *far_ = nullptr;
    std::vector<Pod *> pods_; ///< one on each, in this order
};

class DirectRouting : public AcrossARouter {};

TEST_P(DirectRouting, OnlyNodesOfTheSegmentAreReachedWithoutHeaders) {
    expect_way(*near_, "192.0.2.2", "direct via 192.0.2.2");
    expect_way(*beside_, "192.0.2.1", "direct via 192.0.2.1");
    for (const auto *node : {near_, beside_}) expect_way(*node, "198.51.100.3", "vxlan via 192.0.2.254");
    for (const auto *address : {"192.0.2.1", "192.0.2.2"}) expect_way(*far_, address, "vxlan via 198.51.100.254");
    expect_all_reach_all();
    for (const auto *node : {near_, beside_, far_}) expect_no_drops(*node);
}

TEST_P(DirectRouting, RunningTrafficFollowsTheRoutes) {
    // A host that is told of a shorter way would take it.
    WEFT_ASSERT_OK(cluster_->router().sysctl("net.ipv4.conf.all.send_redirects", "0"));
    WEFT_ASSERT_OK(cluster_->router().sysctl("net.ipv4.conf.near.send_redirects", "0"));
    expect_way(*near_, "192.0.2.2", "direct via 192.0.2.2");
    expect_way(*beside_, "192.0.2.1", "direct via 192.0.2.1");
    WEFT_ASSERT_ASSIGN(auto flow, SteadyFlow::start(pods_[0]->ns, pods_[1]->address));
    auto transfer = std::async(std::launch::async, [this] {
        return tcp_transfer(pods_[0]->ns, pods_[1]->address, 60 * kMiB, {.rate = 12 * kMiB});
    });
    const auto follow = [&](std::string_view what, const std::string &route, const std::string &way) {
        WEFT_ASSERT_OK(flow.report());
        WEFT_ASSERT_OK(near_->netns().ip(route));
        expect_way(*near_, "192.0.2.2", way, 2s);
        WEFT_ASSERT_ASSIGN(const auto report, flow.report());
        EXPECT_EQ(report.lost, 0u) << what;
        EXPECT_LT(report.longest_pause_ms, 1000) << what;
        fmt::print("{}: longest pause of 1,000 datagrams/s {:.1f} ms, {} of {} lost\n", what, report.longest_pause_ms,
                   report.lost, report.sent);
    };
    follow("through the router", "route add 192.0.2.2 via 192.0.2.254", "vxlan via 192.0.2.254");
    expect_way(*beside_, "192.0.2.1", "direct via 192.0.2.1"); // its own routes are as they were
    follow("direct again", "route del 192.0.2.2 via 192.0.2.254", "direct via 192.0.2.2");
    EXPECT_EQ(transfer.wait_for(0s), std::future_status::timeout) << "it was over before the last change";
    WEFT_ASSERT_ASSIGN(const auto done, transfer.get());
    EXPECT_LT(done.longest_pause_s, 1);
    for (const auto *node : {near_, beside_}) expect_no_drops(*node);
}

INSTANTIATE_TEST_SUITE_P(Setups, DirectRouting,
                         testing::ValuesIn(with_backends({"direct"},
                                                         {{"tc", WireMode::offload}, {"xdp", WireMode::bare}})),
                         setup_name);

class HostGw : public AcrossARouter {};

TEST_P(HostGw, ANodeOffTheSegmentIsNamedAndReachedOnceItIsOnIt) {
    WEFT_ASSERT_ASSIGN(const auto near, subnet_of(*near_));
    WEFT_ASSERT_ASSIGN(const auto far, subnet_of(*far_));
    const auto said =
        fmt::format("its node 198.51.100.3 is not on the segment of this node's 192.0.2.1, as host-gw needs it: "
                    "the route leads through 192.0.2.254");
    ASSERT_TRUE(wait_until([&] { return unusable(*near_, far) == said; })) << unusable(*near_, far);
    ASSERT_TRUE(wait_until([&] { return unusable(*far_, near).find("198.51.100.254") != std::string::npos; }))
        << unusable(*far_, near);
    EXPECT_NE(near_->daemon()->err().find(fmt::format("lease {} is not used: {}", far, said)), std::string::npos);
    expect_way(*near_, "192.0.2.2", "direct via 192.0.2.2");
    WEFT_EXPECT_OK(tcp_transfer(pods_[0]->ns, pods_[1]->address, kMiB));
    WEFT_EXPECT_OK(tcp_transfer(pods_[1]->ns, pods_[0]->address, kMiB));

    join_segments();
    for (const auto *node : {near_, beside_}) WEFT_ASSERT_OK(node->netns().ip("route add 198.51.100.0/24 dev eth0"));
    WEFT_ASSERT_OK(far_->netns().ip("route add 192.0.2.0/24 dev eth0"));
    expect_way(*near_, "198.51.100.3", "direct via 198.51.100.3", 2s);
    expect_way(*far_, "192.0.2.1", "direct via 192.0.2.1", 2s);
    expect_way(*far_, "192.0.2.2", "direct via 192.0.2.2", 2s);
    EXPECT_EQ(unusable(*near_, far), "");
    expect_all_reach_all();
}

INSTANTIATE_TEST_SUITE_P(Setups, HostGw,
                         testing::ValuesIn(with_backends({"host-gw"},
                                                         {{"tc", WireMode::offload}, {"xdp", WireMode::bare}})),
                         setup_name);

} // namespace
} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
// EnableIPv6 in a running cluster, and off again, the nodes restarted one after the other: docs/switching-families.md.
#include <gtest/gtest.h>

#include <array>

#include <fmt/format.h>

#include "cluster_fixture.hpp"

namespace weft::test {
namespace {

class FamilySwitch : public ClusterTest {
protected:
    void SetUp() override {
        ClusterTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        for (auto &node : nodes_) {
            WEFT_ASSERT_ASSIGN(node, cluster_->add_node());
        }
        WEFT_ASSERT_OK(cluster_->settle());
        for (std::size_t n = 0; n < nodes_.size(); ++n) {
            WEFT_ASSERT_ASSIGN(pods_[n], nodes_[n]->add_pod());
            WEFT_ASSERT_ASSIGN(bases_[n], nodes_[n]->base_address());
        }
    }

    void configure(Families pods) {
        auto setup = GetParam();
        setup.pods = pods;
        WEFT_ASSERT_OK(cluster_->etcd().put("/coreos.com/network/config", setup.net_conf()));
    }
    void restart(WeftNode &node) {
        WEFT_ASSERT_OK(node.stop());
        WEFT_ASSERT_OK(cluster_->start_node(node));
    }
    static bool has_ipv6(const WeftNode &node) { return node.base_address(Family::v6).has_value(); }

    /// Every node reaches every other node's first pod, and has the IPv4 subnet that it had.
    void expect_ipv4() {
        for (std::size_t n = 0; n < nodes_.size(); ++n) {
            WEFT_EXPECT_OK(ping(pods_[n]->ns, pods_[(n + 1) % pods_.size()]->address, 1));
            EXPECT_EQ(nodes_[n]->base_address().value_or(""), bases_[n]);
        }
    }

    std::array<WeftNode *, 3> nodes_{};
    std::array<Pod *, 3> pods_{};
    std::array<std::string, 3> bases_;
};

TEST_P(FamilySwitch, OnAndOffAgainWithoutALostPacketOfIpv4) {
    WEFT_ASSERT_ASSIGN(auto flow, SteadyFlow::start(pods_[0]->ns, pods_[1]->address));
    configure(Families::dual);
    for (auto *node : nodes_) {
        for (const auto *other : nodes_) EXPECT_FALSE(has_ipv6(*other)) << "while a node is left that knows no IPv6";
        restart(*node);
        ASSERT_FALSE(HasFatalFailure());
        expect_ipv4();
    }
    for (const auto *node : nodes_) ASSERT_TRUE(wait_until([&] { return has_ipv6(*node); })) << node->name();
    std::vector<Pod *> both;
    for (auto *node : nodes_) {
        WEFT_ASSERT_OK(node->wait_for_leases(2 * (nodes_.size() - 1)));
        WEFT_ASSERT_ASSIGN(auto *pod, node->add_pod());
        both.push_back(pod);
    }
    for (const auto *from : both)
        for (const auto *to : both) {
            if (from == to) continue;
            for (const auto family : {Family::v4, Family::v6}) WEFT_EXPECT_OK(ping(from->ns, to->at(family), 1));
            WEFT_EXPECT_OK(tcp_transfer(from->ns, to->address6, 1024 * 1024));
        }
    expect_ipv4();

    configure(Families::v4);
    for (auto *node : nodes_) {
        restart(*node);
        ASSERT_FALSE(HasFatalFailure());
        EXPECT_FALSE(has_ipv6(*node));
        expect_ipv4();
    }
    WEFT_EXPECT_OK(ping(both[0]->ns, both[1]->address, 1));
    WEFT_ASSERT_ASSIGN(const auto report, flow.report());
    EXPECT_EQ(report.lost, 0u);
    fmt::print("longest pause of 1,000 datagrams/s {:.1f} ms, {} of {} lost\n", report.longest_pause_ms, report.lost,
               report.sent);
}

std::vector<Setup> switched_setups() {
    auto setups = with_backends({"vxlan", "host-gw"}, {{"tc", WireMode::offload}});
    for (auto &setup : setups) setup.underlay = Families::dual;
    return setups;
}
INSTANTIATE_TEST_SUITE_P(Setups, FamilySwitch, testing::ValuesIn(switched_setups()), setup_name);

} // namespace
} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
// Cluster services beside the fast path: kube-proxy's rules rewrite flows in the host stack, both directions of which must pass
// it, whatever the programs could forward themselves.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "cluster_fixture.hpp"

namespace weft::test {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;
constexpr const char *kServiceIp = "10.96.0.10";
constexpr std::uint16_t kNodePort = 30000;

/// kube-proxy's rules in iptables mode for one service of one endpoint, and its drop of what conntrack finds invalid.
std::string kube_rules(const std::string &endpoint) {
    std::string rules = R"(*filter
:KUBE-FORWARD - [0:0]
-A FORWARD -j KUBE-FORWARD
-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP
-A KUBE-FORWARD -m mark --mark 0x4000/0x4000 -j ACCEPT
-A KUBE-FORWARD -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
COMMIT
*nat
:KUBE-SERVICES - [0:0]
:KUBE-NODEPORTS - [0:0]
:KUBE-MARK-MASQ - [0:0]
:KUBE-SVC - [0:0]
:KUBE-SEP - [0:0]
:KUBE-POSTROUTING - [0:0]
-A PREROUTING -j KUBE-SERVICES
-A OUTPUT -j KUBE-SERVICES
-A POSTROUTING -j KUBE-POSTROUTING
-A KUBE-MARK-MASQ -j MARK --or-mark 0x4000
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MARK --xor-mark 0x4000
-A KUBE-POSTROUTING -j MASQUERADE --random-fully
)";
    for (const auto *protocol : {"tcp", "udp"}) {
        rules += fmt::format("-A KUBE-SERVICES -d {ip}/32 -p {proto} --dport {port} -j KUBE-SVC\n"
                             "-A KUBE-NODEPORTS -p {proto} --dport {nodeport} -j KUBE-MARK-MASQ\n"
                             "-A KUBE-NODEPORTS -p {proto} --dport {nodeport} -j KUBE-SVC\n"
                             "-A KUBE-SEP -p {proto} -j DNAT --to-destination {endpoint}:{port}\n",
                             fmt::arg("ip", kServiceIp), fmt::arg("proto", protocol), fmt::arg("port", kTrafficPort),
                             fmt::arg("nodeport", kNodePort), fmt::arg("endpoint", endpoint));
    }
    return rules + fmt::format("-A KUBE-SERVICES -m addrtype --dst-type LOCAL -j KUBE-NODEPORTS\n"
                               "-A KUBE-SVC ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ\n"
                               "-A KUBE-SVC -j KUBE-SEP\n"
                               "-I KUBE-SEP -s {}/32 -j KUBE-MARK-MASQ\n"
                               "COMMIT\n",
                               endpoint);
}

class Services : public ClusterTest {
protected:
    void SetUp() override {
        ClusterTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        WEFT_ASSERT_ASSIGN(one_, cluster_->add_node());
        WEFT_ASSERT_ASSIGN(two_, cluster_->add_node());
        WEFT_ASSERT_OK(cluster_->settle());
        WEFT_ASSERT_ASSIGN(client_, one_->add_pod());
        WEFT_ASSERT_ASSIGN(beside_, one_->add_pod());
        WEFT_ASSERT_ASSIGN(remote_, two_->add_pod());
    }
    void TearDown() override {
        for (const auto *node : {one_, two_}) {
            if (node) expect_no_drops(*node);
        }
    }

    /// The service with this pod behind it, on both nodes.
    Status serve_from(const Pod &pod) {
        for (const auto *node : {one_, two_}) {
            auto out = node->netns().run({"iptables-restore"}, {.input = kube_rules(pod.address)});
            if (!out) return fail_as_is(std::move(out));
        }
        return {};
    }

    void expect_service(const Netns &from, const std::string &seen_as) {
        for (const auto direction : {Direction::send, Direction::receive}) {
            WEFT_ASSERT_ASSIGN(const auto transfer, tcp_transfer(from, kServiceIp, 4 * kMiB, {.direction = direction}));
            EXPECT_EQ(transfer.seen_as, seen_as);
        }
        WEFT_EXPECT_OK(udp_echo(from, kServiceIp, {1, 1400, 4000}, 3));
    }

    WeftNode *one_ = nullptr, *two_ = nullptr;
    Pod *client_ = nullptr, *beside_ = nullptr, *remote_ = nullptr;
};

TEST_P(Services, APodIsServedByAPodElsewhere) {
    WEFT_ASSERT_OK(serve_from(*remote_));
    WEFT_ASSERT_ASSIGN(const auto before, one_->counters());
    expect_service(client_->ns, client_->address);
    WEFT_ASSERT_ASSIGN(const auto after, one_->counters());
    const auto counted = after.all - before.all;
    EXPECT_GT(count(counted, "from_wire/nated") + count(counted, "xdp_wire/nated"), 0u)
        << "answers have to be rewritten in the stack: " << to_string(counted);
}

TEST_P(Services, APodIsServedByItsNeighbour) {
    WEFT_ASSERT_OK(serve_from(*beside_));
    expect_service(client_->ns, client_->address);
}

TEST_P(Services, APodIsServedByItself) {
    WEFT_ASSERT_OK(serve_from(*client_));
    WEFT_EXPECT_OK(tcp_transfer(client_->ns, kServiceIp, kMiB));
}

TEST_P(Services, TheNodeItselfIsServed) {
    WEFT_ASSERT_OK(serve_from(*remote_));
    WEFT_ASSERT_ASSIGN(const auto base, one_->base_address());
    expect_service(one_->netns(), base);
}

TEST_P(Services, TheWorldIsServedThroughAnyNode) {
    WEFT_ASSERT_OK(serve_from(*remote_));
    for (const auto *node : {"192.0.2.1", "192.0.2.2"}) { // not where the pod is, and there
        for (const auto direction : {Direction::send, Direction::receive})
            WEFT_EXPECT_OK(
                tcp_transfer(cluster_->world(), node, 4 * kMiB, {.direction = direction, .port = kNodePort}));
        WEFT_EXPECT_OK(udp_echo(cluster_->world(), node, {1, 1400}, 3, kNodePort));
    }
}

TEST_P(Services, OneSourcePortServesDirectAndServiceFlowsInTurn) {
    WEFT_ASSERT_OK(serve_from(*remote_));
    // The same two addresses and ports at the pod behind the service: what was true of the last flow is not true of the next.
    for (int round = 0; round < 3; ++round) {
        for (const auto &to : {remote_->address, std::string(kServiceIp)})
            WEFT_EXPECT_OK(tcp_transfer(client_->ns, to, kMiB, {.source_port = 40000, .timeout = 10s}));
    }
}

TEST_P(Services, RulesCostDirectFlowsNothing) {
    WEFT_ASSERT_OK(serve_from(*remote_));
    WEFT_ASSERT_ASSIGN(const auto before, one_->counters());
    WEFT_EXPECT_OK(tcp_transfer(client_->ns, remote_->address, 16 * kMiB));
    WEFT_ASSERT_ASSIGN(const auto after, one_->counters());
    const auto counted = after.all - before.all;
    EXPECT_EQ(count(counted, "from_pod/nated"), 0u) << to_string(counted);
    EXPECT_GE(count(counted, "from_pod/encap"), 16 * kMiB / 1450) << to_string(counted);
}

INSTANTIATE_TEST_SUITE_P(Setups, Services, kEverySetup, setup_name);

} // namespace
} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
// Three nodes, six pods: everything reaches everything, unchanged, and the fast path carried it.
#include <gtest/gtest.h>

#include <vector>

#include <fmt/format.h>

#include "cluster_fixture.hpp"

namespace weft::test {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

class Traffic : public ClusterTest {
protected:
    void SetUp() override {
        ClusterTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        for (int n = 0; n < 3; ++n) {
            WEFT_ASSERT_ASSIGN(auto node, cluster_->add_node());
            nodes_.push_back(node);
        }
        WEFT_ASSERT_OK(cluster_->settle());
        for (auto *node : nodes_) {
            for (int n = 0; n < 2; ++n) {
                WEFT_ASSERT_ASSIGN(auto pod, node->add_pod());
                pods_.push_back(pod);
            }
        }
    }
    void TearDown() override {
        for (auto *node : nodes_) expect_no_drops(*node);
    }

    /// The n-th node's two pods; n from 0.
    [[nodiscard]] Pod &pod(std::size_t node, std::size_t n) const { return *pods_[2 * node + n]; }

    void expect_transfers(const Netns &from, const std::string &to, const std::string &seen_as, std::uint64_t bytes) {
        for (const auto direction : {Direction::send, Direction::receive}) {
            WEFT_ASSERT_ASSIGN(const auto transfer, tcp_transfer(from, to, bytes, {.direction = direction}));
            EXPECT_EQ(transfer.bytes, bytes);
            EXPECT_EQ(transfer.seen_as, seen_as) << from.name() << " to " << to;
        }
    }

    std::vector<WeftNode *> nodes_;
    std::vector<Pod *> pods_;
};

TEST_P(Traffic, EveryPodReachesEveryOther) {
    for (const auto *from : pods_) {
        for (const auto *to : pods_) {
            if (from == to) continue;
            WEFT_EXPECT_OK(ping(from->ns, to->address, 1));
            WEFT_EXPECT_OK(udp_echo(from->ns, to->address, {1, 64, GetParam().mtu() - 28}));
            expect_transfers(from->ns, to->address, from->address, kMiB + 3);
        }
    }
}

TEST_P(Traffic, BulkArrivesUnchangedOnTheFastPath) {
    auto &from = pod(0, 0);
    auto &to = pod(1, 0);
    WEFT_ASSERT_ASSIGN(const auto sender_before, nodes_[0]->counters());
    WEFT_ASSERT_ASSIGN(const auto receiver_before, nodes_[1]->counters());
    expect_transfers(from.ns, to.address, from.address, 64 * kMiB);
    WEFT_ASSERT_ASSIGN(const auto sender_after, nodes_[0]->counters());
    WEFT_ASSERT_ASSIGN(const auto receiver_after, nodes_[1]->counters());

    const auto sent = sender_after.all - sender_before.all;
    const auto received = receiver_after.all - receiver_before.all;
    constexpr auto kSegments = 64 * kMiB / 1500; // as they are on the wire, whatever the offloads
    EXPECT_GE(count(sent, "from_pod/encap"), kSegments) << to_string(sent);
    EXPECT_GE(count(received, pop_counter()), kSegments) << to_string(received);
    EXPECT_GE(count(received, "from_wire/decap_to_pod"), kSegments) << to_string(received);
    EXPECT_EQ(count(sent, "from_pod/nated") + count(sent, "from_pod/too_big"), 0u) << to_string(sent);
}

TEST_P(Traffic, BigDatagramsCrossInFragments) {
    WEFT_EXPECT_OK(udp_echo(pod(0, 0).ns, pod(1, 0).address, {GetParam().mtu() - 27, 3000, 9000, 60000}, 3));
    WEFT_EXPECT_OK(udp_echo(pod(2, 0).ns, pod(2, 1).address, {GetParam().mtu() - 27, 60000}, 3));
    WEFT_EXPECT_OK(ping(pod(0, 0).ns, pod(1, 0).address, 3, "-s 4000"));
}

TEST_P(Traffic, APacketTooBigIsAnsweredNotLost) {
    const auto fits = GetParam().mtu() - 28; // bytes of ICMP payload
    WEFT_EXPECT_OK(ping(pod(0, 0).ns, pod(1, 0).address, 2, fmt::format("-M do -s {}", fits)));
    WEFT_ASSERT_ASSIGN(const auto out, pod(0, 0).ns.output(words(fmt::format("ping -n -c 1 -W 2 -M do -s {} {}",
                                                                             fits + 1, pod(1, 0).address))));
    EXPECT_NE(out.code, 0);
    EXPECT_NE((out.out + out.err).find(fmt::format("mtu={}", GetParam().mtu())), std::string::npos)
        << out.out << out.err;
}

/// With a TTL too short, whoever discards the packet says so: the same hops as in a flannel cluster.
TEST_P(Traffic, APathIsSeenHopByHop) {
    WEFT_ASSERT_ASSIGN(const auto base, nodes_[0]->base_address());
    WEFT_ASSERT_ASSIGN(const auto remote_base, nodes_[1]->base_address());
    const auto gateway = (*parse_ip4(base) + 1).to_string();
    for (const auto &[ttl, answer] : {std::pair{1, "From " + gateway + " "}, std::pair{2, "From " + remote_base + " "},
                                      std::pair{3, "bytes from " + pod(1, 0).address + ": icmp_seq=1 ttl=62"}}) {
        WEFT_ASSERT_ASSIGN(const auto out, pod(0, 0).ns.output(words(
                                               fmt::format("ping -n -c 1 -W 2 -t {} {}", ttl, pod(1, 0).address))));
        EXPECT_NE(out.out.find(answer), std::string::npos) << "TTL " << ttl << ": " << out.out;
    }
}

TEST_P(Traffic, NodesAndPodsReachEachOther) {
    for (std::size_t n = 0; n < nodes_.size(); ++n) {
        const auto &here = nodes_[n]->netns();
        WEFT_ASSERT_ASSIGN(const auto server, serve_traffic(here));
        WEFT_ASSERT_ASSIGN(const auto base, nodes_[n]->base_address());
        const auto next = (n + 1) % nodes_.size();
        const auto node_address = fmt::format("192.0.2.{}", n + 1);
        const auto gateway = (*parse_ip4(base) + 1).to_string();

        // The node to pods elsewhere: as weft.1's address, as flannel's nodes do.
        WEFT_EXPECT_OK(ping(here, pod(next, 0).address));
        WEFT_EXPECT_OK(udp_echo(here, pod(next, 0).address, {1, 1400, 5000}));
        expect_transfers(here, pod(next, 0).address, base, 4 * kMiB);
        // To its own pods.
        WEFT_EXPECT_OK(ping(here, pod(n, 0).address));
        expect_transfers(here, pod(n, 0).address, gateway, 4 * kMiB);
        // Pods elsewhere to the node's overlay address.
        WEFT_EXPECT_OK(ping(pod(next, 1).ns, base));
        WEFT_EXPECT_OK(udp_echo(pod(next, 1).ns, base, {1, 1400, 5000}));
        expect_transfers(pod(next, 1).ns, base, pod(next, 1).address, 4 * kMiB);
        // Its own pods to the node, at each address.
        for (const auto &address : {base, gateway, node_address}) {
            WEFT_EXPECT_OK(ping(pod(n, 1).ns, address, 1));
            expect_transfers(pod(n, 1).ns, address, pod(n, 1).address, kMiB);
        }
        // Pods elsewhere to the node's own address: outside the pod network, so their node masquerades.
        expect_transfers(pod(next, 1).ns, node_address, fmt::format("192.0.2.{}", next + 1), kMiB);
    }
}

TEST_P(Traffic, TheWorldSeesTheNode) {
    WEFT_EXPECT_OK(ping(pod(0, 0).ns, Cluster::kWorld));
    expect_transfers(pod(0, 0).ns, Cluster::kWorld, "192.0.2.1", 4 * kMiB);
    expect_transfers(pod(2, 1).ns, Cluster::kWorld, "192.0.2.3", 4 * kMiB);
}

INSTANTIATE_TEST_SUITE_P(Setups, Traffic, kEverySetup, setup_name);
INSTANTIATE_TEST_SUITE_P(Backends, Traffic, kEveryBackend, setup_name);

} // namespace
} // namespace weft::test

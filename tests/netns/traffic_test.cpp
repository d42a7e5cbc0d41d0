// SPDX-License-Identifier: Apache-2.0
// Three nodes, six pods: everything reaches everything, unchanged, and the fast path carried it.
#include <gtest/gtest.h>

#include <optional>
#include <vector>

#include <fmt/format.h>

#include "shared_cluster.hpp"

namespace weft::test {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

struct ThreeNodes {
    Status build(Cluster &cluster, const Setup &) {
        for (int n = 0; n < 3; ++n) {
            auto node = cluster.add_node();
            if (!node) return fail_as_is(std::move(node));
            nodes.push_back(*node);
        }
        if (auto settled = cluster.settle(); !settled) return settled;
        for (auto *node : nodes) {
            for (int n = 0; n < 2; ++n) {
                auto pod = node->add_pod();
                if (!pod) return fail_as_is(std::move(pod));
                pods.push_back(*pod);
            }
        }
        return {};
    }

    std::vector<WeftNode *> nodes;
    std::vector<Pod *> pods; ///< two of each
};

class Traffic : public SharedClusterTest<ThreeNodes> {
protected:
    void TearDown() override {
        if (IsSkipped()) return;
        for (auto *node : nodes().nodes) expect_no_drops(*node);
        SharedClusterTest::TearDown();
    }

    [[nodiscard]] static std::vector<Family> families() { return members(GetParam().pods); }
    /// The longest UDP payload or ICMP echo that a packet has room for.
    [[nodiscard]] static std::size_t payload(Family family) { return GetParam().mtu() - header_size(family) - 8; }
    /// What pods see of the n-th node outside the pod network, n from 0: nothing where the segment has no such addresses.
    [[nodiscard]] static std::optional<std::string> node_address(std::size_t n, Family family) {
        if (!(family == Family::v4 ? has_v4(GetParam().underlay) : has_v6(GetParam().underlay))) return std::nullopt;
        return Cluster::node_address(n + 1, family);
    }

    /// The n-th node's two pods; n from 0.
    [[nodiscard]] static Pod &pod(std::size_t node, std::size_t n) { return *nodes().pods[2 * node + n]; }

    void expect_transfers(const Netns &from, const std::string &to, const std::string &seen_as, std::uint64_t bytes) {
        for (const auto direction : {Direction::send, Direction::receive}) {
            WEFT_ASSERT_ASSIGN(const auto transfer, tcp_transfer(from, to, bytes, {.direction = direction}));
            EXPECT_EQ(transfer.bytes, bytes);
            EXPECT_EQ(transfer.seen_as, seen_as) << from.name() << " to " << to;
        }
    }
};

TEST_P(Traffic, EveryPodReachesEveryOther) {
    for (const auto family : families()) {
        for (const auto *from : nodes().pods) {
            for (const auto *to : nodes().pods) {
                if (from == to) continue;
                WEFT_EXPECT_OK(ping(from->ns, to->at(family), 1));
                WEFT_EXPECT_OK(udp_echo(from->ns, to->at(family), {1, 64, payload(family)}));
                expect_transfers(from->ns, to->at(family), from->at(family), kMiB + 3);
            }
        }
    }
}

TEST_P(Traffic, BulkArrivesUnchangedOnTheFastPath) {
    auto &from = pod(0, 0);
    auto &to = pod(1, 0);
    for (const auto family : families()) {
        WEFT_ASSERT_ASSIGN(const auto sender_before, nodes().nodes[0]->counters());
        WEFT_ASSERT_ASSIGN(const auto receiver_before, nodes().nodes[1]->counters());
        expect_transfers(from.ns, to.at(family), from.at(family), 64 * kMiB);
        WEFT_ASSERT_ASSIGN(const auto sender_after, nodes().nodes[0]->counters());
        WEFT_ASSERT_ASSIGN(const auto receiver_after, nodes().nodes[1]->counters());

        const auto sent = sender_after.all - sender_before.all;
        const auto received = receiver_after.all - receiver_before.all;
        constexpr auto kSegments = 64 * kMiB / 1500; // as they are on the wire, whatever the offloads
        EXPECT_GE(count(sent, "from_pod/encap"), kSegments) << to_string(sent);
        EXPECT_GE(count(received, pop_counter(GetParam())), kSegments) << to_string(received);
        EXPECT_GE(count(received, "from_wire/decap_to_pod"), kSegments) << to_string(received);
        EXPECT_EQ(count(sent, "from_pod/nated") + count(sent, "from_pod/too_big"), 0u) << to_string(sent);
    }
}

TEST_P(Traffic, BigDatagramsCrossInFragments) {
    for (const auto family : families()) {
        WEFT_EXPECT_OK(udp_echo(pod(0, 0).ns, pod(1, 0).at(family), {payload(family) + 1, 3000, 9000, 60000}, 3));
        WEFT_EXPECT_OK(udp_echo(pod(2, 0).ns, pod(2, 1).at(family), {payload(family) + 1, 60000}, 3));
        WEFT_EXPECT_OK(ping(pod(0, 0).ns, pod(1, 0).at(family), 3, "-s 4000"));
    }
}

TEST_P(Traffic, APacketTooBigIsAnsweredNotLost) {
    for (const auto family : families()) {
        const auto &to = pod(1, 0).at(family);
        WEFT_EXPECT_OK(ping(pod(0, 0).ns, to, 2, fmt::format("-M do -s {}", payload(family))));
        WEFT_ASSERT_ASSIGN(const auto out, pod(0, 0).ns.output(words(fmt::format("ping -n -c 1 -W 2 -M do -s {} {}",
                                                                                 payload(family) + 1, to))));
        EXPECT_NE(out.code, 0);
        const auto said = fmt::format("mtu{}{}", family == Family::v4 ? "=" : ": ", GetParam().mtu());
        EXPECT_NE((out.out + out.err).find(said), std::string::npos) << out.out << out.err;
    }
}

/// With a TTL too short, whoever discards the packet says so: the same hops as in a flannel cluster.
TEST_P(Traffic, APathIsSeenHopByHop) {
    for (const auto family : families()) {
        WEFT_ASSERT_ASSIGN(const auto base, nodes().nodes[0]->base_address(family));
        WEFT_ASSERT_ASSIGN(const auto remote_base, nodes().nodes[1]->base_address(family));
        const auto &to = pod(1, 0).at(family);
        const auto gateway = (*parse_ip(base) + 1).to_string();
        for (const auto &[ttl, answer] :
             {std::pair{1, "From " + gateway + " "}, std::pair{2, "From " + remote_base + " "},
              std::pair{3, "bytes from " + to + ": icmp_seq=1 ttl=62"}}) {
            WEFT_ASSERT_ASSIGN(const auto out,
                               pod(0, 0).ns.output(words(fmt::format("ping -n -c 1 -W 2 -t {} {}", ttl, to))));
            EXPECT_NE(out.out.find(answer), std::string::npos) << "TTL " << ttl << ": " << out.out;
        }
    }
}

TEST_P(Traffic, NodesAndPodsReachEachOther) {
    for (std::size_t n = 0; n < nodes().nodes.size(); ++n) {
        const auto &here = nodes().nodes[n]->netns();
        WEFT_ASSERT_ASSIGN(const auto server, serve_traffic(here));
        const auto next = (n + 1) % nodes().nodes.size();
        for (const auto family : families()) {
            WEFT_ASSERT_ASSIGN(const auto base, nodes().nodes[n]->base_address(family));
            const auto gateway = (*parse_ip(base) + 1).to_string();

            // The node to pods elsewhere: as weft.1's address, as flannel's nodes do.
            WEFT_EXPECT_OK(ping(here, pod(next, 0).at(family)));
            WEFT_EXPECT_OK(udp_echo(here, pod(next, 0).at(family), {1, 1400, 5000}));
            expect_transfers(here, pod(next, 0).at(family), base, 4 * kMiB);
            // To its own pods.
            WEFT_EXPECT_OK(ping(here, pod(n, 0).at(family)));
            expect_transfers(here, pod(n, 0).at(family), gateway, 4 * kMiB);
            // Pods elsewhere to the node's overlay address.
            WEFT_EXPECT_OK(ping(pod(next, 1).ns, base));
            WEFT_EXPECT_OK(udp_echo(pod(next, 1).ns, base, {1, 1400, 5000}));
            expect_transfers(pod(next, 1).ns, base, pod(next, 1).at(family), 4 * kMiB);
            // Its own pods to the node, at each address.
            const auto own = node_address(n, family);
            for (const auto &address : {base, gateway, own.value_or(gateway)}) {
                WEFT_EXPECT_OK(ping(pod(n, 1).ns, address, 1));
                expect_transfers(pod(n, 1).ns, address, pod(n, 1).at(family), kMiB);
            }
            // Pods elsewhere to the node's own address: outside the pod network, so their node masquerades.
            if (own) expect_transfers(pod(next, 1).ns, *own, *node_address(next, family), kMiB);
        }
    }
}

TEST_P(Traffic, TheWorldSeesTheNode) {
    for (const auto family : families()) {
        if (!node_address(0, family)) continue;
        WEFT_EXPECT_OK(ping(pod(0, 0).ns, Cluster::world(family)));
        expect_transfers(pod(0, 0).ns, Cluster::world(family), *node_address(0, family), 4 * kMiB);
        expect_transfers(pod(2, 1).ns, Cluster::world(family), *node_address(2, family), 4 * kMiB);
    }
}

INSTANTIATE_TEST_SUITE_P(Setups, Traffic, kEverySetup, setup_name);
INSTANTIATE_TEST_SUITE_P(Backends, Traffic, kEveryBackend, setup_name);
INSTANTIATE_TEST_SUITE_P(Families, Traffic, kEveryFamily, setup_name);

} // namespace
} // namespace weft::test

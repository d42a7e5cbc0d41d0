// SPDX-License-Identifier: Apache-2.0
// Rules in the host's FORWARD chain, as network policy controllers write them: what they see of pods' packets, and how to make
// them see all.
#include <gtest/gtest.h>

#include <array>

#include <fmt/format.h>

#include "cluster_fixture.hpp"

namespace weft::test {
namespace {

constexpr std::uint64_t kBytes = 1024 * 1024;
constexpr std::uint64_t kPackets = kBytes / 1450;

class ForwardRules : public ClusterTest {
protected:
    void SetUp() override {
        ClusterTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        for (auto &node : nodes_) {
            WEFT_ASSERT_ASSIGN(node, cluster_->add_stopped_node());
        }
    }
    void TearDown() override {
        for (const auto *node : nodes_) {
            if (node) expect_no_drops(*node);
        }
    }

    void start(const std::string &flag) {
        for (auto *node : nodes_) {
            auto options = cluster_->node_options();
            options.flags = {flag};
            WEFT_ASSERT_OK(node->start(options));
        }
        WEFT_ASSERT_OK(cluster_->settle());
    }
    void restart(const std::string &flag) {
        for (auto *node : nodes_) WEFT_ASSERT_OK(node->stop());
        start(flag);
    }
    void add_pods() {
        WEFT_ASSERT_ASSIGN(client_, nodes_[0]->add_pod());
        WEFT_ASSERT_ASSIGN(beside_, nodes_[0]->add_pod());
        WEFT_ASSERT_ASSIGN(remote_, nodes_[1]->add_pod());
    }

    /// What a policy against all traffic to the pod comes to, on the node of the pod.
    Status forbid(const WeftNode &node, const Pod &pod) {
        auto out = node.netns().run(fmt::format("iptables --wait 5 -I FORWARD -d {} -j DROP", pod.address));
        if (!out) return fail_as_is(std::move(out));
        return {};
    }
    [[nodiscard]] bool reaches(const Pod &pod) const {
        return tcp_transfer(client_->ns, pod.address, kBytes, {.timeout = 500ms}).has_value() &&
               udp_exchange(client_->ns, pod.address, {.answer_within = 300ms}).has_value();
    }

    std::array<WeftNode *, 2> nodes_{};
    Pod *client_ = nullptr, *beside_ = nullptr, *remote_ = nullptr;
};

TEST_P(ForwardRules, SeeEveryPacketWithTheFastPathOff) {
    start("--fast-path=off");
    add_pods();
    if (HasFatalFailure()) return;
    for (const auto *pod : {beside_, remote_}) {
        for (const auto direction : {Direction::send, Direction::receive}) {
            WEFT_ASSERT_ASSIGN(const auto transfer,
                               tcp_transfer(client_->ns, pod->address, kBytes, {.direction = direction}));
            EXPECT_EQ(transfer.seen_as, client_->address);
        }
        WEFT_EXPECT_OK(udp_echo(client_->ns, pod->address, {1, 1400, 4000}, 3));
        WEFT_EXPECT_OK(ping(client_->ns, pod->address));
    }
    WEFT_ASSERT_ASSIGN(const auto near, nodes_[0]->counters());
    WEFT_ASSERT_ASSIGN(const auto far, nodes_[1]->counters());
    EXPECT_GE(count(near.all, "from_pod/fast_path_off"), 2 * kPackets) << to_string(near.all);
    EXPECT_GE(count(far.all, "from_wire/fast_path_off"), kPackets) << to_string(far.all);
    for (const auto *fast : {"from_pod/encap", "from_pod/to_pod", "from_wire/decap_to_pod", "xdp_wire/xdp_popped"})
        EXPECT_EQ(count(near.all, fast) + count(far.all, fast), 0u) << fast;

    WEFT_ASSERT_OK(forbid(*nodes_[0], *beside_));
    WEFT_ASSERT_OK(forbid(*nodes_[1], *remote_));
    EXPECT_FALSE(reaches(*beside_));
    EXPECT_FALSE(reaches(*remote_));
}

/// What docs/packet-paths.md warns of, and the way out of it while pods run.
TEST_P(ForwardRules, AreBypassedByTheFastPathUntilItIsTurnedOff) {
    start("--fast-path=on");
    add_pods();
    if (HasFatalFailure()) return;
    WEFT_ASSERT_OK(forbid(*nodes_[0], *beside_));
    WEFT_ASSERT_OK(forbid(*nodes_[1], *remote_));
    EXPECT_TRUE(reaches(*beside_));
    EXPECT_TRUE(reaches(*remote_));

    restart("--fast-path=off");
    if (HasFatalFailure()) return;
    EXPECT_FALSE(reaches(*beside_));
    EXPECT_FALSE(reaches(*remote_));
    restart("--fast-path=on");
    if (HasFatalFailure()) return;
    EXPECT_TRUE(reaches(*beside_));
    EXPECT_TRUE(reaches(*remote_));
}

INSTANTIATE_TEST_SUITE_P(Setups, ForwardRules,
                         testing::Values(Setup{"tc", WireMode::offload}, Setup{"xdp", WireMode::bare}), setup_name);

} // namespace
} // namespace weft::test

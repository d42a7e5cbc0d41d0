// SPDX-License-Identifier: Apache-2.0
// What a table of single flows (packet_paths_test.cpp) cannot tell of services: several backends, ports used again while
// conntrack remembers their last use, entries that expire or are flushed, clusters that do not masquerade.
#include <set>

#include "service_fixture.hpp"

namespace weft::test {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

class Services : public ServiceCluster {
protected:
    void SetUp() override {
        ServiceCluster::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        WEFT_ASSERT_ASSIGN(invalid_before_, invalid());
    }
    void TearDown() override {
        if (!IsSkipped() && !HasFatalFailure()) {
            WEFT_ASSERT_ASSIGN(const auto now, invalid());
            EXPECT_EQ(now, invalid_before_) << "conntrack called packets invalid";
        }
        ServiceCluster::TearDown();
    }

    /// A transfer from the client pod, in the direction whose bulk comes back, which is the harder one for NAT.
    void expect_tcp(const std::string &to, std::uint16_t source_port) {
        WEFT_ASSERT_ASSIGN(const auto transfer,
                           tcp_transfer(client_->ns, to, kMiB / 4,
                                        {.direction = Direction::receive, .source_port = source_port, .timeout = 10s}));
        EXPECT_EQ(transfer.seen_as, client_->address);
        EXPECT_EQ(transfer.served_by, on_2_->address);
    }
    void expect_udp(const std::string &to, std::uint16_t source_port) {
        WEFT_ASSERT_ASSIGN(const auto seen_as,
                           udp_exchange(client_->ns, to, {.sizes = {1, 1400}, .count = 5, .source_port = source_port}));
        EXPECT_EQ(seen_as, client_->address);
    }
    /// Packets counted on node 1 for `name` by `body`.
    template <class Body> std::uint64_t counted(const std::string &name, Body body) {
        const auto before = nodes_[0]->counters();
        body();
        const auto after = nodes_[0]->counters();
        if (before && after) return count(after->all - before->all, name);
        ADD_FAILURE() << "no counters";
        return 0;
    }
    /// Waits until conntrack of node 1 has forgotten a UDP flow's source port.
    void await_forgotten(std::uint16_t source_port) {
        const auto list = words(fmt::format("conntrack -L -p udp --orig-port-src {}", source_port));
        EXPECT_TRUE(wait_until(
            [&] {
                const auto out = nodes_[0]->netns().output(list);
                return out && out->code == 0 && out->out.empty();
            },
            20s, 100ms))
            << "the entry does not expire";
    }

private:
    std::uint64_t invalid_before_ = 0;
};

TEST_P(Services, EveryBackendServes) {
    std::map<std::string, int> served;
    for (int n = 0; n < 24; ++n) { // one of two backends alone: 1 in 2^23
        WEFT_ASSERT_ASSIGN(const auto transfer, tcp_transfer(client_->ns, kBoth, 64 * 1024, {.timeout = 10s}));
        EXPECT_EQ(transfer.seen_as, client_->address);
        ++served[transfer.served_by];
    }
    for (int n = 0; n < 24; ++n) {
        WEFT_ASSERT_ASSIGN(const auto transfer,
                           tcp_transfer(world(), kNode1, 4096, {.port = kNodePortBoth, .timeout = 10s}));
        ++served[transfer.served_by];
    }
    EXPECT_EQ(served.size(), 2u);
    EXPECT_TRUE(served.contains(on_1_->address));
    EXPECT_TRUE(served.contains(on_2_->address));
}

/// The same addresses and ports at the backend each time: what was true of the last flow is not true of the next, and
/// conntrack remembers a TCP flow that went through the service for minutes after its end.
TEST_P(Services, OneSourcePortServesDirectAndServiceFlowsInTurn) {
    std::uint16_t port = 40000;
    for (const auto &order : {std::array{on_2_->address, std::string(kOn2)}, {std::string(kOn2), on_2_->address}}) {
        ++port;
        for (int round = 0; round < 3; ++round) {
            for (const auto &to : order) {
                SCOPED_TRACE(fmt::format("round {} to {}, source port {}", round, to, port));
                expect_tcp(to, port);
                expect_udp(to, port);
            }
        }
    }
}

/// The neighbour's answers never leave the node: from_pod has to see what from_wire sees of a remote backend's.
TEST_P(Services, TheSameWithABackendBesideTheClient) {
    for (int round = 0; round < 3; ++round) {
        for (const auto &to : {std::string(kOn1), on_1_->address}) {
            WEFT_ASSERT_ASSIGN(const auto transfer,
                               tcp_transfer(client_->ns, to, kMiB / 4, {.source_port = 40010, .timeout = 10s}));
            EXPECT_EQ(transfer.served_by, on_1_->address);
            EXPECT_EQ(transfer.seen_as, client_->address);
            WEFT_EXPECT_OK(udp_exchange(client_->ns, to, {.count = 5, .source_port = 40010}));
        }
    }
}

TEST_P(Services, DirectFlowsTakeTheFastPathWhateverConntrackRemembers) {
    const auto direct = [&] { WEFT_EXPECT_OK(tcp_transfer(client_->ns, on_2_->address, 16 * kMiB)); };
    EXPECT_GE(counted("from_pod/encap", direct), 16 * kMiB / 1450);
    EXPECT_EQ(counted("from_pod/nated", direct), 0u);
    expect_tcp(kOn2, 40020);
    for (const auto *node : nodes_) WEFT_EXPECT_OK(node->netns().run("conntrack -F"));
    EXPECT_GE(counted("from_pod/encap", direct), 16 * kMiB / 1450);
    // A port that the service knew a moment ago is as good as any other once that is forgotten.
    expect_tcp(kOn2, 40021);
    for (const auto *node : nodes_) WEFT_EXPECT_OK(node->netns().run("conntrack -F"));
    EXPECT_GE(counted("from_pod/encap", [&] { expect_tcp(on_2_->address, 40021); }), 1u);
    EXPECT_EQ(counted("from_pod/nated", [&] { expect_tcp(on_2_->address, 40021); }), 0u);
}

TEST_P(Services, AUdpFlowGoesOnAfterItsEntryExpired) {
    for (const auto *node : nodes_) {
        for (const auto *timeout : {"nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"})
            WEFT_ASSERT_OK(node->netns().sysctl(fmt::format("net.netfilter.{}", timeout), "1"));
    }
    for (int round = 0; round < 2; ++round) {
        expect_udp(kOn2, 40030);
        await_forgotten(40030);
        // Now that nothing is known of the service's flow, the same port is free for the backend itself.
        EXPECT_GE(counted("from_pod/encap", [&] { expect_udp(on_2_->address, 40030); }), 10u);
    }
}

/// Conntrack knows nothing of a flow on the fast path, and would call an error about it invalid.
TEST_P(Services, ErrorsAboutDirectFlowsArrive) {
    WEFT_REQUIRES(requires_tools({"traceroute"}));
    for (const auto *pod : {on_1_, on_2_}) {
        const auto begin = std::chrono::steady_clock::now();
        EXPECT_FALSE(udp_exchange(client_->ns, pod->address, {.port = 5999, .answer_within = 5000ms}));
        EXPECT_LT(std::chrono::steady_clock::now() - begin, 3s) << "nobody said that the port is closed";
        WEFT_ASSERT_ASSIGN(const auto hops,
                           client_->ns.run(words(fmt::format("traceroute -n -q 1 -w 2 -m 4 -N 1 {}", pod->address))));
        EXPECT_EQ(hops.find('*'), hops.npos) << hops;
        EXPECT_NE(hops.find("\n " + std::string(pod == on_1_ ? "2" : "3") + "  " + pod->address), hops.npos) << hops;
    }
}

/// Who pops and who rewrites matters here; the table's test has every combination.
const auto kSetups = testing::Values(ServiceSetup{"tc", WireMode::offload, RuleSystem::iptables},
                                     ServiceSetup{"xdp", WireMode::bare, RuleSystem::nftables});
INSTANTIATE_TEST_SUITE_P(Setups, Services, kSetups, service_setup_name);

/// Without --ip-masq pods keep their address outside the pod network, and what is outside keeps its own inside: such flows
/// come through the tunnel with an address that the pod's answer cannot go back to by the tunnel's map.
class ServicesWithoutMasquerade : public ServiceCluster {
protected:
    void SetUp() override { start({}, false); }
};

TEST_P(ServicesWithoutMasquerade, APodIsServedByAnotherNodesHostPort) {
    // The answer is rewritten on node 2, so it comes from node 2's address; the request left node 1 by its stack.
    for (const auto direction : {Direction::send, Direction::receive}) {
        WEFT_ASSERT_ASSIGN(
            const auto transfer,
            tcp_transfer(client_->ns, kNode2, kMiB, {.direction = direction, .port = kHostPort, .timeout = 10s}));
        EXPECT_EQ(transfer.seen_as, client_->address);
        EXPECT_EQ(transfer.served_by, on_2_->address);
    }
    WEFT_ASSERT_ASSIGN(const auto seen_as,
                       udp_exchange(client_->ns, kNode2, {.sizes = {1, 1400, 4000}, .count = 3, .port = kHostPort}));
    EXPECT_EQ(seen_as, client_->address);
}

INSTANTIATE_TEST_SUITE_P(Setups, ServicesWithoutMasquerade, kSetups, service_setup_name);

} // namespace
} // namespace weft::test

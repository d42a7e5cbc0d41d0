// SPDX-License-Identifier: Apache-2.0
// The packet path outlives weftd; leases and pods come and go under traffic.
#include <gtest/gtest.h>

#include <csignal>

#include <fmt/format.h>

#include "cluster_fixture.hpp"

namespace weft::test {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

class Lifecycle : public ClusterTest {
protected:
    void SetUp() override {
        ClusterTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        WEFT_ASSERT_ASSIGN(one_, cluster_->add_node());
        WEFT_ASSERT_ASSIGN(two_, cluster_->add_node());
        WEFT_ASSERT_OK(cluster_->settle());
        WEFT_ASSERT_ASSIGN(pod_one_, one_->add_pod());
        WEFT_ASSERT_ASSIGN(pod_two_, two_->add_pod());
        WEFT_ASSERT_OK(ping(pod_one_->ns, pod_two_->address, 1));
    }

    /// 500 echo requests a second between the pods, until stop_pings().
    void start_pings() {
        WEFT_ASSERT_ASSIGN(pings_, pod_one_->ns.spawn(words("ping -n -i 0.002 " + pod_two_->address)));
        ASSERT_TRUE(pings_->wait_for_output("icmp_seq=10"));
    }
    /// Every request until now must have had its answer.
    void expect_no_ping_lost() {
        WEFT_ASSERT_OK(pings_->signal(SIGINT));
        ASSERT_TRUE(pings_->wait(10s));
        const auto text = pings_->out();
        const auto summary = text.substr(std::min(text.size(), text.find("--- ")));
        // The last request may be on its way when ping is stopped.
        unsigned sent = 0, received = 0;
        const auto line = summary.substr(std::min(summary.size(), summary.find('\n') + 1));
        ASSERT_EQ(std::sscanf(line.c_str(), "%u packets transmitted, %u received", &sent, &received), 2) << summary;
        EXPECT_LE(sent - received, 1u) << summary;
        EXPECT_GT(received, 20u) << summary;
    }

    WeftNode *one_ = nullptr, *two_ = nullptr;
    Pod *pod_one_ = nullptr, *pod_two_ = nullptr;
    std::optional<Process> pings_;
};

TEST_P(Lifecycle, ForwardingOutlivesTheDaemonAndItsRestart) {
    const auto subnet_before = read_file(one_->subnet_file());
    start_pings();
    WEFT_ASSERT_OK(one_->stop());
    two_->kill();
    WEFT_EXPECT_OK(tcp_transfer(pod_one_->ns, pod_two_->address, 8 * kMiB));
    WEFT_EXPECT_OK(tcp_transfer(one_->netns(), pod_two_->address, kMiB));

    WEFT_ASSERT_OK(cluster_->start_node(*one_));
    WEFT_ASSERT_OK(cluster_->start_node(*two_));
    WEFT_ASSERT_OK(cluster_->settle());
    WEFT_EXPECT_OK(tcp_transfer(pod_two_->ns, pod_one_->address, 8 * kMiB));
    expect_no_ping_lost();
    const auto subnet_after = read_file(one_->subnet_file());
    ASSERT_TRUE(subnet_before && subnet_after);
    EXPECT_EQ(*subnet_before, *subnet_after);
    WEFT_ASSERT_ASSIGN(const auto leases, read_leases(cluster_->etcd()));
    EXPECT_EQ(leases.size(), 2u);
}

// With the device go its addresses, and with those, silently, the routes to pods that have one as their source.
TEST_P(Lifecycle, PodsSurviveTheDevice) {
    WEFT_ASSERT_OK(one_->netns().ip("link del weft.1"));
    EXPECT_TRUE(wait_until([&] { return ping(one_->netns(), pod_one_->address, 1).has_value(); }));
    EXPECT_TRUE(wait_until([&] { return ping(pod_two_->ns, pod_one_->address, 1).has_value(); }));
    WEFT_EXPECT_OK(tcp_transfer(one_->netns(), pod_two_->address, kMiB));
}

TEST_P(Lifecycle, PodsComeAndGoWithTheDaemonDown) {
    one_->kill();
    WEFT_ASSERT_ASSIGN(auto *late, one_->add_pod());
    WEFT_EXPECT_OK(ping(late->ns, pod_two_->address));
    WEFT_EXPECT_OK(tcp_transfer(pod_two_->ns, late->address, kMiB));
    const auto address = late->address;
    WEFT_ASSERT_OK(one_->del_pod(*late));
    WEFT_ASSERT_ASSIGN(const auto out, pod_two_->ns.output(words("ping -n -c 1 -W 1 " + address)));
    EXPECT_NE(out.code, 0) << out.out;
    WEFT_ASSERT_ASSIGN(const auto endpoints, one_->weftctl("endpoints"));
    EXPECT_EQ(endpoints.size(), 1u) << endpoints;
    WEFT_EXPECT_OK(ping(pod_one_->ns, pod_two_->address));
}

TEST_P(Lifecycle, ALateNodeIsReachedAndADeadOnesLeaseEnds) {
    start_pings();
    WEFT_ASSERT_ASSIGN(auto *three, cluster_->add_node());
    WEFT_ASSERT_OK(cluster_->settle());
    WEFT_ASSERT_ASSIGN(auto *pod_three, three->add_pod());
    WEFT_EXPECT_OK(tcp_transfer(pod_one_->ns, pod_three->address, kMiB));
    WEFT_EXPECT_OK(tcp_transfer(pod_three->ns, pod_two_->address, kMiB));

    WEFT_ASSERT_ASSIGN(const auto base, three->base_address());
    three->kill();
    WEFT_ASSERT_OK(cluster_->etcd().del(fmt::format("/coreos.com/network/subnets/{}-24", base)));
    WEFT_EXPECT_OK(one_->wait_for_leases(1));
    WEFT_EXPECT_OK(two_->wait_for_leases(1));
    expect_no_ping_lost();
}

INSTANTIATE_TEST_SUITE_P(Setups, Lifecycle, kBareSetups, setup_name);

class Bulk : public ClusterTest {};

TEST_P(Bulk, AGibibyteArrivesUnchanged) {
    WEFT_ASSERT_ASSIGN(auto *one, cluster_->add_node());
    WEFT_ASSERT_ASSIGN(auto *two, cluster_->add_node());
    WEFT_ASSERT_OK(cluster_->settle());
    WEFT_ASSERT_ASSIGN(auto *pod_one, one->add_pod());
    WEFT_ASSERT_ASSIGN(auto *pod_two, two->add_pod());
    WEFT_ASSERT_ASSIGN(const auto transfer,
                       tcp_transfer(pod_one->ns, pod_two->address, 1024 * kMiB, {.timeout = 110s}));
    RecordProperty("gbit_s", std::to_string(transfer.gbit_s));
    fmt::print("1 GiB in {:.1f} s, {:.2f} Gbit/s\n", transfer.seconds, transfer.gbit_s);
    expect_no_drops(*one);
    expect_no_drops(*two);
}

INSTANTIATE_TEST_SUITE_P(Setups, Bulk, kEverySetup, setup_name);

/// The same in either mode: what an operator sees on a node of a big cluster.
class BigCluster : public ClusterTest {};

TEST_P(BigCluster, AHundredLeasesAreOneRouteAndNoNeighbours) {
    WEFT_ASSERT_ASSIGN(auto *node, cluster_->add_node());
    constexpr int kLeases = 100;
    for (int n = 0; n < kLeases; ++n) {
        WEFT_ASSERT_OK(
            cluster_->etcd().put(fmt::format("/coreos.com/network/subnets/10.244.{}.0-24", 100 + n),
                                 fmt::format(R"({{"PublicIP":"192.0.2.{0}","PublicIPv6":null,"BackendType":"vxlan",)"
                                             R"("BackendData":{{"VNI":1,"VtepMAC":"02:00:00:00:00:{0:02x}"}}}})",
                                             100 + n)));
    }
    WEFT_ASSERT_ASSIGN(const auto base, node->base_address());
    const bool own_among_them = std::stoi(base.substr(7)) >= 100 && std::stoi(base.substr(7)) < 200;
    WEFT_ASSERT_OK(node->wait_for_leases(kLeases - (own_among_them ? 1 : 0)));

    WEFT_ASSERT_ASSIGN(const auto routes, node->netns().run("ip -o route show dev weft.1"));
    EXPECT_EQ(std::count(routes.begin(), routes.end(), '\n'), 1) << routes;
    EXPECT_NE(routes.find("10.244.0.0/16"), routes.npos) << routes;
    WEFT_ASSERT_ASSIGN(const auto neighbours, node->netns().run("ip -o neighbour show dev weft.1"));
    EXPECT_LE(std::count(neighbours.begin(), neighbours.end(), '\n'), 1) << neighbours;
    WEFT_ASSERT_ASSIGN(const auto fdb, node->netns().run("bridge fdb show dev weft.1"));
    EXPECT_EQ(fdb.find("dst 192.0.2."), fdb.npos) << fdb;

    if (requires_tools({"bpftool"})) return;
    const auto pin = node->bpf_dir() / "leases_v2";
    WEFT_ASSERT_ASSIGN(const auto dump, run_ok({"bpftool", "-j", "map", "dump", "pinned", pin}));
    const auto entries = nlohmann::json::parse(dump, nullptr, false);
    ASSERT_TRUE(entries.is_array() && !entries.empty()) << dump;
    // By field, from the map's own type information.
    for (const auto *field : {"node", "next_hop", "ifindex", "vtep_mac", "mtu", "encap"})
        EXPECT_TRUE(entries[0].contains(nlohmann::json::json_pointer(fmt::format("/formatted/value/{}", field))))
            << entries[0];
}

INSTANTIATE_TEST_SUITE_P(Setups, BigCluster, testing::Values(Setup{"auto", WireMode::offload}), setup_name);

} // namespace
} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
// Pods that weft did not make, on a bridge with the node's gateway address: Docker's with --bip from `weftctl docker-opts`, or
// those of a node on its way from flannel. And settings of the host that may be as they like.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <filesystem>

#include "chain.hpp"
#include "cluster_fixture.hpp"

namespace weft::test {
namespace {

using testing::HasSubstr;

constexpr std::uint64_t kMiB = 1024 * 1024;

/// Both directions, each kind of traffic.
void expect_reach(const Pod &a, const Pod &b) {
    for (const auto &[from, to] : {std::pair(&a, &b), std::pair(&b, &a)}) {
        SCOPED_TRACE(fmt::format("{} to {}", from->address, to->address));
        WEFT_EXPECT_OK(ping(from->ns, to->address, 2));
        WEFT_EXPECT_OK(udp_echo(from->ns, to->address, {64, 4000}));
        WEFT_ASSERT_ASSIGN(const auto sent, tcp_transfer(from->ns, to->address, kMiB));
        EXPECT_EQ(sent.seen_as, from->address);
    }
}
/// The host in that namespace reaches the pod.
void expect_reach(const Netns &host, const Pod &pod) {
    SCOPED_TRACE(fmt::format("{} to {}", host.name(), pod.address));
    WEFT_EXPECT_OK(ping(host, pod.address, 2));
    WEFT_EXPECT_OK(udp_echo(host, pod.address, {64, 4000}));
    WEFT_EXPECT_OK(tcp_transfer(host, pod.address, kMiB));
}
void expect_world(const Pod &pod) {
    SCOPED_TRACE(fmt::format("{} to the world", pod.address));
    WEFT_EXPECT_OK(ping(pod.ns, Cluster::kWorld, 2));
    WEFT_EXPECT_OK(udp_echo(pod.ns, Cluster::kWorld, {64, 4000}));
    WEFT_EXPECT_OK(tcp_transfer(pod.ns, Cluster::kWorld, kMiB));
}

class BesideABridge : public ClusterTest {
protected:
    void SetUp() override {
        for (const char *name : {"bridge", "host-local"})
            if (!std::filesystem::exists(fmt::format("{}/{}", kPluginDir, name)))
                GTEST_SKIP() << "no " << kPluginDir << "/" << name << " (containernetworking-plugins)";
        ClusterTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        WEFT_ASSERT_ASSIGN(one_, cluster_->add_node());
        WEFT_ASSERT_ASSIGN(two_, cluster_->add_node());
        WEFT_ASSERT_ASSIGN(flannel_, cluster_->add_flannel_node());
        WEFT_ASSERT_OK(cluster_->settle());
        WEFT_ASSERT_ASSIGN(beside_, one_->add_pod());
        WEFT_ASSERT_ASSIGN(remote_, two_->add_pod());
        WEFT_ASSERT_ASSIGN(bridged_there_, flannel_->add_pod());
        WEFT_ASSERT_ASSIGN(const auto base, one_->base_address());
        const auto conf = json::parse(one_->cni_config());
        chain_.emplace(
            *one_, std::vector<json>{{{"type", "bridge"},
                                      {"bridge", "docker0"},
                                      {"isDefaultGateway", true},
                                      {"hairpinMode", true},
                                      {"mtu", 1450},
                                      {"ipam",
                                       {{"type", "host-local"},
                                        {"subnet", base + "/24"}, // and so the directory that weft's addresses are in
                                        {"dataDir", conf["dataDir"]}}}}});
        WEFT_ASSERT_ASSIGN(bridged_, chain_->add_pod("bridged"));
        WEFT_ASSERT_ASSIGN(bridged_too_, chain_->add_pod("bridged2"));
    }
    void TearDown() override {
        for (const auto *node : {one_, two_})
            if (node) expect_no_drops(*node);
    }

    void expect_everybody_reaches_everybody() {
        for (const auto *pod : {beside_, remote_, bridged_there_, bridged_too_}) expect_reach(*bridged_, *pod);
        for (const auto *pod : {remote_, bridged_there_}) expect_reach(*beside_, *pod);
        for (const auto *host : {&one_->netns(), &two_->netns(), &flannel_->netns()})
            for (const auto *pod : {bridged_, beside_}) expect_reach(*host, *pod);
        for (const auto *pod : {bridged_, beside_}) expect_world(*pod);
    }
    [[nodiscard]] bool proxies() const {
        const auto value = one_->netns().run("cat /proc/sys/net/ipv4/conf/docker0/proxy_arp");
        return value && *value == "1\n";
    }

    WeftNode *one_ = nullptr, *two_ = nullptr;
    FlannelNode *flannel_ = nullptr;
    std::optional<Chain> chain_;
    Pod *beside_ = nullptr, *remote_ = nullptr, *bridged_there_ = nullptr, *bridged_ = nullptr, *bridged_too_ = nullptr;
};

TEST_P(BesideABridge, ItsPodsAreReachedAndReach) {
    EXPECT_NE(bridged_->address, beside_->address);
    EXPECT_TRUE(wait_until([&] { return proxies(); })) << "its pods take weft's to be on the bridge";
    expect_everybody_reaches_everybody();

    // Neither took the other's address, and a restart with the bridge there changes nothing.
    WEFT_ASSERT_OK(one_->stop());
    WEFT_ASSERT_OK(cluster_->start_node(*one_));
    WEFT_ASSERT_ASSIGN(const auto base, one_->base_address());
    const auto gateway = base.substr(0, base.rfind('.')) + ".1";
    WEFT_ASSERT_ASSIGN(const auto bridge, one_->netns().run("ip -4 -o address show dev docker0"));
    EXPECT_THAT(bridge, HasSubstr(gateway + "/24"));
    WEFT_ASSERT_ASSIGN(const auto vtep, one_->netns().run("ip -4 -o address show dev weft.1"));
    EXPECT_THAT(vtep, HasSubstr(gateway + "/32"));
    EXPECT_TRUE(wait_until([&] {
        const auto status = one_->weftctl("status");
        return status && (*status)["daemon"]["state"] == "synced";
    }));
    expect_reach(*bridged_, *beside_);
    expect_reach(*bridged_, *remote_);
    WEFT_ASSERT_ASSIGN(const auto status, one_->weftctl("status"));
    EXPECT_EQ(status["daemon"]["settings"]["net/ipv4/conf/docker0/proxy_arp"], "1") << status;
    EXPECT_EQ(status["daemon"]["settings"]["net/ipv4/ip_forward"], "1");
}

TEST_P(BesideABridge, NetfilterOnTheBridgeIsNobodysBusiness) {
    if (!one_->netns().run("cat /proc/sys/net/bridge/bridge-nf-call-iptables"))
        GTEST_SKIP() << "this kernel has no br_netfilter";
    EXPECT_TRUE(wait_until([&] { return proxies(); }));
    for (const char *value : {"0", "1"}) {
        SCOPED_TRACE(fmt::format("bridge-nf-call-iptables={}", value));
        for (const auto *netns : {&one_->netns(), &two_->netns(), &flannel_->netns()})
            WEFT_ASSERT_OK(netns->sysctl("net.bridge.bridge-nf-call-iptables", value));
        expect_reach(*bridged_, *beside_);
        expect_reach(*bridged_, *bridged_too_);
        expect_reach(*bridged_, *remote_);
        expect_reach(*beside_, *bridged_there_);
    }
}

TEST_P(BesideABridge, AStrictReversePathFilterPassesEverything) {
    EXPECT_TRUE(wait_until([&] { return proxies(); }));
    for (const auto *netns : {&one_->netns(), &two_->netns(), &flannel_->netns()}) {
        WEFT_ASSERT_OK(netns->run({"sh", "-c", "for f in /proc/sys/net/ipv4/conf/*/rp_filter; do echo 1 >$f; done"}));
    }
    expect_everybody_reaches_everybody();
    WEFT_ASSERT_ASSIGN(auto *made_later, one_->add_pod());
    expect_reach(*made_later, *remote_);
}

INSTANTIATE_TEST_SUITE_P(Setups, BesideABridge,
                         testing::Values(Setup{"tc", WireMode::offload}, Setup{"xdp", WireMode::bare}), setup_name);

} // namespace
} // namespace weft::test

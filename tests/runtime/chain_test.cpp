// SPDX-License-Identifier: Apache-2.0
// weft at the head of a list of the reference plugins, as conflists have them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <filesystem>

#include "chain.hpp"
#include "cluster_fixture.hpp"

namespace weft::test {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::uint64_t kMiB = 1024 * 1024;

std::optional<std::string> requires_plugins() {
    for (const char *name : {"portmap", "bandwidth", "tuning", "firewall"})
        if (!std::filesystem::exists(fmt::format("{}/{}", kPluginDir, name)))
            return fmt::format("no {}/{} (containernetworking-plugins)", kPluginDir, name);
    return requires_tools({"tc"});
}

/// Two nodes, a plain pod on each; the pods under test are made by a list of the test's, on the first node.
class Chains : public ClusterTest {
protected:
    void SetUp() override {
        WEFT_REQUIRES(requires_plugins());
        ClusterTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        WEFT_ASSERT_ASSIGN(one_, cluster_->add_node());
        WEFT_ASSERT_ASSIGN(two_, cluster_->add_node());
        WEFT_ASSERT_OK(cluster_->settle());
        WEFT_ASSERT_ASSIGN(beside_, one_->add_pod());
        WEFT_ASSERT_ASSIGN(remote_, two_->add_pod());
    }
    void TearDown() override {
        for (const auto *node : {one_, two_})
            if (node) expect_no_drops(*node);
    }

    [[nodiscard]] std::string rules() const {
        std::string all;
        for (const char *table : {"nat", "filter", "mangle"}) {
            const auto out = one_->netns().run(fmt::format("iptables -w -t {} -S", table));
            all += out ? *out : out.error().sentence();
        }
        return all;
    }

    [[nodiscard]] json endpoint(const std::string &address) const {
        const auto all = one_->weftctl("endpoints");
        if (!all) return all.error().sentence();
        for (const auto &one : *all)
            if (one["address"] == address) return one;
        return nullptr;
    }

    /// What is left of a pod is what was there before it: nothing.
    void expect_gone(const std::string &address) {
        EXPECT_THAT(rules(), Not(HasSubstr(address)));
        EXPECT_THAT(rules(), Not(HasSubstr("CNI-DN-")));
        EXPECT_TRUE(endpoint(address).is_null());
        const auto links = one_->netns().run("ip -o link");
        ASSERT_TRUE(links) << links.error().sentence();
        EXPECT_THAT(*links, Not(HasSubstr("bwp"))) << "the bandwidth plugin's ifb";
    }

    WeftNode *one_ = nullptr, *two_ = nullptr;
    Pod *beside_ = nullptr, *remote_ = nullptr;
};

json tuning(const WeftNode &node, json more) {
    more.update({{"type", "tuning"}, {"dataDir", node.run_dir().parent_path() / "tuning"}});
    return more;
}

TEST_P(Chains, AHostPortLeadsToThePodFromEverywhere) {
    constexpr std::uint16_t kHostPort = 8080;
    Chain chain(*one_, {{{"type", "weft"}, {"capabilities", {{"bandwidth", true}}}},
                        tuning(*one_, {{"sysctl", {{"net.core.somaxconn", "500"}}}}),
                        {{"type", "portmap"}, {"capabilities", {{"portMappings", true}}}},
                        {{"type", "bandwidth"}, {"capabilities", {{"bandwidth", true}}}},
                        {{"type", "firewall"}, {"backend", "iptables"}}});
    const json mappings = {{{"hostPort", kHostPort}, {"containerPort", kTrafficPort}, {"protocol", "tcp"}},
                           {{"hostPort", kHostPort}, {"containerPort", kTrafficPort}, {"protocol", "udp"}}};
    // No CHECK: version 1.1.1 of portmap looks for IPv6 rules whatever addresses the pod has, and bandwidth's needs limits.
    WEFT_ASSERT_ASSIGN(auto *pod, chain.add_pod("mapped", {{"portMappings", mappings}}));

    const std::string node = "192.0.2.1";
    const auto reaches = [&](const char *who, const Netns &from, const std::string &at) {
        SCOPED_TRACE(who);
        for (const auto direction : {Direction::send, Direction::receive})
            WEFT_EXPECT_OK(tcp_transfer(from, at, 4 * kMiB, {.direction = direction, .port = kHostPort}));
        WEFT_EXPECT_OK(udp_echo(from, at, {64, 1400, 4000}, 3, kHostPort));
    };
    reaches("the world", cluster_->world(), node);
    reaches("the node itself", one_->netns(), node);
    reaches("a pod on the node", beside_->ns, node);
    reaches("a pod on another node", remote_->ns, node);
    reaches("another node", two_->netns(), node);
    reaches("the pod itself", pod->ns, node);
    // portmap's sysctl and masquerade for it are there for TCP and UDP alike.
    WEFT_EXPECT_OK(tcp_transfer(one_->netns(), "127.0.0.1", kMiB, {.port = kHostPort}));

    const auto address = pod->address;
    WEFT_EXPECT_OK(chain.del(*pod));
    expect_gone(address);
    EXPECT_FALSE(tcp_transfer(cluster_->world(), node, 1, {.port = kHostPort, .timeout = 5s}));
}

TEST_P(Chains, TheFirewallPluginOpensADroppingForwardChain) {
    WEFT_ASSERT_OK(one_->netns().run("iptables -w -P FORWARD DROP"));
    Chain chain(*one_, {{{"type", "weft"}}, {{"type", "firewall"}, {"backend", "iptables"}}});
    WEFT_ASSERT_ASSIGN(auto *pod, chain.add_pod("guarded"));
    WEFT_EXPECT_OK(chain.check(*pod));
    EXPECT_THAT(rules(), HasSubstr("CNI-FORWARD"));
    WEFT_EXPECT_OK(tcp_transfer(pod->ns, Cluster::kWorld, kMiB));
    WEFT_EXPECT_OK(udp_echo(pod->ns, Cluster::kWorld, {64, 4000}));
    for (const auto *other : {beside_, remote_}) {
        WEFT_EXPECT_OK(tcp_transfer(pod->ns, other->address, kMiB));
        WEFT_EXPECT_OK(tcp_transfer(other->ns, pod->address, kMiB));
        WEFT_EXPECT_OK(ping(pod->ns, other->address));
    }
    const auto address = pod->address;
    WEFT_EXPECT_OK(chain.del(*pod));
    expect_gone(address);
}

TEST_P(Chains, AMacThatTuningChangesIsFollowed) {
    constexpr const char *kMac = "02:aa:bb:cc:dd:01";
    Chain chain(*one_, {{{"type", "weft"}},
                        tuning(*one_, {{"mac", kMac},
                                       {"mtu", 1400},
                                       {"promisc", true},
                                       {"sysctl", {{"net.ipv4.conf.eth0.accept_redirects", "0"}}}})});
    WEFT_ASSERT_ASSIGN(auto *pod, chain.add_pod("tuned"));
    // At once, on every path, whoever speaks first.
    WEFT_EXPECT_OK(ping(one_->netns(), pod->address));
    WEFT_EXPECT_OK(udp_echo(beside_->ns, pod->address, {64}));
    WEFT_EXPECT_OK(udp_echo(remote_->ns, pod->address, {64}));
    EXPECT_TRUE(wait_until([&] { return endpoint(pod->address)["pod_mac"] == kMac; }, 2s)) << endpoint(pod->address);
    WEFT_EXPECT_OK(chain.check(*pod));

    WEFT_ASSERT_ASSIGN(const auto before, one_->counters());
    for (const auto *other : {beside_, remote_}) {
        WEFT_EXPECT_OK(ping(other->ns, pod->address));
        WEFT_EXPECT_OK(tcp_transfer(other->ns, pod->address, 4 * kMiB));
        WEFT_EXPECT_OK(tcp_transfer(pod->ns, other->address, 4 * kMiB));
    }
    WEFT_ASSERT_ASSIGN(const auto after, one_->counters());
    const auto counted = after.all - before.all;
    EXPECT_GE(count(counted, "from_pod/to_pod"), 4 * kMiB / 1450) << to_string(counted);
    EXPECT_GE(count(counted, pop_counter(GetParam())), 4 * kMiB / 1450) << to_string(counted);
    WEFT_EXPECT_OK(chain.del(*pod));
}

TEST_P(Chains, AMacThatChangesWhileTheDaemonIsDownHarmsNobody) {
    WEFT_ASSERT_ASSIGN(auto *flannel, cluster_->add_flannel_node());
    WEFT_ASSERT_OK(cluster_->settle());
    WEFT_ASSERT_ASSIGN(auto *bridged, flannel->add_pod());
    one_->kill();
    for (const auto *pod : {beside_, bridged}) {
        SCOPED_TRACE(pod == bridged ? "flannel's bridge, for comparison" : "weft");
        WEFT_EXPECT_OK(ping(remote_->ns, pod->address));
        WEFT_EXPECT_OK(ping(pod == bridged ? flannel->netns() : one_->netns(), pod->address));
        WEFT_ASSERT_OK(pod->ns.run("ip link set eth0 address 02:aa:bb:cc:dd:02"));
        if (pod == bridged) WEFT_ASSERT_OK(ping(pod->ns, remote_->address)); // its ARP has nothing to learn from before
        WEFT_EXPECT_OK(ping(pod == bridged ? flannel->netns() : one_->netns(), pod->address));
        WEFT_EXPECT_OK(ping(remote_->ns, pod->address));
        WEFT_EXPECT_OK(tcp_transfer(remote_->ns, pod->address, kMiB));
        WEFT_EXPECT_OK(tcp_transfer(pod->ns, remote_->address, kMiB));
    }
    WEFT_ASSERT_OK(cluster_->start_node(*one_));
    EXPECT_TRUE(wait_until([&] { return endpoint(beside_->address)["pod_mac"] == "02:aa:bb:cc:dd:02"; }))
        << endpoint(beside_->address);
}

INSTANTIATE_TEST_SUITE_P(Setups, Chains, testing::Values(Setup{"tc", WireMode::offload}, Setup{"xdp", WireMode::bare}),
                         setup_name);

} // namespace
} // namespace weft::test

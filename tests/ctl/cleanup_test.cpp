// SPDX-License-Identifier: Apache-2.0
// weftctl cleanup on a node that has lived: what is left of weft afterwards, and what of others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "abi.hpp"
#include "cluster_fixture.hpp"

namespace weft::test {
namespace {

using testing::HasSubstr;
using testing::Not;

/// Everything in a node's namespace and directories that weft might leave something in.
std::string state_of(const WeftNode &node) {
    std::string state;
    for (const std::string look :
         {"ip -d link show", "ip address show scope global", "ip -4 route show table all", "ip rule show",
          "ip -6 rule show", "ip -6 route show table all | grep -v fe80:", "ip -6 neigh show nud permanent",
          "ip neigh show nud permanent", "ip neigh show proxy", "bridge fdb show", "tc qdisc show",
          "for link in $(ls /proc/sys/net/ipv4/conf); do tc filter show dev $link ingress; tc filter show dev $link "
          "egress; done",
          "bpftool net show", "nft list ruleset", "cat /proc/net/ip_tables_names /proc/net/ip6_tables_names",
          "grep -rs . /proc/sys/net/ipv4/conf /proc/sys/net/ipv6/conf /proc/sys/net/ipv4/ip_forward"}) {
        const auto out = node.netns().output({"sh", "-c", look});
        // Not what they complain of: ip looks for a link's other end in all named namespaces, and other tests' may just go.
        state += fmt::format("## {}\n{}\n", look, out ? out->out : out.error().sentence());
    }
    // But for the addresses, which pods' runtimes give back.
    const auto files = run_ok({"find", node.dir(), "-not", "-path", "*/cni*", "-not", "-name", "notify"});
    return state + files.value_or(files ? "" : files.error().sentence());
}

class Cleanup : public ClusterTest {
protected:
    void SetUp() override {
        ClusterTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        WEFT_ASSERT_ASSIGN(node_, cluster_->add_stopped_node());
        // Settled before weft comes, so that what it finds can be compared with what it leaves.
        WEFT_ASSERT_OK(node_->netns().sysctl("net.ipv4.ip_forward", "1"));
        WEFT_ASSERT_OK(node_->netns().sysctl("net.ipv4.conf.eth0.arp_notify", "1"));
        WEFT_ASSERT_OK(node_->netns().ip("route add 198.18.0.0/24 via 192.0.2.254"));
        WEFT_ASSERT_OK(node_->netns().run("nft add table ip others"));
        // What weft sets and cannot know to have been otherwise.
        WEFT_ASSERT_OK(node_->netns().sysctl("net.ipv6.conf.all.forwarding", "1"));
        WEFT_ASSERT_OK(node_->netns().sysctl("net.ipv6.conf.eth0.accept_ra", "2"));
        // Both families, so that there is something of either to leave.
        WEFT_ASSERT_OK(cluster_->etcd().put("/coreos.com/network/config",
                                            R"({"EnableIPv6": true, "Network": "10.244.0.0/16",)"
                                            R"("IPv6Network": "fd00:244::/48", "Backend": {"Type": "vxlan"}})"));
        before_ = state_of(*node_);
        WEFT_ASSERT_OK(cluster_->start_node(*node_));
    }

    [[nodiscard]] Output cleanup(std::vector<std::string> more = {}) const {
        std::vector<std::string> argv{"nsenter",         "--net=" + node_->netns().path(),
                                      binary("weftctl"), "cleanup",
                                      "--run-dir",       node_->run_dir(),
                                      "--bpf-dir",       node_->bpf_dir(),
                                      "--subnet-file",   node_->subnet_file()};
        argv.insert(argv.end(), more.begin(), more.end());
        auto out = run(std::move(argv));
        if (!out) return {.code = -1, .out = "", .err = out.error().sentence()};
        return *out;
    }

    WeftNode *node_ = nullptr;
    std::string before_;
};

TEST_P(Cleanup, NothingOfWeftAndEverythingOfOthersIsLeft) {
    WEFT_ASSERT_OK(node_->stop());
    const auto told = cleanup({"--dry-run"});
    ASSERT_EQ(told.code, 0) << told.err;
    for (const char *what : {"weft.1", "tc ingress", "leases_v", "subnet.env", "weftd.lock"})
        EXPECT_THAT(told.out, HasSubstr(what));
    const auto again_told = cleanup({"--dry-run"});
    EXPECT_EQ(again_told.out, told.out) << "telling must change nothing";

    const auto done = cleanup();
    ASSERT_EQ(done.code, 0) << done.err;
    EXPECT_EQ(state_of(*node_), before_);
    EXPECT_FALSE(std::filesystem::exists(node_->run_dir()));
    EXPECT_FALSE(std::filesystem::exists(node_->bpf_dir()));
    EXPECT_FALSE(std::filesystem::exists(node_->subnet_file()));

    const auto twice = cleanup();
    EXPECT_EQ(twice.code, 0) << twice.err;
    EXPECT_THAT(twice.out, HasSubstr("nothing of weft"));
}

TEST_P(Cleanup, ACrashIsCleanedUpAfterToo) {
    node_->kill();
    const auto done = cleanup();
    ASSERT_EQ(done.code, 0) << done.err;
    EXPECT_EQ(state_of(*node_), before_);
}

TEST_P(Cleanup, NothingIsLeftOfALifeThatEndedInTheMiddle) {
    WEFT_ASSERT_ASSIGN(auto *gone, node_->add_pod());
    WEFT_ASSERT_ASSIGN(auto *pod, node_->add_pod());
    WEFT_ASSERT_OK(node_->del_pod(*gone));
    node_->kill();
    // What crashes at worse moments leave, and what an older weft had.
    const auto pin = (node_->bpf_dir() / WEFT_PIN_LEASES).string();
    for (const auto *other : {"leases_v1", "leases_v2_new"})
        WEFT_ASSERT_OK(run_ok({"bpftool", "map", "pin", "pinned", pin, node_->bpf_dir() / other}));
    WEFT_ASSERT_OK(write_file(node_->subnet_file().parent_path() / ".subnet.env.a1B2c3", ""));
    WEFT_ASSERT_OK(node_->netns().ip("route add blackhole 10.244.0.0/16 metric 16777216 proto 119"));

    const auto told = cleanup({"--dry-run", "--pods"});
    const auto done = cleanup({"--pods"});
    ASSERT_EQ(done.code, 0) << done.err;
    EXPECT_EQ(state_of(*node_), before_);
    EXPECT_FALSE(std::filesystem::exists(node_->bpf_dir()));
    EXPECT_FALSE(std::filesystem::exists(node_->subnet_file().parent_path()));
    EXPECT_EQ(std::ranges::count(told.out, '\n'), std::ranges::count(done.out, '\n')) << told.out << done.out;
    EXPECT_THAT(cleanup().out, HasSubstr("nothing of weft"));
    WEFT_EXPECT_OK(node_->del_pod(*pod));
}

TEST_P(Cleanup, RulesOfAnIptablesHostStay) {
    WEFT_ASSERT_OK(node_->stop());
    ASSERT_EQ(cleanup().code, 0);
    for (const auto *command : {"iptables -t nat -A POSTROUTING -s 198.18.0.0/24 -j ACCEPT", "iptables -P FORWARD DROP",
                                "ip6tables -t nat -A POSTROUTING -s fd12::/64 -j ACCEPT", "ip6tables -P FORWARD DROP"})
        WEFT_ASSERT_OK(node_->netns().run(command));
    const auto before = state_of(*node_);
    WEFT_ASSERT_OK(cluster_->start_node(*node_));
    EXPECT_THAT(state_of(*node_), HasSubstr("WEFT-"));
    WEFT_ASSERT_OK(node_->stop());
    const auto done = cleanup();
    ASSERT_EQ(done.code, 0) << done.err;
    EXPECT_EQ(state_of(*node_), before);
}

TEST_P(Cleanup, ARunningDaemonIsLeftAlone) {
    const auto refused = cleanup();
    EXPECT_EQ(refused.code, 1);
    EXPECT_THAT(refused.err, HasSubstr("weftd runs in"));
    WEFT_ASSERT_ASSIGN(const auto status, node_->weftctl("status"));
    EXPECT_EQ(status.value("state", ""), "running");
    EXPECT_THAT(state_of(*node_), HasSubstr("weft.1"));
}

TEST_P(Cleanup, PodsAreCutOffOnlyWhenGivenUp) {
    WEFT_ASSERT_ASSIGN(auto *pod, node_->add_pod());
    WEFT_ASSERT_OK(node_->stop());
    const auto refused = cleanup();
    EXPECT_EQ(refused.code, 1);
    EXPECT_THAT(refused.err, HasSubstr("--pods"));
    WEFT_EXPECT_OK(ping(node_->netns(), pod->address));

    const auto done = cleanup({"--pods"});
    ASSERT_EQ(done.code, 0) << done.err;
    EXPECT_THAT(done.out, HasSubstr("removed pod interface"));
    EXPECT_EQ(state_of(*node_), before_);
    // Its runtime does not know yet, and ends it as it always does.
    WEFT_EXPECT_OK(node_->del_pod(*pod));
}

TEST_P(Cleanup, FlannelsFileStaysFlannels) {
    WEFT_ASSERT_OK(node_->stop());
    WEFT_ASSERT_OK(node_->netns().ip("link add flannel.1 type bridge")); // any device of the name
    const auto done = cleanup();
    ASSERT_EQ(done.code, 0) << done.err;
    EXPECT_THAT(done.out, Not(HasSubstr("subnet.env")));
    EXPECT_TRUE(std::filesystem::exists(node_->subnet_file()));
}

INSTANTIATE_TEST_SUITE_P(Setups, Cleanup, testing::Values(Setup{"tc", WireMode::offload}, Setup{"xdp", WireMode::bare}),
                         setup_name);

} // namespace
} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
// weftd started where flanneld was stopped, with pods on flannel's bridge and traffic between all of them.
#include <gmock/gmock.h>

#include <atomic>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <thread>

#include "migration_fixture.hpp"

namespace weft::test {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr std::uint64_t kMiB = 1024 * 1024;
constexpr unsigned kPerSecond = 50'000; ///< datagrams of the flood

/// Nearly all of the pause is the kernel closing flannel.1, which waits for every CPU in turn: on a machine with several
/// times more to do than it has CPUs that says nothing about weft.
double longest_pause_allowed() {
    double load = 0;
    (void)::getloadavg(&load, 1);
    return load < 2.0 * std::thread::hardware_concurrency() ? 100 : 1000;
}

class Takeover : public Migration {};

TEST_P(Takeover, PodsGoOnAsIfNothingHadHappened) {
    const auto lease_before = lease();
    WEFT_ASSERT_ASSIGN(auto flood, Flood::start(old_too_->ns, at_weft_->ns, at_weft_->address, kPerSecond));
    WEFT_ASSERT_ASSIGN(auto out, SteadyFlow::start(old_->ns, at_weft_->address, 1ms));
    WEFT_ASSERT_ASSIGN(auto in, SteadyFlow::start(at_flannel_->ns, old_too_->address, 1ms));
    std::vector<std::future<Result<Transfer>>> transfers;
    for (const auto &[from, to] : {std::pair(old_, at_flannel_), std::pair(at_weft_, old_too_)})
        transfers.push_back(std::async(std::launch::async, [from = from, to = to] {
            return tcp_transfer(from->ns, to->address, 24 * kMiB, {.rate = 4 * kMiB});
        }));
    // New flows all the while: one that leaves without the masquerade goes on without it.
    std::atomic<bool> over = false;
    auto flows = std::async(std::launch::async, [&] {
        unsigned seen = 0;
        while (!over)
            if (const auto as = udp_exchange(old_->ns, Cluster::kWorld, {.answer_within = 200ms}); as) {
                EXPECT_NE(*as, old_->address) << "not masqueraded";
                ++seen;
            }
        return seen;
    });
    (void)out.report();
    (void)in.report();

    WEFT_ASSERT_OK(start());
    EXPECT_TRUE(wait_until([&] { return is_synced(); })) << moved_->daemon()->err();
    for (auto *flow : {&out, &in}) {
        WEFT_ASSERT_ASSIGN(const auto report, flow->report());
        fmt::print("{}: {} of {} datagrams lost, longest pause {:.1f} ms\n", flow == &out ? "out" : "in", report.lost,
                   report.sent, report.longest_pause_ms);
        EXPECT_LT(report.longest_pause_ms, longest_pause_allowed());
    }
    WEFT_ASSERT_ASSIGN(const auto counted, flood.stop());
    const double lost_ms = static_cast<double>(counted.sent - counted.received) * 1000 / kPerSecond;
    fmt::print("flood: {} of {} datagrams lost, {:.1f} ms of them\n", counted.sent - counted.received, counted.sent,
               lost_ms);
    EXPECT_EQ(counted.wrong, 0U);
    EXPECT_LT(lost_ms, longest_pause_allowed());
    for (auto &transfer : transfers)
        EXPECT_EQ(transfer.wait_for(0s), std::future_status::timeout)
            << "it was over before the takeover: " << moved_->daemon()->err();
    for (auto &transfer : transfers) {
        WEFT_ASSERT_ASSIGN(const auto done, transfer.get());
        EXPECT_EQ(done.bytes, 24 * kMiB);
        fmt::print("TCP: {:.1f} s, longest pause {:.3f} s\n", done.seconds, done.longest_pause_s);
    }
    over = true;
    EXPECT_GT(flows.get(), 10u);
    EXPECT_EQ(lease(), lease_before) << "peers had to learn something";
    expect_nothing_of_flannels();
    EXPECT_THAT(sh("ip -4 -o address show dev cni0"), HasSubstr("scope global cni0"));
    expect_everybody_reaches_everybody();
}

INSTANTIATE_TEST_SUITE_P(Setups, Takeover,
                         testing::Values(Setup{"tc", WireMode::offload}, Setup{"xdp", WireMode::bare},
                                         Setup{"tc", WireMode::bare, "host-gw"},
                                         Setup{"tc", WireMode::offload, "direct"}),
                         setup_name);

class Afterwards : public Migration {};

TEST_P(Afterwards, NewPodsAreWeftsAndOldOnesEndAsTheyBegan) {
    WEFT_ASSERT_OK(start());
    ASSERT_TRUE(wait_until([&] { return is_synced(); })) << moved_->daemon()->err();
    WEFT_ASSERT_ASSIGN(auto *fresh, moved_->add_pod());
    for (const auto *old : {old_, old_too_}) EXPECT_NE(fresh->address, old->address) << "host-local's files count";
    for (const auto *pod : {old_, old_too_, at_weft_, at_flannel_}) expect_reach(*fresh, *pod);
    expect_world(*fresh);

    // A runtime that keeps no configuration asks today's plugin for a pod of yesterday's: its address is given back.
    WEFT_EXPECT_OK(moved_->cni("DEL", old_->container_id, old_->ns.path()));
    const auto file = moved_->dir() / "cni" / "cbr0" / old_->address;
    EXPECT_FALSE(std::filesystem::exists(file)) << file;
    // Another keeps it, and asks the bridge plugin.
    WEFT_EXPECT_OK(bridge_->del(*old_too_));
    EXPECT_THAT(sh("bridge link show"), HasSubstr("cni0")) << "of the first pod, whose namespace is still there";
    WEFT_EXPECT_OK(old_->ns.ip("link del eth0"));

    EXPECT_TRUE(wait_until([&] { return !sh("ip -o link show").contains("cni0"); }, 15s)) << moved_->daemon()->err();
    WEFT_ASSERT_ASSIGN(auto *later, moved_->add_pod());
    for (const auto *pod : {at_weft_, at_flannel_}) {
        expect_reach(*fresh, *pod);
        expect_reach(*later, *pod);
    }
    expect_reach(*fresh, *later);
}

INSTANTIATE_TEST_SUITE_P(Setups, Afterwards, testing::Values(Setup{"tc", WireMode::offload}), setup_name);

class HalfWay : public Migration {};

TEST_P(Afterwards, FlannelsRulesAreGoneFromWhereverTheyWere) {
    // The stand-in has iptables-nft's; a node may have had other versions and settings of flannel.
    WEFT_ASSERT_OK(host().run(std::vector<std::string>{"nft", R"(
        table ip flannel-ipv4 { chain postrtg { type nat hook postrouting priority srcnat;
            ip saddr 10.244.0.0/16 ip daddr != 224.0.0.0/4 masquerade; }; }
        table ip6 flannel-ipv6 { chain forward { type filter hook forward priority filter; }; }
        table ip others { chain flannel-like { counter; }; })"}));
    for (const char *iptables : {"iptables-legacy", "ip6tables-legacy"}) {
        WEFT_ASSERT_OK(host().run(words(fmt::format("{} -t nat -N FLANNEL-POSTRTG", iptables))));
        WEFT_ASSERT_OK(host().run(words(fmt::format("{} -t nat -A POSTROUTING -j FLANNEL-POSTRTG", iptables))));
        WEFT_ASSERT_OK(host().run(words(fmt::format("{} -t nat -A POSTROUTING -j ACCEPT", iptables))));
    }
    WEFT_ASSERT_OK(start());
    EXPECT_TRUE(wait_until([&] { return is_synced(); })) << moved_->daemon()->err();
    EXPECT_THAT(sh("nft list tables; iptables-save"),
                Not(testing::AnyOf(HasSubstr("flannel-ip"), HasSubstr("FLANNEL"))));
    for (const char *save : {"iptables-legacy-save", "ip6tables-legacy-save"}) {
        const auto rules = sh(save);
        EXPECT_THAT(rules, Not(HasSubstr("FLANNEL")));
        EXPECT_THAT(rules, HasSubstr("-A POSTROUTING -j ACCEPT")) << "an operator's";
    }
    EXPECT_THAT(sh("nft list ruleset"), HasSubstr("flannel-like")) << "an operator's";
    expect_world(*old_);
}

TEST_P(Afterwards, WhatIsNotFlannelsOrNotThisClustersStays) {
    WEFT_ASSERT_OK(
        host().ip("route add 10.244.77.0/24 via 192.0.2.250\nroute add 198.18.0.0/24 via 192.0.2.250\n"
                  "link add flannel.7 type vxlan id 7 dev eth0 dstport 8479 nolearning\nlink set flannel.7 up"));
    WEFT_ASSERT_OK(start());
    EXPECT_TRUE(wait_until([&] { return is_synced(); })) << moved_->daemon()->err();
    EXPECT_THAT(sh("ip -br link show"), testing::AllOf(HasSubstr("flannel.7"), Not(HasSubstr("flannel.1 "))));
    EXPECT_THAT(sh("ip route show proto boot"),
                testing::AllOf(HasSubstr("10.244.77.0/24"), HasSubstr("198.18.0.0/24")));
    // Once somebody leases it, it leads to whoever holds the lease.
    WEFT_ASSERT_OK(cluster_->etcd().put("/coreos.com/network/subnets/10.244.77.0-24",
                                        R"({"PublicIP":"192.0.2.77","PublicIPv6":null,"BackendType":"vxlan",)"
                                        R"("BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:07"}})"));
    EXPECT_TRUE(wait_until([&] { return !sh("ip route show proto boot").contains("10.244.77.0/24"); }));
}

/// Killed as it makes its n-th request to the kernel's network, for n all along the way.
TEST_P(HalfWay, AStartGoesOnFromWhereverAnotherWasKilled) {
    WEFT_REQUIRES(requires_tools({"strace"}));
    const auto lease_before = lease();
    auto options = cluster_->node_options();
    std::map<std::string, unsigned> killed;
    for (unsigned n = 8; killed["synced"] == 0 && n < 1000; n += 3) {
        options.under = {"strace", "-o", "/dev/null", "-e", fmt::format("inject=sendmsg:signal=KILL:when={}", n)};
        WEFT_ASSERT_OK(moved_->launch(options));
        const auto said = [&] { return moved_->daemon()->err().contains("to=synced"); };
        EXPECT_TRUE(wait_until([&] { return !moved_->daemon()->running() || said(); }, 20s, 5ms)) << n;
        const auto links = sh("ip -br link show up");
        const bool flannels = links.contains("flannel.1"), wefts = links.contains("weft.1");
        ++killed[said() ? "synced" : flannels ? "before" : wefts ? "after" : "between"];
        moved_->kill();
        EXPECT_FALSE(flannels && wefts) << n;
        if (!flannels && !wefts) continue;
        SCOPED_TRACE(fmt::format("killed at request {}", n));
        WEFT_EXPECT_OK(ping(old_->ns, at_weft_->address, 1));
        WEFT_EXPECT_OK(ping(at_flannel_->ns, old_too_->address, 1));
    }
    for (const auto &[where, times] : killed) fmt::print("{}: {} times\n", where, times);
    EXPECT_GE(killed["before"], 3u);
    EXPECT_GE(killed["after"], 1u);
    WEFT_ASSERT_OK(start());
    EXPECT_TRUE(wait_until([&] { return is_synced(); })) << moved_->daemon()->err();
    expect_nothing_of_flannels();
    EXPECT_EQ(lease(), lease_before);
    expect_everybody_reaches_everybody();
}

TEST_P(HalfWay, AStartGoesOnBetweenTheTwoDevices) {
    WEFT_ASSERT_OK(moved_->launch(cluster_->node_options()));
    ASSERT_TRUE(wait_until([&] { return moved_->daemon()->err().contains("device weft.1: made"); }, 10s, 1ms));
    moved_->kill();
    WEFT_ASSERT_OK(host().ip("link set flannel.1 down\nlink set weft.1 down"));
    WEFT_ASSERT_OK(start());
    EXPECT_TRUE(wait_until([&] { return is_synced(); })) << moved_->daemon()->err();
    expect_nothing_of_flannels();
    expect_everybody_reaches_everybody();
}

INSTANTIATE_TEST_SUITE_P(Setups, HalfWay, testing::Values(Setup{"tc", WireMode::offload}), setup_name);

/// flannel has a device for each family, weft one for both with IPv4's MAC, and it takes what has no UDP checksum. Peers
/// learn both from the lease, which tells of them once weft.1 is up: until then flannel's device takes what they send.
class BothFamilies : public Migration {};

TEST_P(BothFamilies, PeersLearnAnotherMacForIpv6Only) {
    WEFT_ASSERT_OK(udp_echo(old_->ns, at_weft_->address6, {64}));
    WEFT_ASSERT_ASSIGN(auto flow, SteadyFlow::start(old_->ns, at_weft_->address));
    WEFT_ASSERT_ASSIGN(auto flow6, SteadyFlow::start(old_->ns, at_weft_->address6));
    WEFT_ASSERT_ASSIGN(auto back6, SteadyFlow::start(at_weft_->ns, old_too_->address6));
    for (auto *one : {&flow, &flow6, &back6}) (void)one->report();
    WEFT_ASSERT_OK(start());
    EXPECT_TRUE(wait_until([&] { return is_synced(); })) << moved_->daemon()->err();
    WEFT_ASSERT_OK(other_flannel_->sync(cluster_->etcd()));
    for (auto *one : {&flow, &flow6, &back6}) {
        WEFT_ASSERT_ASSIGN(const auto report, one->report());
        fmt::print("{}: {} of {} datagrams lost, longest pause {:.1f} ms\n", one == &flow ? "IPv4" : "IPv6",
                   report.lost, report.sent, report.longest_pause_ms);
        EXPECT_LT(report.longest_pause_ms, longest_pause_allowed());
    }
    expect_nothing_of_flannels();
    expect_everybody_reaches_everybody();
    for (auto *pod : {at_weft_, at_flannel_})
        for (const auto &[from, to] : {std::pair(old_, pod), std::pair(pod, old_)})
            WEFT_EXPECT_OK(udp_echo(from->ns, to->address6, {64, 4000}));
}

INSTANTIATE_TEST_SUITE_P(Setups, BothFamilies,
                         testing::Values(Setup{"tc", WireMode::offload, "vxlan", Families::dual, Families::dual}),
                         setup_name);

class Flanneld : public Migration {
protected:
    /// A process that is called so, on the node that moves.
    void run_flanneld() {
        WEFT_ASSERT_ASSIGN(dir_, TempDir::create("bin"));
        const auto path = *dir_ / "flanneld";
        std::filesystem::copy_file("/bin/sleep", path);
        WEFT_ASSERT_ASSIGN(flanneld_, host().spawn({path.string(), "600"}));
        ASSERT_TRUE(wait_until([&] { return sh("cat /proc/*/comm 2>/dev/null || true").contains("flanneld"); }));
    }
    [[nodiscard]] std::string failing() const {
        const auto status = moved_->weftctl("status");
        return status ? (*status)["daemon"]["failing"].dump() : "";
    }
    /// What flannel has there.
    [[nodiscard]] std::string flannels() const {
        return sh("ip -d -o link show dev flannel.1; ip -4 -o address show dev flannel.1; ip route show dev flannel.1; "
                  "bridge fdb show dev flannel.1; iptables-save | grep FLANNEL");
    }

    std::optional<TempDir> dir_;
    std::optional<Process> flanneld_;
};

TEST_P(Flanneld, IsLeftAloneWhileItRuns) {
    run_flanneld();
    if (HasFatalFailure()) return;
    const auto before = flannels();
    const auto lease_before = lease();
    WEFT_ASSERT_OK(moved_->launch(cluster_->node_options()));
    ASSERT_TRUE(wait_until([&] { return failing().contains("a flanneld runs on this node"); })) << failing();
    EXPECT_EQ(flannels(), before);
    EXPECT_EQ(lease(), lease_before);
    EXPECT_THAT(sh("ip -o link show"), Not(HasSubstr("weft.1")));
    expect_everybody_reaches_everybody();

    // weft does not need to be told that it is gone.
    flanneld_->kill();
    EXPECT_TRUE(wait_until([&] { return is_synced(); })) << moved_->daemon()->err();
    expect_nothing_of_flannels();
    expect_everybody_reaches_everybody();

    // Started by mistake later, it makes its device again, which cannot come up.
    run_flanneld();
    WEFT_ASSERT_OK(host().ip("link add flannel.1 type vxlan id 1 dev eth0 dstport 8472 nolearning"));
    EXPECT_TRUE(wait_until([&] { return failing().contains("a flanneld runs on this node"); })) << failing();
    expect_reach(*old_, *at_weft_);
    flanneld_->kill();
    EXPECT_TRUE(wait_until([&] { return is_synced(); })) << moved_->daemon()->err();
    expect_nothing_of_flannels();
}

INSTANTIATE_TEST_SUITE_P(Setups, Flanneld, testing::Values(Setup{"tc", WireMode::offload}), setup_name);

} // namespace
} // namespace weft::test

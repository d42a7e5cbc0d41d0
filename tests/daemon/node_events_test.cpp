// SPDX-License-Identifier: Apache-2.0
// What happens to a node as a whole: its link and its addresses change, its subnet is lost, it reboots, its disk is full.
#include <sys/mount.h>

#include "daemon_fixture.hpp"

namespace weft::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class NodeEvents : public DaemonTest {
protected:
    /// The value under this node's own key.
    std::string own_lease() const {
        const auto value = cluster_->etcd().get(fmt::format("/coreos.com/network/subnets/{}-24", base_));
        return value ? value->value_or("no such key") : value.error().sentence();
    }
    void start() {
        auto all = options({});
        all.ip_masq = true;
        WEFT_ASSERT_OK(node_->start(all));
    }
    void start_with_pod() {
        WEFT_ASSERT_OK(put_lease("10.244.77.0-24", "192.0.2.77"));
        start();
        WEFT_ASSERT_OK(node_->wait_for_leases(1));
        WEFT_ASSERT_ASSIGN(base_, node_->base_address());
        WEFT_ASSERT_ASSIGN(pod_, node_->add_pod());
    }
    void expect_synced() const {
        EXPECT_TRUE(wait_until([&] { return status()["state"] == "synced"; })) << status() << log();
        WEFT_EXPECT_OK(ping(node_->netns(), pod_->address, 1));
        WEFT_EXPECT_OK(ping(pod_->ns, Cluster::kWorld, 1));
    }

    std::string base_;
    Pod *pod_ = nullptr;
};

TEST_F(NodeEvents, TheUplinkBounces) {
    start_with_pod();
    WEFT_ASSERT_OK(node_->netns().ip("link set eth0 down\nlink set eth0 up"));
    EXPECT_TRUE(wait_until([&] { return lease_field("10.244.77.0/24", "encap") == "vxlan"; }, 3s)) << log();
    expect_synced();
}

TEST_F(NodeEvents, TheUplinkIsRenamedAndGetsAnotherMac) {
    start_with_pod();
    WEFT_ASSERT_OK(
        node_->netns().ip("link set eth0 down\nlink set eth0 name wan0 address 02:00:00:00:12:34\nlink set wan0 up"));
    EXPECT_TRUE(wait_until([&] { return status()["uplink"]["name"] == "wan0"; }, 3s)) << status() << log();
    EXPECT_TRUE(wait_until([&] { return lease_field("10.244.77.0/24", "ifname") == "wan0"; }, 3s)) << log();
    EXPECT_EQ(status()["uplink"]["mac"], "02:00:00:00:12:34");
    EXPECT_THAT(own_lease(), HasSubstr("192.0.2.1"));
    expect_synced();
}

/// Else peers would go on sending to the old one until it has gone unanswered for long enough.
TEST_F(NodeEvents, AnotherMacIsToldToPeers) {
    start_with_pod();
    WEFT_ASSERT_ASSIGN(auto *peer, cluster_->add_node());
    WEFT_ASSERT_ASSIGN(const auto *there, peer->add_pod());
    WEFT_ASSERT_OK(node_->wait_for_leases(2));
    WEFT_ASSERT_OK(peer->wait_for_leases(2));
    WEFT_ASSERT_ASSIGN(auto flow, SteadyFlow::start(there->ns, pod_->address));
    const auto neighbour = [&] { return peer->netns().run("ip neigh show 192.0.2.1 dev eth0").value_or(""); };
    ASSERT_FALSE(neighbour().contains("02:00:00:00:12:34"));
    (void)flow.report();
    WEFT_ASSERT_OK(node_->netns().ip("link set eth0 address 02:00:00:00:12:34"));
    EXPECT_TRUE(wait_until([&] { return neighbour().contains("02:00:00:00:12:34"); }, 1s)) << neighbour();
    EXPECT_TRUE(wait_until([&] { return status()["uplink"]["mac"] == "02:00:00:00:12:34"; }, 3s)) << log();
    WEFT_ASSERT_ASSIGN(const auto report, flow.report());
    EXPECT_LT(report.longest_pause_ms, 1000);
    WEFT_EXPECT_OK(ping(there->ns, pod_->address, 1));
    expect_synced();
}

TEST_F(NodeEvents, TheUplinksAddressChanges) {
    start_with_pod();
    ASSERT_THAT(own_lease(), HasSubstr("\"192.0.2.1\""));
    // A dead node's lease for the very address must not draw us to its subnet.
    WEFT_ASSERT_OK(put_lease("10.244.88.0-24", "192.0.2.99"));
    WEFT_ASSERT_OK(node_->netns().ip("addr del 192.0.2.1/24 dev eth0\naddr add 192.0.2.99/24 dev eth0\n"
                                     "route replace default via 192.0.2.254"));
    EXPECT_TRUE(wait_until([&] { return own_lease().contains("\"192.0.2.99\""); }, 3s)) << own_lease() << log();
    EXPECT_THAT(own_lease(), HasSubstr("02:77:c0:00:02:63")) << "the VTEP's MAC follows";
    EXPECT_TRUE(wait_until([&] { return sh("ip -d link show weft.1").contains("02:77:c0:00:02:63"); })) << log();
    EXPECT_EQ(node_->base_address().value_or(""), base_);
    EXPECT_EQ(status()["public_ip"], "192.0.2.99");
    EXPECT_EQ(times(log(), "the address is now 192.0.2.99"), 1U) << log();
    expect_synced();
}

TEST_F(NodeEvents, TheUplinksAddressChangedWhileWeftdWasAway) {
    start_with_pod();
    node_->kill();
    WEFT_ASSERT_OK(put_lease("10.244.88.0-24", "192.0.2.99")); // a dead node's
    WEFT_ASSERT_OK(node_->netns().ip("addr del 192.0.2.1/24 dev eth0\naddr add 192.0.2.99/24 dev eth0\n"
                                     "route replace default via 192.0.2.254"));
    start();
    EXPECT_EQ(status()["etcd"]["lease"], "held") << log();
    EXPECT_THAT(own_lease(), HasSubstr("\"192.0.2.99\""));
    EXPECT_THAT(own_lease(), HasSubstr("02:77:c0:00:02:63"));
    EXPECT_EQ(node_->base_address().value_or(""), base_);
    WEFT_EXPECT_OK(node_->add_pod());
    expect_synced();
}

/// Another node has the old address by now, and has taken the lease that names it for its own.
TEST_F(NodeEvents, TheOldAddressIsAnotherNodesByNow) {
    start_with_pod();
    node_->kill();
    WEFT_ASSERT_OK(cluster_->etcd().put(fmt::format("/coreos.com/network/subnets/{}-24", base_), own_lease()));
    WEFT_ASSERT_OK(node_->netns().ip("addr del 192.0.2.1/24 dev eth0\naddr add 192.0.2.99/24 dev eth0\n"
                                     "route replace default via 192.0.2.254"));
    const auto theirs = own_lease();
    start();
    EXPECT_TRUE(wait_until([&] { return status()["etcd"]["lease"] == "lost"; })) << status() << log();
    EXPECT_EQ(own_lease(), theirs) << "byte for byte what the other wrote";
    EXPECT_FALSE(node_->add_pod());
    WEFT_EXPECT_OK(ping(node_->netns(), pod_->address, 1));
}

TEST_F(NodeEvents, ASecondAddressChangesNothing) {
    start_with_pod();
    WEFT_ASSERT_OK(node_->netns().ip("addr add 192.0.2.99/24 dev eth0\naddr del 192.0.2.99/24 dev eth0"));
    WEFT_ASSERT_OK(put_lease("10.244.78.0-24", "192.0.2.78"));
    WEFT_ASSERT_OK(node_->wait_for_leases(2)); // whatever came before it has been dealt with
    EXPECT_EQ(status()["public_ip"], "192.0.2.1");
    EXPECT_THAT(own_lease(), HasSubstr("\"192.0.2.1\""));
    expect_synced();
}

TEST_F(NodeEvents, ASubnetWithPodsThatSomebodyElseTookStaysWithThem) {
    start_with_pod();
    WEFT_ASSERT_OK(put_lease(base_ + "-24", "192.0.2.77"));
    EXPECT_TRUE(wait_until([&] { return status()["etcd"]["lease"] == "lost"; })) << status() << log();
    EXPECT_TRUE(wait_until([&] { return read_file(node_->subnet_file()).value_or("").contains("WEFT_SUBNET_LOST="); }));
    EXPECT_EQ(node_->base_address().value_or(""), base_);
    EXPECT_THAT(status()["lost"].dump(), HasSubstr("192.0.2.77"));
    EXPECT_THAT(sh("cat " + node_->subnet_file().string()), HasSubstr("192.0.2.77"));
    WEFT_EXPECT_OK(ping(node_->netns(), pod_->address, 1));
    WEFT_EXPECT_OK(ping(pod_->ns, Cluster::kWorld, 1));
    const auto refused = node_->add_pod();
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().sentence(), HasSubstr("this node has lost its subnet"));
    EXPECT_THAT(refused.error().sentence(), HasSubstr("192.0.2.77"));
    const auto doctor = node_->netns().output({binary("weftctl"), "doctor", "--run-dir=" + node_->run_dir().string(),
                                               "--bpf-dir=" + node_->bpf_dir().string()});
    ASSERT_TRUE(doctor);
    EXPECT_THAT(doctor->out, HasSubstr("is another node's now"));

    // So it is after a restart.
    WEFT_ASSERT_OK(node_->stop());
    start();
    EXPECT_TRUE(wait_until([&] { return status()["etcd"]["lease"] == "lost"; })) << status() << log();
    EXPECT_FALSE(node_->add_pod());
    EXPECT_THAT(own_lease(), HasSubstr("192.0.2.77"));

    // The other lets go of it: pods can come again.
    WEFT_ASSERT_OK(cluster_->etcd().del(fmt::format("/coreos.com/network/subnets/{}-24", base_)));
    EXPECT_TRUE(wait_until([&] { return status()["etcd"]["lease"] == "held"; }, 15s)) << status() << log();
    EXPECT_TRUE(wait_until([&] { return !read_file(node_->subnet_file()).value_or("").contains("LOST"); })) << log();
    EXPECT_THAT(own_lease(), HasSubstr("\"192.0.2.1\""));
    WEFT_EXPECT_OK(node_->add_pod());
    expect_synced();
}

TEST_F(NodeEvents, ALostSubnetIsGivenUpWithItsLastPod) {
    start_with_pod();
    WEFT_ASSERT_OK(put_lease(base_ + "-24", "192.0.2.77"));
    EXPECT_TRUE(wait_until([&] { return status()["etcd"]["lease"] == "lost"; })) << status() << log();
    WEFT_ASSERT_OK(node_->del_pod(*pod_));
    EXPECT_TRUE(wait_until([&] { return node_->base_address().value_or(base_) != base_; })) << log();
    WEFT_ASSERT_ASSIGN(pod_, node_->add_pod());
    expect_synced();
}

TEST_F(NodeEvents, AReboot) {
    start_with_pod();
    const auto env = read_file(node_->subnet_file()).value();
    node_->kill();
    WEFT_ASSERT_OK(node_->cni("DEL", pod_->container_id, pod_->ns.path()));
    // What a reboot takes away: links, routes, rules, programs, maps.
    WEFT_ASSERT_OK(node_->netns().ip("link del weft.1\nroute del unreachable " + base_ + "/24"));
    for (const auto &pin : std::filesystem::directory_iterator(node_->bpf_dir())) std::filesystem::remove(pin.path());
    std::filesystem::remove_all(node_->run_dir());
    ASSERT_EQ(read_file(node_->subnet_file()).value(), env);
    // Until weftd is back the plugin asks for patience.
    const auto refused = node_->add_pod();
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().sentence(), HasSubstr("weftd has not set up this node since boot"));
    start();
    EXPECT_EQ(read_file(node_->subnet_file()).value(), env);
    WEFT_ASSERT_OK(node_->wait_for_leases(1));
    WEFT_ASSERT_ASSIGN(pod_, node_->add_pod());
    expect_synced();
}

TEST_F(NodeEvents, AFullDiskIsSaidOnceAndMadeGoodLater) {
    const auto dir = node_->subnet_file().parent_path();
    std::filesystem::create_directories(dir);
    ASSERT_EQ(::mount("tmpfs", dir.c_str(), "tmpfs", 0, "size=4k"), 0);
    struct Unmount {
        std::filesystem::path dir;
        ~Unmount() { ::umount2(dir.c_str(), MNT_DETACH); }
    } const unmount{dir};
    WEFT_ASSERT_OK(write_file(dir / "filler", std::string(4096, 'x')));
    launch();
    EXPECT_TRUE(wait_until([&] { return log().contains("No space left on device"); })) << log();
    EXPECT_FALSE(std::filesystem::exists(node_->subnet_file()));
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir), {}), 1) << "no debris";
    std::filesystem::remove(dir / "filler");
    EXPECT_TRUE(wait_until([&] { return read_file(node_->subnet_file()).value_or("").contains("FLANNEL_SUBNET="); }))
        << log();
    EXPECT_EQ(times(log(), "No space left on device"), 1U) << log();
}

/// Deadlines, intervals and leases go by clocks that nobody sets.
TEST_F(NodeEvents, TheClockJumps) {
    const auto clock = node_->dir() / "clock";
    constexpr long kYear = 365L * 24 * 3600;
    WEFT_ASSERT_OK(write_file(clock, std::to_string(40 * kYear)));
    auto all = options({});
    all.program = "weftd-testhooks";
    all.env = {"WEFT_TEST_CLOCK=" + clock.string()};
    WEFT_ASSERT_OK(node_->start(all));
    WEFT_ASSERT_ASSIGN(base_, node_->base_address());
    EXPECT_GT(status()["started"].get<std::string>(), "2060") << "the clock is ahead";
    std::size_t others = 0;
    for (const long ahead : {0L, 10 * kYear, -10 * kYear, 0L}) {
        WEFT_ASSERT_OK(write_file(clock, std::to_string(ahead)));
        const auto number = 77 + others;
        WEFT_ASSERT_OK(put_lease(fmt::format("10.244.{}.0-24", number), fmt::format("192.0.2.{}", number)));
        WEFT_EXPECT_OK(node_->wait_for_leases(++others, 3s));
        // Calls to etcd, with their deadlines.
        WEFT_ASSERT_OK(cluster_->etcd().del(fmt::format("/coreos.com/network/subnets/{}-24", base_)));
        EXPECT_TRUE(wait_until([&] { return own_lease().contains("\"192.0.2.1\""); }, 3s)) << ahead << log();
    }
    EXPECT_EQ(status()["state"], "synced") << log();
    EXPECT_FALSE(log().contains("while etcd is away")) << log();
    EXPECT_FALSE(log().contains("is gone")) << log();
}

TEST_F(NodeEvents, TheHostIsRenamed) {
    WEFT_REQUIRES(requires_tools({"unshare", "hostname"}));
    auto all = options({});
    all.under = {"unshare", "--uts"};
    const auto rename = [&](const std::string &name) {
        const auto pid = std::to_string(node_->daemon()->pid());
        WEFT_ASSERT_OK(run_ok({"nsenter", "--target", pid, "--uts", "hostname", name}));
    };
    WEFT_ASSERT_OK(node_->start(all));
    WEFT_ASSERT_ASSIGN(base_, node_->base_address());
    const auto before = own_lease();
    rename("renamed");
    WEFT_ASSERT_OK(put_lease("10.244.77.0-24", "192.0.2.77"));
    WEFT_EXPECT_OK(node_->wait_for_leases(1));
    WEFT_ASSERT_OK(node_->stop());
    WEFT_ASSERT_OK(node_->launch(all));
    rename("renamed-again");
    EXPECT_TRUE(wait_until([&] { return status()["state"] == "synced"; })) << status() << log();
    EXPECT_EQ(node_->base_address().value_or(""), base_);
    EXPECT_EQ(own_lease(), before);
}

TEST_F(NodeEvents, ASecondDaemonInTheSameNamespaceIsRefused) {
    start_with_pod();
    auto second = node_->netns().output(
        {binary("weftd"), "--etcd-endpoints=" + options({}).etcd_endpoint, "--iface=eth0",
         "--run-dir=" + (node_->run_dir().parent_path() / "other").string(), "--bpf-dir=" + node_->bpf_dir().string(),
         "--subnet-file=" + node_->subnet_file().string()},
        {}, 10s);
    ASSERT_TRUE(second);
    EXPECT_NE(second->code, 0);
    EXPECT_THAT(second->err, HasSubstr("another weftd runs in this network namespace"));
    expect_synced();
}

/// The name by which two daemons would notice each other is anybody's to take.
TEST_F(NodeEvents, AnotherUsersProcessKeepsNoDaemonOut) {
    auto squatter = node_->netns().spawn(
        {"setpriv", "--reuid=65534", "--clear-groups", "socat", "ABSTRACT-LISTEN:weftd,fork", "EXEC:cat"});
    ASSERT_TRUE(squatter) << squatter.error().sentence();
    ASSERT_TRUE(wait_until([&] {
        const auto names = node_->netns().output({"cat", "/proc/net/unix"});
        return names && names->out.contains("@weftd");
    }));
    start_with_pod();
    expect_synced();
}

} // namespace
} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
// What weftd makes of flags, configurations and surroundings that are wrong or late.
#include "daemon_fixture.hpp"

namespace weft::test {
namespace {

using testing::HasSubstr;

class BadInputTest : public DaemonTest {
protected:
    /// weftd refuses: exit code and stderr.
    Output refuse(std::vector<std::string> flags) const {
        std::vector<std::string> argv{binary("weftd"), "--etcd-endpoints=" + cluster_->etcd().endpoint(),
                                      "--run-dir=" + node_->run_dir().string(),
                                      "--bpf-dir=" + node_->bpf_dir().string(),
                                      "--subnet-file=" + node_->subnet_file().string()};
        argv.insert(argv.end(), flags.begin(), flags.end());
        auto out = node_->netns().output(argv, {}, 20s);
        if (!out) ADD_FAILURE() << out.error().sentence();
        return out.value_or(Output{});
    }
};

TEST_F(BadInputTest, BadFlagsAreOneLineAndANonZeroExit) {
    const std::pair<std::vector<std::string>, std::string> table[] = {
        {{"--no-such-flag"}, "--no-such-flag"},
        {{"--public-ip=10.0.0.0/8"}, "--public-ip"},
        {{"--subnet-lease-renew-margin=0"}, "1 to 1439"},
        {{"--iface=eth9"}, "there are: eth0 (192.0.2.1)"},
        {{"--public-ip=203.0.113.1"}, "--public-ip=203.0.113.1"},
        {{"--kube-subnet-mgr"}, "--kube-subnet-mgr"},
    };
    for (const auto &[flags, part] : table) {
        const auto out = refuse(flags);
        EXPECT_NE(out.code, 0) << flags[0];
        EXPECT_EQ(times(out.err, "\n"), 1U) << out.err;
        EXPECT_THAT(out.err, HasSubstr(part));
        EXPECT_TRUE(out.out.empty()) << out.out;
    }
    const auto version = refuse({"--version"});
    EXPECT_EQ(version.code, 0);
    EXPECT_THAT(version.out, HasSubstr("weftd "));
    EXPECT_FALSE(read_file(node_->subnet_file())) << "nothing was touched";
}

TEST_F(BadInputTest, ASecondDaemonOfTheSameRunDirectoryIsRefused) {
    start();
    const auto second = refuse({"--iface=eth0"});
    EXPECT_NE(second.code, 0);
    EXPECT_THAT(second.err, HasSubstr("another weftd runs in " + node_->run_dir().string()));
    EXPECT_EQ(status()["state"], "synced");
}

TEST_F(BadInputTest, ABackendThatIsNotOursEndsIt) {
    WEFT_ASSERT_OK(cluster_->etcd().put("/coreos.com/network/config",
                                        R"({"Network": "10.244.0.0/16", "Backend": {"Type": "wireguard"}})"));
    const auto out = refuse({"--iface=eth0"});
    EXPECT_NE(out.code, 0);
    EXPECT_THAT(out.err, HasSubstr("wireguard"));
}

TEST_F(BadInputTest, HostGwBehindANatEndsIt) {
    WEFT_ASSERT_OK(cluster_->etcd().put("/coreos.com/network/config",
                                        R"({"Network": "10.244.0.0/16", "Backend": {"Type": "host-gw"}})"));
    const auto out = refuse({"--iface=eth0", "--public-ip=203.0.113.9"});
    EXPECT_NE(out.code, 0);
    for (const auto *address : {"203.0.113.9", "192.0.2.1"}) EXPECT_THAT(out.err, HasSubstr(address));
}

TEST_F(BadInputTest, AMissingConfigurationIsWaitedForAndSaidOnce) {
    WEFT_ASSERT_OK(cluster_->etcd().del("/coreos.com/network/config"));
    launch();
    ASSERT_TRUE(node_->daemon()->wait_for_output("waiting for the network configuration")) << log();
    EXPECT_EQ(status()["state"], "waiting_config");
    WEFT_ASSERT_OK(cluster_->etcd().put("/coreos.com/network/config", R"({"Network": "10.244.0.0/29"})"));
    ASSERT_TRUE(node_->daemon()->wait_for_output("10.244.0.0/29")) << log();
    EXPECT_FALSE(read_file(node_->subnet_file()));
    WEFT_ASSERT_OK(cluster_->etcd().put("/coreos.com/network/config", net_conf()));
    EXPECT_TRUE(node_->notify().wait_for("READY=1")) << log();
}

TEST_F(BadInputTest, EtcdMayComeLateAndGoAway) {
    WEFT_ASSERT_OK(cluster_->etcd().stop());
    launch();
    ASSERT_TRUE(node_->daemon()->wait_for_output("warning etcd:")) << log();
    WEFT_ASSERT_OK(cluster_->etcd().restart());
    ASSERT_TRUE(node_->notify().wait_for("READY=1", 30s)) << log();
    WEFT_ASSERT_OK(put_lease("10.244.77.0-24", "192.0.2.77"));
    WEFT_ASSERT_OK(node_->wait_for_leases(1));
    WEFT_ASSERT_OK(cluster_->etcd().stop());
    EXPECT_EQ(leases().size(), 1U) << "the packet path does not need etcd";
    WEFT_ASSERT_OK(node_->netns().ip("route del 10.244.0.0/16"));
    EXPECT_TRUE(wait_until([&] { return sh("ip route").contains("10.244.0.0/16"); })) << "nor does repair\n" << log();
}

/// Flannel's own device is taken over instead (tests/migration).
TEST_F(BadInputTest, SomebodysDeviceOnTheSamePortIsNamed) {
    WEFT_ASSERT_OK(node_->netns().ip("link add vxlan9 type vxlan id 9 dstport 8472 dev eth0\nlink set vxlan9 up"));
    launch();
    ASSERT_TRUE(node_->daemon()->wait_for_output("vxlan9 is up on UDP port 8472")) << log();
    EXPECT_EQ(status()["state"], "syncing");
    EXPECT_EQ(times(log(), "vxlan9 is up"), 1U) << log();
    EXPECT_FALSE(read_file(node_->subnet_file()));
    EXPECT_TRUE(sh("ip -br link").contains("vxlan9")) << "it is not ours to take away";
    WEFT_ASSERT_OK(node_->netns().ip("link del vxlan9"));
    EXPECT_TRUE(node_->notify().wait_for("READY=1", 20s)) << log();
}

} // namespace
} // namespace weft::test

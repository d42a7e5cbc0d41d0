// SPDX-License-Identifier: Apache-2.0
// A node comes up, meets others, ends and comes back.
#include "daemon_fixture.hpp"

namespace weft::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class NodeTest : public DaemonTest {};

TEST_F(NodeTest, TakesALeaseAndTellsEveryone) {
    start();
    WEFT_ASSERT_ASSIGN(const auto base, node_->base_address());
    const auto gateway = base.substr(0, base.rfind('.')) + ".1";
    WEFT_ASSERT_ASSIGN(const auto env, read_file(node_->subnet_file()));
    EXPECT_EQ(env, fmt::format("FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET={}/24\nFLANNEL_MTU=1450\n"
                               "FLANNEL_IPMASQ=false\n",
                               gateway));
    WEFT_ASSERT_ASSIGN(const auto value, cluster_->etcd().get(fmt::format("/coreos.com/network/subnets/{}-24", base)));
    ASSERT_TRUE(value);
    EXPECT_EQ(*value, R"({"PublicIP":"192.0.2.1","PublicIPv6":null,"BackendType":"vxlan",)"
                      R"("BackendData":{"VNI":1,"VtepMAC":"02:77:c0:00:02:01"}})");
    const auto said = status();
    EXPECT_EQ(said["state"], "synced") << said;
    EXPECT_EQ(said["public_ip"], "192.0.2.1") << said;
    EXPECT_EQ(said["subnet"], base + "/24") << said;
    EXPECT_EQ(said["uplink"]["name"], "eth0") << said;
}

TEST_F(NodeTest, MakesWhatTheHostNeedsAndNoMore) {
    start();
    WEFT_ASSERT_ASSIGN(const auto base, node_->base_address());
    const auto link = sh("ip -d link show weft.1");
    for (const char *part :
         {"vxlan external", "dstport 8472", "nolearning", "mtu 1450", "02:77:c0:00:02:01", "NOARP", ",UP"})
        EXPECT_THAT(link, HasSubstr(part));
    const auto addresses = sh("ip -o -4 addr show dev weft.1");
    EXPECT_THAT(addresses, HasSubstr(base + "/32"));
    EXPECT_THAT(addresses, HasSubstr(base.substr(0, base.rfind('.')) + ".1/32"));
    EXPECT_EQ(times(addresses, "inet "), 2U) << addresses;
    EXPECT_THAT(sh("ip -o route show dev weft.1"),
                HasSubstr(fmt::format("10.244.0.0/16 via 169.254.1.1 proto 119 src {} onlink", base)));
    EXPECT_THAT(sh("ip route show type unreachable"), HasSubstr(base + "/24"));
    EXPECT_THAT(sh("ip neighbour show dev weft.1"), HasSubstr("169.254.1.1 lladdr 02:77:00:00:00:01 PERMANENT"));
    EXPECT_EQ(sh("cat /proc/sys/net/ipv4/ip_forward"), "1\n");
    EXPECT_EQ(sh("cat /proc/sys/net/ipv6/conf/weft.1/accept_ra"), "0\n");
}

TEST_F(NodeTest, AnswersForOwnPodsThatDoNotExist) {
    start();
    WEFT_ASSERT_ASSIGN(const auto base, node_->base_address());
    const auto nobody = base.substr(0, base.rfind('.')) + ".99";
    WEFT_ASSERT_ASSIGN(const auto route, node_->netns().output(words("ip route get " + nobody)));
    EXPECT_NE(route.code, 0) << route.out;
    EXPECT_THAT(route.err, HasSubstr("No route to host"));
}

TEST_F(NodeTest, AHundredLeasesAreAHundredMapEntriesAndOneRoute) {
    for (int n = 0; n < 100; ++n)
        WEFT_ASSERT_OK(put_lease(fmt::format("10.244.{}.0-24", 100 + n), fmt::format("192.0.2.{}", 100 + n)));
    start();
    WEFT_ASSERT_OK(node_->wait_for_leases(100));
    const auto all = leases();
    EXPECT_EQ(all.at("10.244.142.0/24")["node"], "192.0.2.142");
    EXPECT_EQ(all.at("10.244.142.0/24")["next_hop"], "192.0.2.142");
    EXPECT_EQ(all.at("10.244.142.0/24")["ifname"], "eth0");
    EXPECT_EQ(all.at("10.244.142.0/24")["mtu"], 1450);
    EXPECT_EQ(all.at("10.244.142.0/24")["encap"], "vxlan");
    EXPECT_EQ(times(sh("ip -o route show dev weft.1"), "\n"), 1U);
    EXPECT_EQ(times(sh("ip -o neighbour show dev weft.1"), "\n"), 1U);

    WEFT_ASSERT_ASSIGN(const auto dump, run_ok({"/usr/sbin/bpftool", "-j", "map", "dump", "pinned",
                                                (node_->bpf_dir() / "leases_v2").string()}));
    const auto entries = nlohmann::json::parse(dump, nullptr, false);
    ASSERT_EQ(entries.size(), 100U);
    EXPECT_TRUE(entries[0].contains("/formatted/value/vtep_mac"_json_pointer)) << entries[0];
}

TEST_F(NodeTest, LeasesComeMoveAndGo) {
    start();
    WEFT_ASSERT_OK(put_lease("10.244.77.0-24", "192.0.2.77"));
    WEFT_ASSERT_OK(node_->wait_for_leases(1));
    WEFT_ASSERT_OK(put_lease("10.244.77.0-24", "192.0.2.78"));
    EXPECT_TRUE(wait_until([&] { return lease_field("10.244.77.0/24", "node") == "192.0.2.78"; })) << log();
    WEFT_ASSERT_OK(cluster_->etcd().del("/coreos.com/network/subnets/10.244.77.0-24"));
    WEFT_EXPECT_OK(node_->wait_for_leases(0));
}

TEST_F(NodeTest, ForeignAndMalformedKeysAreReportedAndSkipped) {
    WEFT_ASSERT_OK(put_lease("10.244.77.0-24", "192.0.2.77"));
    WEFT_ASSERT_OK(put_lease("10.244.78.0-24", "192.0.2.78", "host-gw"));
    WEFT_ASSERT_OK(cluster_->etcd().put("/coreos.com/network/subnets/rubbish", "{}"));
    WEFT_ASSERT_OK(cluster_->etcd().put("/coreos.com/network/subnets/10.244.79.0-24", "not json"));
    start();
    WEFT_ASSERT_OK(node_->wait_for_leases(1));
    EXPECT_EQ(times(log(), "host-gw"), 1U) << log();
    EXPECT_THAT(log(), HasSubstr("rubbish"));
    EXPECT_THAT(log(), HasSubstr("10.244.79.0-24"));
    EXPECT_TRUE(status()["leases"]["unusable"].contains("10.244.78.0/24")) << status();
    EXPECT_EQ(status()["state"], "synced");
}

TEST_F(NodeTest, AFollowedRouteChangesTheNextHop) {
    start();
    WEFT_ASSERT_OK(put_lease("10.244.77.0-24", "203.0.113.7"));
    EXPECT_TRUE(wait_until([&] { return lease_field("10.244.77.0/24", "next_hop") == "192.0.2.254"; })) << log();
    WEFT_ASSERT_OK(node_->netns().ip("route add 203.0.113.0/24 via 192.0.2.200 mtu 1400"));
    EXPECT_TRUE(wait_until([&] { return lease_field("10.244.77.0/24", "next_hop") == "192.0.2.200"; })) << log();
    EXPECT_EQ(lease_field("10.244.77.0/24", "mtu"), "1350") << "the route's own MTU";
    WEFT_ASSERT_OK(node_->netns().ip("route replace unreachable 203.0.113.0/24"));
    EXPECT_TRUE(wait_until([&] { return lease_field("10.244.77.0/24", "encap") == "none"; })) << log();
    WEFT_ASSERT_OK(node_->netns().ip("route del unreachable 203.0.113.0/24"));
    EXPECT_TRUE(wait_until([&] { return lease_field("10.244.77.0/24", "next_hop") == "192.0.2.254"; })) << log();
}

TEST_F(NodeTest, EndsCleanlyLeavesAllAndComesBackToIt) {
    WEFT_ASSERT_OK(put_lease("10.244.77.0-24", "192.0.2.77"));
    start();
    WEFT_ASSERT_OK(node_->wait_for_leases(1));
    const auto ifindex = ifindex_of_vtep();
    const auto routes = sh("ip route"), addresses = sh("ip -4 -o addr show dev weft.1"),
               maps = sh("ls " + node_->bpf_dir().string());
    const auto lease_maps = [&] {
        return run_ok({"/usr/sbin/bpftool", "-j", "map", "show", "pinned", (node_->bpf_dir() / "leases_v2").string()});
    };
    const auto map_before = lease_maps();
    WEFT_ASSERT_ASSIGN(const auto env, read_file(node_->subnet_file()));
    WEFT_ASSERT_OK(node_->stop());
    EXPECT_EQ(ifindex_of_vtep(), ifindex);
    EXPECT_EQ(sh("ip route"), routes);
    EXPECT_EQ(leases().size(), 1U) << "weftctl reads the maps without weftd";
    WEFT_ASSERT_ASSIGN(const auto kept, cluster_->etcd().get_prefix("/coreos.com/network/subnets/"));
    EXPECT_EQ(kept.size(), 2U) << "the lease is kept";

    start();
    EXPECT_EQ(ifindex_of_vtep(), ifindex);
    EXPECT_EQ(sh("ip route"), routes);
    EXPECT_EQ(sh("ip -4 -o addr show dev weft.1"), addresses);
    EXPECT_EQ(sh("ls " + node_->bpf_dir().string()), maps);
    EXPECT_EQ(read_file(node_->subnet_file()).value_or(""), env);
    EXPECT_EQ(nlohmann::json::parse(lease_maps().value_or("{}"))["id"],
              nlohmann::json::parse(map_before.value_or("{}"))["id"]);
    EXPECT_THAT(log(), Not(HasSubstr("reconcile: lease"))) << "nothing was written again";
    EXPECT_THAT(log(), Not(HasSubstr("reconcile: device")));
}

TEST_F(NodeTest, ASubnetThatSomebodyElseTookIsGivenUp) {
    start();
    WEFT_ASSERT_ASSIGN(const auto first, node_->base_address());
    WEFT_ASSERT_OK(put_lease(first + "-24", "192.0.2.77"));
    EXPECT_TRUE(wait_until([&] { return node_->base_address().value_or(first) != first; })) << log();
    WEFT_ASSERT_ASSIGN(const auto second, node_->base_address());
    EXPECT_THAT(log(), HasSubstr("this node's subnet changed"));
    EXPECT_TRUE(wait_until([&] { return status()["state"] == "synced"; })) << status();
    EXPECT_EQ(lease_field(first + "/24", "node"), "192.0.2.77") << log();
    const auto addresses = sh("ip -o -4 addr show dev weft.1");
    EXPECT_THAT(addresses, HasSubstr(second + "/32"));
    EXPECT_THAT(addresses, Not(HasSubstr(first + "/32")));
    EXPECT_THAT(sh("ip route show type unreachable"), Not(HasSubstr(first)));
}

TEST_F(NodeTest, HealthTellsTheTruth) {
    const auto get = [&] {
        return node_->netns().output(words("curl -s -o /dev/null -w %{http_code} http://127.0.0.1:8099/healthz"));
    };
    WEFT_REQUIRES(requires_tools({"curl"}));
    WEFT_ASSERT_OK(cluster_->etcd().del("/coreos.com/network/config"));
    launch({"--healthz-port=8099"});
    EXPECT_TRUE(wait_until([&] { return get()->out == "503"; })) << node_->daemon()->describe();
    WEFT_ASSERT_OK(cluster_->etcd().put("/coreos.com/network/config", net_conf()));
    EXPECT_TRUE(wait_until([&] { return get()->out == "200"; })) << node_->daemon()->describe();
    const auto body = nlohmann::json::parse(sh("curl -s http://127.0.0.1:8099/readyz"), nullptr, false);
    EXPECT_EQ(body["ready"], true) << body;
    EXPECT_EQ(body["etcd"]["lease"], "held") << body;
    WEFT_ASSERT_ASSIGN(const auto missing, node_->netns().output(words("curl -s -f http://127.0.0.1:8099/nothing")));
    EXPECT_NE(missing.code, 0);
}

} // namespace
} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
// A node of a cluster with IPv6: beside IPv4, without an IPv6 underlay, and alone.
#include <set>
#include <sstream>

#include "daemon_fixture.hpp"

namespace weft::test {
namespace {

using testing::HasSubstr;
using testing::Not;

class Ip6NodeTest : public DaemonTest {
protected:
    [[nodiscard]] std::string net_conf() const override {
        return R"({"EnableIPv6": true, "Network": "10.244.0.0/16", "IPv6Network": "fd00:244::/48",
                   "Backend": {"Type": "vxlan"}})";
    }
    void SetUp() override {
        DaemonTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        if (!sh("ls /proc/sys/net").contains("ipv6")) GTEST_SKIP() << "the kernel has no IPv6";
    }
    void plug_in_ip6() {
        WEFT_ASSERT_OK(node_->netns().ip("addr add 2001:db8::1/64 dev eth0 nodad\n"
                                         "route add ::/0 via 2001:db8::fe dev eth0"));
    }
    void configure(const std::string &conf) {
        WEFT_ASSERT_OK(cluster_->etcd().put("/coreos.com/network/config", conf));
    }

    /// This node's key and value: the only one there is, unless `others` are there too.
    [[nodiscard]] std::pair<std::string, std::string> own_lease(const std::set<std::string> &others = {}) const {
        const std::string prefix = "/coreos.com/network/subnets/";
        const auto all = cluster_->etcd().get_prefix(prefix);
        if (all)
            for (const auto &[key, value] : *all)
                if (!others.contains(key.substr(prefix.size()))) return {key.substr(prefix.size()), value};
        return {};
    }
    [[nodiscard]] std::string setting(const std::string &path) const {
        auto value = sh("cat /proc/sys/" + path);
        if (value.ends_with('\n')) value.pop_back();
        return value;
    }
    /// "fd00:244:0:5::" of this node's lease.
    [[nodiscard]] std::string ip6_base() const {
        const auto key = own_lease().first;
        const auto from = key.find('&') + 1;
        return key.substr(from, key.rfind('-') - from);
    }

    Status put_dual_lease() {
        return cluster_->etcd().put("/coreos.com/network/subnets/10.244.77.0-24&fd00:244:0:77::-64",
                                    R"({"PublicIP":"192.0.2.77","PublicIPv6":"2001:db8::77","BackendType":"vxlan",)"
                                    R"("BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:07"},)"
                                    R"("BackendV6Data":{"VNI":1,"VtepMAC":"02:00:00:00:00:67"}})");
    }
};

TEST_F(Ip6NodeTest, ADualStackNodeTakesALeaseInBothFamilies) {
    plug_in_ip6();
    start();
    WEFT_ASSERT_ASSIGN(const auto base, node_->base_address());
    const auto base6 = ip6_base();
    const auto [key, value] = own_lease();
    EXPECT_EQ(key, fmt::format("{}-24&{}-64", base, base6));
    EXPECT_EQ(value, R"({"PublicIP":"192.0.2.1","PublicIPv6":"2001:db8::1","BackendType":"vxlan",)"
                     R"("BackendData":{"VNI":1,"VtepMAC":"02:77:c0:00:02:01"},)"
                     R"("BackendV6Data":{"VNI":1,"VtepMAC":"02:77:c0:00:02:01","ZeroCsum6":true}})");
    WEFT_ASSERT_ASSIGN(const auto env, read_file(node_->subnet_file()));
    EXPECT_EQ(env, fmt::format("FLANNEL_NETWORK=10.244.0.0/16\nFLANNEL_SUBNET={}.1/24\n"
                               "FLANNEL_IPV6_NETWORK=fd00:244::/48\nFLANNEL_IPV6_SUBNET={}1/64\nFLANNEL_MTU=1430\n"
                               "FLANNEL_IPMASQ=false\n",
                               base.substr(0, base.rfind('.')), base6));
    const auto said = status();
    EXPECT_EQ(said["state"], "synced") << said;
    EXPECT_EQ(said["public_ipv6"], "2001:db8::1") << said;
    EXPECT_EQ(said["ipv6_network"], "fd00:244::/48") << said;
    EXPECT_EQ(said["ipv6_subnet"], base6 + "/64") << said;
    EXPECT_EQ(said["subnet"], base + "/24") << said;
}

TEST_F(Ip6NodeTest, TheHostHasForIPv6WhatItHasForIPv4) {
    plug_in_ip6();
    start();
    const auto base6 = ip6_base();
    const auto link = sh("ip -d link show weft.1");
    for (const char *part : {"vxlan external", "mtu 1430", "udp6zerocsumrx", "addrgenmode none"})
        EXPECT_THAT(link, HasSubstr(part));
    const auto addresses = sh("ip -o -6 addr show dev weft.1");
    EXPECT_THAT(addresses, HasSubstr(base6 + "/128"));
    EXPECT_THAT(addresses, HasSubstr(base6 + "1/128"));
    EXPECT_EQ(times(addresses, "inet6 "), 2U) << addresses;
    EXPECT_EQ(times(sh("ip -o -4 addr show dev weft.1"), "inet "), 2U);
    EXPECT_THAT(sh("ip -o -6 route show dev weft.1"),
                HasSubstr(fmt::format("fd00:244::/48 via fe80::77 proto 119 src {} metric 1024 onlink", base6)));
    EXPECT_THAT(sh("ip -6 route show type unreachable"), HasSubstr(base6 + "/64"));
    EXPECT_THAT(sh("ip -6 neighbour show dev weft.1"), HasSubstr("fe80::77 lladdr 02:77:00:00:00:01 PERMANENT"));
    EXPECT_EQ(setting("net/ipv6/conf/all/forwarding"), "1");
    EXPECT_EQ(setting("net/ipv6/conf/weft.1/accept_ra"), "0");
    WEFT_ASSERT_ASSIGN(const auto route, node_->netns().output(words("ip -6 route get " + base6 + "99")));
    EXPECT_THAT(route.err, HasSubstr("No route to host")) << "own pods that do not exist";
}

TEST_F(Ip6NodeTest, AnotherNodesSubnetsAreReachedByTheirFamiliesUnderlay) {
    plug_in_ip6();
    WEFT_ASSERT_OK(put_dual_lease());
    start();
    WEFT_ASSERT_OK(node_->wait_for_leases(2));
    EXPECT_EQ(lease_field("10.244.77.0/24", "encap"), "vxlan");
    EXPECT_EQ(lease_field("10.244.77.0/24", "node"), "192.0.2.77");
    EXPECT_EQ(lease_field("fd00:244:0:77::/64", "encap"), "vxlan6");
    EXPECT_EQ(lease_field("fd00:244:0:77::/64", "node"), "2001:db8::77");
    EXPECT_EQ(lease_field("fd00:244:0:77::/64", "next_hop"), "2001:db8::77");
    EXPECT_EQ(lease_field("fd00:244:0:77::/64", "mtu"), "1430");
    EXPECT_EQ(lease_field("fd00:244:0:77::/64", "vtep_mac"), "02:00:00:00:00:67");

    WEFT_ASSERT_OK(node_->netns().ip("route add 2001:db8::77/128 via fe80::9 dev eth0 mtu 1400"));
    EXPECT_TRUE(wait_until([&] { return lease_field("fd00:244:0:77::/64", "next_hop") == "fe80::9"; })) << log();
    EXPECT_EQ(lease_field("fd00:244:0:77::/64", "mtu"), "1330") << "the route's own MTU";
    WEFT_ASSERT_OK(node_->netns().run({"sh", "-c", "echo 1380 >/proc/sys/net/ipv6/conf/eth0/mtu"}));
    WEFT_ASSERT_OK(node_->netns().ip("route del 2001:db8::77/128"));
    EXPECT_TRUE(wait_until([&] { return lease_field("fd00:244:0:77::/64", "mtu") == "1310"; }))
        << "what a router says that the link takes: " << lease_field("fd00:244:0:77::/64", "mtu");
    WEFT_ASSERT_OK(cluster_->etcd().del("/coreos.com/network/subnets/10.244.77.0-24&fd00:244:0:77::-64"));
    WEFT_EXPECT_OK(node_->wait_for_leases(0));
}

TEST_F(Ip6NodeTest, WhatIsTakenAwayComesBack) {
    plug_in_ip6();
    start();
    const auto base6 = ip6_base();
    const auto state = [&] {
        std::set<std::string> lines;
        for (const char *what :
             {"ip -o -6 addr show dev weft.1", "ip -6 route show proto 119", "ip -6 neighbour show dev weft.1",
              "ip -o -4 addr show dev weft.1", "ip route show proto 119"}) {
            const auto out = node_->netns().output(words(what));
            std::istringstream text(out ? out->out : "");
            for (std::string line; std::getline(text, line);)
                lines.insert(line.substr(std::min(line.find(": ") + 1, line.size())));
        }
        return fmt::format("{}\nforwarding {}\n", fmt::join(lines, "\n"), setting("net/ipv6/conf/all/forwarding"));
    };
    const auto before = state();
    const std::string damage[] = {
        "ip -6 route del fd00:244::/48",
        "ip -6 route del unreachable " + base6 + "/64",
        "ip -6 addr del " + base6 + "/128 dev weft.1",
        "ip -6 addr flush dev weft.1",
        "ip -6 neighbour del fe80::77 dev weft.1",
        "ip link set weft.1 down", // takes every IPv6 address with it
    };
    for (const auto &command : damage) {
        sh(command);
        EXPECT_TRUE(wait_until([&] { return state() == before; })) << command << "\nwas:\n"
                                                                   << before << "\nis:\n"
                                                                   << state() << log();
    }
    EXPECT_TRUE(wait_until([&] { return status()["state"] == "synced"; })) << status();
}

TEST_F(Ip6NodeTest, WhereOnlyIPv4FlannelsAreIPv6Waits) {
    plug_in_ip6();
    // A key with a lease: one without is a reservation, of a node that need not be there.
    WEFT_ASSERT_OK(cluster_->etcd().put_with_ttl(
        "/coreos.com/network/subnets/10.244.77.0-24",
        R"({"PublicIP":"192.0.2.77","BackendType":"vxlan","BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:07"}})",
        600));
    start();
    WEFT_ASSERT_OK(node_->wait_for_leases(1));
    EXPECT_THAT(own_lease({"10.244.77.0-24"}).first, Not(HasSubstr("&")));
    EXPECT_FALSE(status().contains("ipv6_subnet")) << status();
    EXPECT_EQ(times(sh("ip -o -6 addr show dev weft.1"), "inet6 "), 0U);
    WEFT_ASSERT_ASSIGN(const auto base, node_->base_address());
    WEFT_ASSERT_OK(cluster_->etcd().del("/coreos.com/network/subnets/10.244.77.0-24"));
    EXPECT_TRUE(wait_until([&] {
        return read_file(node_->subnet_file()).value_or("").contains("FLANNEL_IPV6_SUBNET=");
    })) << log();
    EXPECT_EQ(node_->base_address().value_or(""), base) << "the IPv4 part stays";
    EXPECT_TRUE(wait_until([&] { return status()["state"] == "synced"; })) << status();
    EXPECT_THAT(sh("ip -o -6 addr show dev weft.1"), HasSubstr(ip6_base() + "1/128"));
}

TEST_F(Ip6NodeTest, WithoutAnIPv6UnderlayIPv6GoesInsideTheIPv4Tunnel) {
    WEFT_ASSERT_OK(put_dual_lease());
    start();
    EXPECT_THAT(own_lease({"10.244.77.0-24&fd00:244:0:77::-64"}).second, HasSubstr(R"("PublicIPv6":null)"));
    WEFT_ASSERT_OK(node_->wait_for_leases(2));
    EXPECT_EQ(lease_field("fd00:244:0:77::/64", "encap"), "vxlan");
    EXPECT_EQ(lease_field("fd00:244:0:77::/64", "node"), "192.0.2.77");
    EXPECT_EQ(lease_field("fd00:244:0:77::/64", "mtu"), "1450");
    EXPECT_THAT(read_file(node_->subnet_file()).value_or(""), HasSubstr("FLANNEL_MTU=1450\n"));
    EXPECT_THAT(log(), HasSubstr("IPv6 goes inside the IPv4 tunnel"));
}

TEST_F(Ip6NodeTest, AnIPv6AddressThatComesLateIsPublished) {
    WEFT_ASSERT_OK(put_dual_lease());
    start();
    WEFT_ASSERT_OK(node_->wait_for_leases(2));
    const std::set<std::string> other{"10.244.77.0-24&fd00:244:0:77::-64"};
    const auto key = own_lease(other).first;
    plug_in_ip6();
    EXPECT_TRUE(wait_until([&] { return own_lease(other).second.contains(R"("PublicIPv6":"2001:db8::1")"); })) << log();
    EXPECT_EQ(own_lease(other).first, key);
    EXPECT_TRUE(wait_until([&] { return lease_field("fd00:244:0:77::/64", "encap") == "vxlan6"; })) << log();
    EXPECT_TRUE(
        wait_until([&] { return read_file(node_->subnet_file()).value_or("").contains("FLANNEL_MTU=1430\n"); }));
    EXPECT_TRUE(wait_until([&] { return status()["state"] == "synced"; })) << status();
}

TEST_F(Ip6NodeTest, AnotherMacIsToldToIPv6Neighbours) {
    plug_in_ip6();
    start();
    WEFT_ASSERT_OK(cluster_->world().ip("addr add 2001:db8::fd/64 dev eth0 nodad"));
    WEFT_ASSERT_OK(ping(cluster_->world(), "2001:db8::1", 1));
    const auto neighbour = [&] { return cluster_->world().run("ip neigh show 2001:db8::1 dev eth0").value_or(""); };
    ASSERT_THAT(neighbour(), HasSubstr("lladdr"));
    WEFT_ASSERT_OK(node_->netns().ip("link set eth0 address 02:00:00:00:12:34"));
    EXPECT_TRUE(wait_until([&] { return neighbour().contains("02:00:00:00:12:34"); }, 1s)) << neighbour();
}

TEST_F(Ip6NodeTest, AHostThatIsShyOfIPv6GetsItOnWeftsDevice) {
    WEFT_ASSERT_OK(node_->netns().sysctl("net.ipv6.conf.default.disable_ipv6", "1"));
    start();
    EXPECT_THAT(sh("ip -o -6 addr show dev weft.1"), HasSubstr("/128"));
    EXPECT_THAT(log(), Not(HasSubstr("disabled on this device")));
}

TEST_F(Ip6NodeTest, HostGatewaysNeedAnUnderlayOfEachFamily) {
    configure(R"({"EnableIPv6": true, "Network": "10.244.0.0/16", "IPv6Network": "fd00:244::/48",
                  "Backend": {"Type": "host-gw"}})");
    launch();
    EXPECT_TRUE(wait_until([&] { return !node_->daemon()->running(); })) << log();
    EXPECT_THAT(log(), HasSubstr("uplink eth0 has no usable IPv6 address, and host-gw carries IPv6 over nothing else"));

    plug_in_ip6();
    WEFT_ASSERT_OK(
        cluster_->etcd().put("/coreos.com/network/subnets/10.244.77.0-24&fd00:244:0:77::-64",
                             R"({"PublicIP":"192.0.2.77","PublicIPv6":"2001:db8::77","BackendType":"host-gw"})"));
    start();
    WEFT_ASSERT_OK(node_->wait_for_leases(2));
    EXPECT_EQ(lease_field("fd00:244:0:77::/64", "encap"), "direct");
    EXPECT_EQ(lease_field("fd00:244:0:77::/64", "mtu"), "1500");
    EXPECT_THAT(read_file(node_->subnet_file()).value_or(""), HasSubstr("FLANNEL_MTU=1500\n"));
}

TEST_F(Ip6NodeTest, IPv6AloneWorks) {
    configure(
        R"({"EnableIPv4": false, "EnableIPv6": true, "IPv6Network": "fd00:244::/48", "Backend": {"Type": "vxlan"}})");
    plug_in_ip6();
    WEFT_ASSERT_OK(cluster_->etcd().put("/coreos.com/network/subnets/0.0.0.0-0&fd00:244:0:77::-64",
                                        R"({"PublicIP":"0.0.0.0","PublicIPv6":"2001:db8::77","BackendType":"vxlan",)"
                                        R"("BackendV6Data":{"VNI":1,"VtepMAC":"02:00:00:00:00:67"}})"));
    start();
    WEFT_ASSERT_OK(node_->wait_for_leases(1));
    EXPECT_EQ(lease_field("fd00:244:0:77::/64", "encap"), "vxlan6");
    const auto [key, value] = own_lease({"0.0.0.0-0&fd00:244:0:77::-64"});
    EXPECT_TRUE(key.starts_with("0.0.0.0-0&fd00:244:")) << key;
    EXPECT_THAT(value,
                HasSubstr(R"({"PublicIP":"0.0.0.0","PublicIPv6":"2001:db8::1","BackendType":"vxlan","BackendV6Data")"));
    const auto env = read_file(node_->subnet_file()).value_or("");
    EXPECT_TRUE(env.starts_with("FLANNEL_IPV6_NETWORK=fd00:244::/48\nFLANNEL_IPV6_SUBNET=")) << env;
    EXPECT_THAT(env, HasSubstr("FLANNEL_MTU=1430\n"));
    EXPECT_EQ(times(sh("ip -o -4 addr show dev weft.1"), "inet "), 0U);
    EXPECT_EQ(times(sh("ip -o -6 addr show dev weft.1"), "inet6 "), 2U);
    EXPECT_EQ(sh("ip route show proto 119"), "");
    EXPECT_EQ(status()["state"], "synced") << status();
    EXPECT_FALSE(status().contains("subnet"));
}

/// A router's advertisement, as radvd sends it: this router is the default one, addresses of 2001:db8:a::/64 are yours.
constexpr const char *kAdvertise = R"py(
import socket, struct, sys
s = socket.socket(socket.AF_INET6, socket.SOCK_RAW, socket.IPPROTO_ICMPV6)
s.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_HOPS, 255)
prefix = struct.pack('!BBBBIII', 3, 4, 64, 0xc0, 3600, 1800, 0) + socket.inet_pton(socket.AF_INET6, '2001:db8:a::')
s.sendto(struct.pack('!BBHBBHII', 134, 0, 0, 64, 0, int(sys.argv[1]), 0, 0) + prefix,
         ('ff02::1', 0, 0, socket.if_nametoindex('eth0')))
)py";

TEST_F(Ip6NodeTest, ForwardingDoesNotCostTheHostWhatItHasFromItsRouter) {
    WEFT_REQUIRES(requires_tools({"python3"}));
    const auto advertise = [&](int seconds) {
        return cluster_->world().run({"python3", "-c", kAdvertise, std::to_string(seconds)});
    };
    const auto has_default = [&](const char *part) { return sh("ip -6 route show default").contains(part); };
    ASSERT_EQ(setting("net/ipv6/conf/eth0/accept_ra"), "1");
    ASSERT_TRUE(wait_until([&] { return advertise(1800) && has_default("proto ra"); })) << sh("ip -6 route");
    start();
    EXPECT_EQ(setting("net/ipv6/conf/all/forwarding"), "1");
    EXPECT_EQ(setting("net/ipv6/conf/eth0/accept_ra"), "2");
    EXPECT_TRUE(has_default("proto ra")) << sh("ip -6 route");
    EXPECT_THAT(own_lease().second, HasSubstr(R"("PublicIPv6":"2001:db8:a:)"));
    EXPECT_TRUE(wait_until([&] {
        return advertise(7200) && (has_default("expires 7200") || has_default("expires 719"));
    })) << "the router is listened to: "
        << sh("ip -6 route");
}

} // namespace
} // namespace weft::test

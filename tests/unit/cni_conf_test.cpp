// SPDX-License-Identifier: Apache-2.0
// What the runtime says: environment, CNI_ARGS and configuration.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "cni/identity.hpp"
#include "cni/invocation.hpp"
#include "cni/netconf.hpp"
#include "cni/wiring.hpp"

namespace weft::cni {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Outcome<Invocation> invoked(const std::map<std::string, std::string> &variables) {
    return parse_invocation([&](const char *name) -> const char * {
        const auto found = variables.find(name);
        return found == variables.end() ? nullptr : found->second.c_str();
    });
}

Outcome<PluginConf> configured(json extra) {
    json conf{{"cniVersion", "1.1.0"}, {"name", "net"}, {"type", "weft"}};
    if (!extra.is_null()) conf.update(extra);
    auto head = parse_head(conf.dump());
    if (!head) return pass_on(std::move(head));
    return parse_conf(std::move(*head));
}

TEST(CniInvocation, ReadsTheEnvironment) {
    const auto call = invoked({{"CNI_COMMAND", "ADD"},
                               {"CNI_CONTAINERID", "a.b-c_1"},
                               {"CNI_NETNS", "/run/netns/x"},
                               {"CNI_IFNAME", "eth0"},
                               {"CNI_PATH", "/opt/cni/bin::/usr/lib/cni"}});
    ASSERT_TRUE(call);
    EXPECT_EQ(call->command, Command::add);
    EXPECT_THAT(call->plugin_path, ElementsAre("/opt/cni/bin", "/usr/lib/cni"));
}

TEST(CniInvocation, EachCommandNeedsItsOwn) {
    EXPECT_FALSE(invoked({{"CNI_COMMAND", "CHECK"}, {"CNI_CONTAINERID", "a"}, {"CNI_IFNAME", "e"}}));
    EXPECT_TRUE(invoked({{"CNI_COMMAND", "DEL"}, {"CNI_CONTAINERID", "a"}, {"CNI_IFNAME", "e"}}));
    EXPECT_TRUE(invoked({{"CNI_COMMAND", "GC"}}));
    EXPECT_TRUE(invoked({{"CNI_COMMAND", "STATUS"}}));
    EXPECT_TRUE(invoked({{"CNI_COMMAND", "VERSION"}}));
    EXPECT_FALSE(invoked({{"CNI_COMMAND", "add"}}));
}

TEST(CniInvocation, NamesThatCouldEscapeAreNoNames) {
    for (const char *name : {"", ".", "..", "-a", "a/b", "a:b", "a b", "a\n", "\xc3\xa4", "_a"})
        EXPECT_FALSE(is_valid_name(name)) << name;
    for (const char *name : {"a", "0", "a..b", "cb-r_0.x"}) EXPECT_TRUE(is_valid_name(name)) << name;
    for (const char *name : {"", ".", "..", "a/b", "a:b", "a b", "a\tb", "sixteencharacter"})
        EXPECT_FALSE(is_valid_ifname(name)) << name;
    for (const char *name : {"eth0", "...", "net-1.5", "fifteencharacte"}) EXPECT_TRUE(is_valid_ifname(name)) << name;
}

TEST(CniArgs, KnownOnesAreReadAndUnknownOnesNeedLeave) {
    const auto args = parse_args("IgnoreUnknown=true;IP=10.5.3.9/24;K8S_POD_NAME=a;MAC=02:00:00:00:00:01;");
    ASSERT_TRUE(args);
    EXPECT_EQ(args->ip->to_string(), "10.5.3.9");
    EXPECT_EQ(args->mac->to_string(), "02:00:00:00:00:01");
    EXPECT_EQ(parse_args("IP=fd00::9/64")->ip->to_string(), "fd00::9");
    EXPECT_THAT(parse_args("B=1;A=2").error().msg, HasSubstr("[B A]"));
    EXPECT_FALSE(parse_args("IgnoreUnknown=0;A=2"));
    EXPECT_FALSE(parse_args("IgnoreUnknown=maybe"));
    EXPECT_FALSE(parse_args("=1"));
    EXPECT_TRUE(parse_args(""));
}

TEST(CniConf, DefaultsAreFlannelsPlaces) {
    const auto conf = configured({});
    ASSERT_TRUE(conf);
    EXPECT_EQ(conf->subnet_file, "/run/flannel/subnet.env");
    EXPECT_EQ(conf->bpf_dir, "/sys/fs/bpf/weft");
    EXPECT_EQ(conf->data_dir, "/var/lib/cni/networks");
    EXPECT_EQ(conf->mtu, 0U);
    EXPECT_TRUE(conf->ipam.type.empty());
    EXPECT_FALSE(conf->valid_attachments);
    EXPECT_THAT(conf->remarks, IsEmpty());
}

TEST(CniConf, WithoutAVersionItIsTheFirst) {
    EXPECT_EQ(configured({})->version, Version::v1_1_0);
    EXPECT_EQ(configured({{"cniVersion", ""}})->version, Version::v0_1_0);
    EXPECT_EQ(configured({{"cniVersion", "0.2.0"}})->version, Version::v0_2_0);
    EXPECT_FALSE(configured({{"cniVersion", "0.2.1"}}));
}

TEST(CniConf, AnOwnMtuOverridesTheDelegates) {
    EXPECT_EQ(configured({{"delegate", {{"mtu", 1400}}}})->mtu, 1400U);
    EXPECT_EQ(configured({{"delegate", {{"mtu", 1400}}}, {"mtu", 1300}})->mtu, 1300U);
    EXPECT_EQ(configured({{"mtu", 0}})->mtu, 0U);
    EXPECT_FALSE(configured({{"mtu", 65536}}));
    EXPECT_FALSE(configured({{"mtu", -1}}));
}

TEST(CniConf, ARuntimesWishesOverrideTheUsers) {
    const auto conf =
        configured({{"args", {{"cni", {{"ips", {"10.5.3.9"}}, {"mac", "02:00:00:00:00:01"}}}}},
                    {"runtimeConfig", {{"ips", {"10.5.3.9/24", "fd00::a/64"}}, {"mac", "02:00:00:00:00:02"}}}});
    ASSERT_TRUE(conf) << conf.error().msg;
    EXPECT_THAT(conf->requested_ips, ElementsAre(*parse_ip("10.5.3.9"), *parse_ip("fd00::a")));
    EXPECT_EQ(conf->requested_mac->to_string(), "02:00:00:00:00:02");
}

TEST(CniConf, AnIpamWithoutTypeIsTheBuiltInOne) {
    const auto conf =
        configured({{"ipam", {{"dataDir", "/d"}, {"routes", {{{"dst", "192.0.2.0/24"}}}}, {"ranges", json::array()}}}});
    ASSERT_TRUE(conf) << conf.error().msg;
    EXPECT_TRUE(conf->ipam.type.empty());
    EXPECT_EQ(conf->ipam.data_dir, "/d");
    EXPECT_EQ(conf->ipam.routes.size(), 1U);
    ASSERT_EQ(conf->remarks.size(), 1U);
    EXPECT_THAT(conf->remarks[0], HasSubstr("ranges"));
}

TEST(CniConf, AListOfAttachmentsIsReadWholeOrRefused) {
    const auto conf = configured({{"cni.dev/attachments", {{{"containerID", "a"}, {"ifname", "eth0"}}}}});
    ASSERT_TRUE(conf);
    EXPECT_THAT(*conf->valid_attachments, ElementsAre(Attachment{"a", "eth0"}));
    EXPECT_THAT(*configured({{"cni.dev/valid-attachments", json::array()}})->valid_attachments, IsEmpty());
    EXPECT_FALSE(configured({{"cni.dev/valid-attachments", {{{"containerID", "a"}}}}}));
    EXPECT_FALSE(configured({{"cni.dev/valid-attachments", "all"}}));
}

TEST(CniConf, BandwidthLimitsAreNoticed) {
    EXPECT_FALSE(configured({{"runtimeConfig", {{"bandwidth", {{"ingressRate", 0}}}}}})->shaped);
    EXPECT_TRUE(configured({{"runtimeConfig", {{"bandwidth", {{"egressRate", 1}}}}}})->shaped);
    EXPECT_TRUE(configured({{"shaped", true}})->shaped);
    EXPECT_FALSE(configured({{"shaped", false}})->shaped);
    EXPECT_FALSE(configured({{"shaped", "yes"}}));
}

TEST(CniConf, PodsAreWiredWithVethOrNetkit) {
    EXPECT_FALSE(configured({{"device", "veth"}})->netkit);
    EXPECT_TRUE(configured({{"device", "netkit"}})->netkit);
    EXPECT_THAT(configured({{"device", "ipvlan"}}).error().msg, HasSubstr("device: veth or netkit is expected"));
    EXPECT_FALSE(configured({{"device", 1}}));
}

TEST(CniConf, MoreSourcesAreAllowedByTheNetworkAndByTheRuntime) {
    const auto conf = configured({{"allowedAddresses", {"10.1.2.3", "fd00::/64"}},
                                  {"runtimeConfig", {{"allowedAddresses", {"10.1.2.3/32", "192.0.2.0/24"}}}}});
    ASSERT_TRUE(conf) << conf.error().msg;
    EXPECT_EQ(conf->allowed_sources,
              (std::vector<Net>{*parse_net("10.1.2.3/32"), *parse_net("fd00::/64"), *parse_net("192.0.2.0/24")}));
    EXPECT_FALSE(conf->any_source);
    EXPECT_TRUE(configured({{"anySource", true}})->any_source);
    EXPECT_FALSE(configured({{"anySource", "yes"}}));
    EXPECT_THAT(configured({{"allowedAddresses", {"10.1.2.3/24"}}}).error().msg,
                HasSubstr("allowedAddresses: \"10.1.2.3/24\" has bits set behind its prefix length"));
    EXPECT_THAT(configured({{"runtimeConfig", {{"allowedAddresses", {"ten"}}}}}).error().msg,
                HasSubstr("runtimeConfig.allowedAddresses: "));
}

TEST(CniIdentity, NamesAreStableDistinctAndFit) {
    const Attachment a{"0123abcd", "eth0"}, b{"0123abcd", "net1"}, c{"0123abce", "eth0"};
    EXPECT_EQ(host_ifname(a).size(), 15U);
    EXPECT_EQ(host_ifname(a), host_ifname({"0123abcd", "eth0"}));
    EXPECT_NE(host_ifname(a), host_ifname(b));
    EXPECT_NE(host_ifname(a), host_ifname(c));
    EXPECT_EQ(host_ifname({"a", "b"}), "wefte620c319046"); // pinned: a new version must find the old one's links
}

TEST(CniIdentity, AliasesReadBackAndForeignOnesDoNot) {
    const Identity identity{"cbr0", {"pod-1", "eth0"}};
    EXPECT_EQ(alias_of("cbr0", identity.attachment), "weft:cbr0:pod-1:eth0");
    EXPECT_EQ(parse_alias("weft:cbr0:pod-1:eth0"), identity);
    for (const char *alias : {"", "weft", "weft:a:b", "weft:a::c", "cali:a:b:c", "uplink"})
        EXPECT_FALSE(parse_alias(alias)) << alias;
}

TEST(CniIdentity, OnlyOurVethsAreHostEnds) {
    const Attachment pod{"p", "eth0"};
    net::Link link{.index = 7, .name = host_ifname(pod), .kind = "veth", .alias = alias_of("net", pod)};
    EXPECT_TRUE(is_host_end_of(link, "net", pod));
    EXPECT_FALSE(is_host_end_of(link, "other", pod));
    link.alias.clear();
    EXPECT_TRUE(is_host_end_of(link, "net", pod));
    link.kind = "vxlan";
    EXPECT_FALSE(is_host_end(link));
    EXPECT_FALSE(is_host_end({.name = "weft.1", .kind = "veth"}));
    EXPECT_FALSE(is_host_end({.name = host_ifname(pod), .kind = "veth", .alias = "a friend's"}));
}

TEST(CniIdentity, MacsAreMadeOfTheFirstAddress) {
    EXPECT_EQ(pod_mac(*parse_ip("10.5.3.2")).to_string(), "0a:77:0a:05:03:02");
    EXPECT_EQ(host_mac(*parse_ip("10.5.3.2")).to_string(), "0e:77:0a:05:03:02");
    const auto a = *parse_ip("fd00:0:0:5::2"), b = *parse_ip("fd00:0:0:6::2");
    EXPECT_NE(pod_mac(a), pod_mac(b));
    EXPECT_NE(pod_mac(a), host_mac(a));
    EXPECT_EQ(pod_mac(a).bytes[0], 0x0a);
    EXPECT_EQ(link_local(host_mac(*parse_ip("10.5.3.2"))).to_string(), "fe80::c77:aff:fe05:302");
}

class CniWiring : public testing::Test {
public:
    CniWiring() {
        env.network = *parse_net4("10.244.0.0/16");
        env.subnet = *parse_net4("10.244.86.1/24");
        env.ipv6_network = *parse_net6("fd00:244::/48");
        env.ipv6_subnet = *parse_net6("fd00:244:0:86::1/64");
    }
    std::vector<std::string> destinations(const std::vector<PodAddress> &addresses,
                                          const std::vector<net::Route> &present) {
        std::vector<std::string> out;
        for (const RouteConfig &route : pod_routes({}, env, addresses, present, remark))
            out.push_back(route.destination.to_string() + " " + route.gateway->to_string());
        return out;
    }

    SubnetEnv env;
    PodAddress v4{*parse_ip("10.244.86.2"), *parse_ip("10.244.86.1")};
    PodAddress v6{*parse_ip("fd00:244:0:86::2"), *parse_ip("fd00:244:0:86::1")};
    net::Route default4{.destination = *parse_net("0.0.0.0/0")}, default6{.destination = *parse_net("::/0")};
    std::string remark;
};

TEST_F(CniWiring, EachFamilyHasItsDefaultRoute) {
    EXPECT_THAT(destinations({v4}, {}), ElementsAre("0.0.0.0/0 10.244.86.1"));
    EXPECT_THAT(destinations({v6}, {}), ElementsAre("::/0 fd00:244:0:86::1"));
    EXPECT_THAT(destinations({v4, v6}, {}), ElementsAre("0.0.0.0/0 10.244.86.1", "::/0 fd00:244:0:86::1"));
    EXPECT_EQ(remark, "");
}

TEST_F(CniWiring, TheDefaultRouteIsLeftToWhoeverHasIt) {
    EXPECT_THAT(destinations({v4, v6}, {default4}), ElementsAre("10.244.0.0/16 10.244.86.1", "::/0 fd00:244:0:86::1"));
    EXPECT_EQ(remark, "the pod has an IPv4 default route already: left as it is");
    remark.clear();
    EXPECT_THAT(destinations({v4, v6}, {default4, default6}),
                ElementsAre("10.244.0.0/16 10.244.86.1", "fd00:244::/48 fd00:244:0:86::1"));
    EXPECT_THAT(remark, HasSubstr("; the pod has an IPv6 default route already"));
    const net::Route cluster4{.destination = *env.network}, cluster6{.destination = *env.ipv6_network};
    EXPECT_THAT(destinations({v4, v6}, {default4, default6, cluster4, cluster6}), IsEmpty());
}

TEST_F(CniWiring, IpamsRoutesAreForTheFamiliesThatThePodHas) {
    CniResult ipam;
    ipam.routes = {{.destination = *parse_net("192.0.2.0/24")}, {.destination = *parse_net("2001:db8::/32")}};
    const auto routes = pod_routes(ipam, env, {v6}, {}, remark);
    ASSERT_EQ(routes.size(), 2U);
    EXPECT_EQ(routes[0].destination.to_string(), "2001:db8::/32");
    EXPECT_EQ(routes[0].gateway, v6.gateway);
}

TEST_F(CniWiring, AnAddressNeedsAGatewayOfItsFamily) {
    const auto given = [&](const char *address, std::optional<Ip> gateway) {
        CniResult ipam;
        ipam.ips.push_back({.address = *parse_net(address), .gateway = gateway});
        return pod_addresses(ipam, env);
    };
    EXPECT_EQ(given("10.244.86.2/24", {}).value(), std::vector{v4});
    EXPECT_EQ(given("fd00:244:0:86::2/64", {}).value(), std::vector{v6});
    EXPECT_EQ(given("fd00::5/64", *parse_ip("fe80::1"))->front().gateway.to_string(), "fe80::1");
    EXPECT_EQ(given("fd00::5/64", v4.gateway).error().code, kInvalidConfig);
    env.ipv6_subnet.reset();
    EXPECT_THAT(given("fd00::5/64", {}).error().msg, HasSubstr("IPAM gave fd00::5/64: no gateway"));
}

} // namespace
} // namespace weft::cni

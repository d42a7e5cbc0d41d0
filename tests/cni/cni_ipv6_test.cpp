// SPDX-License-Identifier: Apache-2.0
// Pods with both families or IPv6 alone, against the kernel: what they have, how they find their gateway and are found.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>

#include <array>
#include <chrono>
#include <list>
#include <thread>

#include "cni_fixture.hpp"
#include "net/addr.hpp"
#include "net/neigh.hpp"
#include "net/route.hpp"
#include "net/route_query.hpp"

namespace weft::test {
namespace {

using testing::AllOf;
using testing::Contains;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

constexpr const char *kGateway = "fd00:244:0:86::1", *kAddress = "fd00:244:0:86::2";

class CniIpv6 : public CniTest {
public:
    Families families() const override { return Families::dual; }

    /// What weft.1 is on a real node: the gateway's addresses.
    void make_gateway() const {
        ASSERT_OK(node_->ns().ip("address add 10.244.86.1/32 dev lo\n"
                                 "address add fd00:244:0:86::1/128 dev lo nodad"));
    }
    std::string host_end() const {
        const auto veths = node_->traces().veths;
        return veths.size() == 1 ? veths.front() : "?";
    }
    /// One echo answered within a second.
    static bool reaches(const Netns &from, const std::string &address) {
        return from.run("ping -c 1 -W 1 " + address).has_value();
    }
    json checked_conf(const Answer &added, const std::string &version = "1.1.0") const {
        json conf = node_->conf(version);
        conf["prevResult"] = added.body;
        return conf;
    }
};

class CniFamilies : public CniIpv6, public testing::WithParamInterface<std::tuple<Families, std::string>> {
public:
    Families families() const override { return std::get<0>(GetParam()); }
    static std::string version() { return std::get<1>(GetParam()); }

    /// A result as that version has it.
    json expected(const json &result) const {
        const json v4{{"address", "10.244.86.2/32"}, {"gateway", "10.244.86.1"}};
        const json v6{{"address", std::string(kAddress) + "/128"}, {"gateway", kGateway}};
        const json route4{{"dst", "0.0.0.0/0"}, {"gw", "10.244.86.1"}}, route6{{"dst", "::/0"}, {"gw", kGateway}};
        json out{{"cniVersion", version()}, {"dns", json::object()}};
        for (const bool four : {true, false}) {
            if (!(four ? has_v4(families()) : has_v6(families()))) continue;
            json ip = four ? v4 : v6;
            const json &route = four ? route4 : route6;
            if (version() < "0.3.0") {
                out[four ? "ip4" : "ip6"] = {{"ip", ip["address"]}, {"gateway", ip["gateway"]}, {"routes", {route}}};
                continue;
            }
            ip["interface"] = 1;
            if (version() < "1.0.0") ip["version"] = four ? "4" : "6";
            out["ips"].push_back(ip);
            out["routes"].push_back(route);
            out["interfaces"] = result["interfaces"];
        }
        return out;
    }
    std::vector<std::string> addresses() const {
        std::vector<std::string> out;
        if (has_v4(families())) out.emplace_back("10.244.86.2");
        if (has_v6(families())) out.emplace_back(kAddress);
        return out;
    }
};

TEST_P(CniFamilies, AddCheckDelDel) {
    for (int round = 0; round < 2; ++round) {
        const auto added = add("pod1", node_->conf(version()));
        ASSERT_TRUE(added.ok()) << added.text();
        if (round == 0) {
            EXPECT_EQ(added.body, expected(added.body));
            EXPECT_EQ(node_->traces().addresses, addresses());
            EXPECT_EQ(node_->traces().endpoints, addresses());
        }
        const json conf = checked_conf(added, version());
        const auto checked = call("CHECK", "pod1", conf);
        EXPECT_EQ(checked.code(), version() >= "0.4.0" ? 0 : 1) << checked.text();
        for (int i = 0; i < 2; ++i) {
            const auto deleted = call("DEL", "pod1", conf);
            EXPECT_TRUE(deleted.ok()) << deleted.text();
            EXPECT_EQ(node_->traces(), Traces{});
        }
    }
}
INSTANTIATE_TEST_SUITE_P(, CniFamilies,
                         testing::Combine(testing::Values(Families::v4, Families::dual, Families::v6),
                                          testing::Values("0.1.0", "0.2.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0")),
                         [](const auto &sample) {
                             std::string name = to_string(std::get<0>(sample.param));
                             name += "_" + std::get<1>(sample.param);
                             std::ranges::replace(name, '.', '_');
                             return name;
                         });

/// The kernel sets an address before it takes packets for it, by a work queue that has much to do while many pods come.
TEST_F(CniIpv6, PacketsAreTakenAsSoonAsAddReturns) {
    constexpr std::size_t kPods = 24;
    make_gateway();
    std::list<Netns> namespaces;
    for (std::size_t i = 0; i < kPods; ++i) {
        auto ns = Netns::create("p" + std::to_string(i));
        ASSERT_OK(ns);
        namespaces.push_back(std::move(*ns));
    }
    std::array<std::string, kPods> wrong;
    {
        std::vector<std::jthread> runtimes;
        for (const Netns &ns : namespaces)
            runtimes.emplace_back([&, i = runtimes.size()] {
                auto socket = CniNode::socket_in(ns.path());
                auto adding = node_->start_weft({.id = ns.name(), .netns = ns.path(), .conf = node_->conf()});
                if (!adding || adding->wait(std::chrono::seconds(30)) != 0) {
                    wrong[i] = adding ? adding->describe() : adding.error().sentence();
                    return;
                }
                for (const auto &[link, address, scope, flags] : net::list_addresses(socket).value()) {
                    if (address.is_v4() || scope != RT_SCOPE_UNIVERSE) continue;
                    const auto route = net::query_route(socket, address.address());
                    if (!route || route->type != net::RouteType::local)
                        wrong[i] = address.to_string() + " is not taken";
                }
            });
    }
    for (const auto &problem : wrong) EXPECT_EQ(problem, "");
}

TEST_F(CniIpv6, ThePodIsWiredOnBothEnds) {
    make_gateway();
    const auto added = add("pod1");
    ASSERT_TRUE(added.ok()) << added.text();
    auto host = node_->socket(), pod = CniNode::socket_in(pod_->path());
    const auto outside = net::find_link(host, host_end()).value(), inside = net::find_link(pod, "eth0").value();
    ASSERT_TRUE(outside && inside);
    EXPECT_EQ(outside->mac.to_string(), "0e:77:0a:f4:56:02") << "of the first address";

    const Ip gateway = *parse_ip(kGateway), address = *parse_ip(kAddress);
    EXPECT_THAT(net::list_addresses(pod, inside->index).value(),
                Contains(net::LinkAddress{.ifindex = inside->index,
                                          .address = host_net(address),
                                          .scope = RT_SCOPE_UNIVERSE,
                                          .flags = IFA_F_PERMANENT | IFA_F_NODAD | IFA_F_NOPREFIXROUTE}))
        << "usable at once";
    EXPECT_THAT(
        net::list_addresses(host, outside->index).value(),
        ElementsAre(AllOf(Field(&net::LinkAddress::address, *parse_net("fe80::c77:aff:fef4:5602/128")),
                          Field(&net::LinkAddress::flags, IFA_F_PERMANENT | IFA_F_NODAD | IFA_F_NOPREFIXROUTE))))
        << "a router's, and no other";
    EXPECT_THAT(net::list_routes(pod, {.ifindex = inside->index}).value(),
                AllOf(Contains(AllOf(Field(&net::Route::destination, host_net(gateway)),
                                     Field(&net::Route::scope, RT_SCOPE_LINK))),
                      Contains(AllOf(Field(&net::Route::destination, *parse_net("::/0")),
                                     Field(&net::Route::gateway, gateway))),
                      Not(Contains(Field(&net::Route::destination, host_net(address))))));
    EXPECT_THAT(
        net::list_routes(host, {.ifindex = outside->index}).value(),
        Contains(net::Route{
            .destination = host_net(address), .ifindex = outside->index, .source = gateway, .scope = RT_SCOPE_LINK}));
    EXPECT_THAT(net::list_neighbours(pod, inside->index).value(),
                Contains(net::Neighbour{inside->index, gateway, outside->mac, NUD_PERMANENT}));
    EXPECT_THAT(net::list_neighbours(host, outside->index).value(),
                Contains(AllOf(Field(&net::Neighbour::address, address), Field(&net::Neighbour::mac, inside->mac))));
    const auto entry = (*node_->endpoints())->get(abi::ip(address)).value();
    ASSERT_TRUE(entry);
    EXPECT_EQ(static_cast<int>(entry->ifindex), outside->index);
    // Neither end learns anything from the other.
    const std::string settings = "cat /proc/sys/net/ipv6/conf/";
    EXPECT_EQ(node_->ns().run(settings + outside->name + "/accept_ra").value(), "0\n");
    EXPECT_EQ(pod_->run(settings + "eth0/accept_ra").value(), "0\n");
}

TEST_F(CniIpv6, HostAndPodReachEachOtherAtOnce) {
    make_gateway();
    ASSERT_TRUE(add("pod1").ok());
    EXPECT_TRUE(reaches(*pod_, kGateway));
    EXPECT_TRUE(reaches(node_->ns(), kAddress));
    EXPECT_TRUE(reaches(*pod_, "10.244.86.1"));
}

TEST_F(CniIpv6, APodThatForgotItsGatewayFindsItAgain) {
    make_gateway();
    ASSERT_TRUE(add("pod1").ok());
    for (const char *forget : {"neighbour flush dev eth0 nud all", "neighbour delete fd00:244:0:86::1 dev eth0"}) {
        SCOPED_TRACE(forget);
        ASSERT_OK(
            pod_->ip(std::string("neighbour replace fd00:244:0:86::1 lladdr 02:00:00:00:00:66 dev eth0\n") + forget));
        auto pod = CniNode::socket_in(pod_->path());
        EXPECT_TRUE(reaches(*pod_, kGateway)) << "and at once: no proxy delay";
        const auto index = net::find_link(pod, "eth0").value()->index;
        const auto mac = net::find_link(pod, "eth0").value()->mac;
        EXPECT_THAT(net::list_neighbours(pod, index).value(),
                    Contains(AllOf(Field(&net::Neighbour::address, *parse_ip(kGateway)),
                                   Field(&net::Neighbour::mac, Not(mac)))));
    }
}

TEST_F(CniIpv6, APodTheHostForgotIsFoundForPacketsFromElsewhere) {
    make_gateway();
    auto world = Netns::create("cni-world");
    ASSERT_OK(world);
    ASSERT_OK(node_->ns().ip("link add w0 type veth peer name w1 netns " + world->name() +
                             "\nlink set w0 up\naddress add 2001:db8::1/64 dev w0 nodad"));
    ASSERT_OK(world->ip("link set w1 up\naddress add 2001:db8::2/64 dev w1 nodad\nroute add default via 2001:db8::1"));
    ASSERT_OK(node_->ns().sysctl("net.ipv6.conf.all.forwarding", "1"));
    ASSERT_TRUE(add("pod1").ok());
    ASSERT_TRUE(reaches(*world, kAddress));
    ASSERT_OK(node_->ns().ip("neighbour delete fd00:244:0:86::2 dev " + host_end()));
    EXPECT_TRUE(reaches(*world, kAddress));
}

TEST_F(CniIpv6, AChangedMacIsTold) {
    make_gateway();
    ASSERT_TRUE(add("pod1").ok());
    ASSERT_TRUE(reaches(node_->ns(), kAddress));
    ASSERT_OK(pod_->ip("link set eth0 address 02:00:00:00:00:09"));
    auto host = node_->socket();
    const int index = net::find_link(host, host_end()).value()->index;
    EXPECT_TRUE(eventually([&] {
        const auto known = net::list_neighbours(host, index).value();
        return std::ranges::any_of(known, [](const net::Neighbour &n) {
            return n.address == *parse_ip(kAddress) && n.mac == *parse_mac("02:00:00:00:00:09");
        });
    }));
}

TEST_F(CniIpv6, ANodeWithIpv6SwitchedOffSaysSo) {
    ASSERT_OK(node_->ns().sysctl("net.ipv6.conf.all.disable_ipv6", "1"));
    const auto refused = add("pod1");
    EXPECT_EQ(refused.code(), 100) << refused.text();
    EXPECT_EQ(refused.msg(), "IPv6 is off on this node: net.ipv6.conf.all.disable_ipv6 is 1");
    EXPECT_EQ(node_->traces(), Traces{});
    const auto status = call("STATUS", "", node_->conf());
    EXPECT_EQ(status.code(), 50) << status.text();
    EXPECT_THAT(status.msg(), HasSubstr("net.ipv6.conf.all.disable_ipv6"));
    // Who asks for IPv4 alone is served.
    json conf = node_->conf();
    conf["subnetFile"] = write_subnet_env("10.60.0.0/16", "10.60.7.1/24");
    const auto added = add("pod1", conf);
    EXPECT_TRUE(added.ok()) << added.text();
}

TEST_F(CniIpv6, APodWhoseRuntimeSwitchesIpv6OffByDefaultHasIt) {
    make_gateway();
    ASSERT_OK(pod_->sysctl("net.ipv6.conf.default.disable_ipv6", "1"));
    ASSERT_OK(pod_->sysctl("net.ipv6.conf.lo.disable_ipv6", "1"));
    const auto added = add("pod1");
    ASSERT_TRUE(added.ok()) << added.text();
    EXPECT_TRUE(reaches(*pod_, kGateway));
    EXPECT_TRUE(reaches(*pod_, kAddress)) << "itself, by lo";
}

TEST_F(CniIpv6, AnMtuTooSmallForIpv6IsRefused) {
    json conf = node_->conf();
    conf["mtu"] = 1279;
    const auto refused = add("pod1", conf);
    EXPECT_THAT(refused.msg(), HasSubstr("mtu: IPv6 needs 1280, found 1279")) << refused.text();
    EXPECT_EQ(node_->traces(), Traces{});
    conf["mtu"] = 1280;
    EXPECT_TRUE(add("pod1", conf).ok());
}

TEST_F(CniIpv6, WishesForBothAddressesAreMet) {
    json conf = node_->conf();
    conf["runtimeConfig"] = {{"ips", {"fd00:244:0:86::beef/64", "10.244.86.77/24"}}};
    const auto both = add("pod1", conf);
    ASSERT_TRUE(both.ok()) << both.text();
    EXPECT_EQ(both.body["ips"][0]["address"], "10.244.86.77/32");
    EXPECT_EQ(both.body["ips"][1]["address"], "fd00:244:0:86::beef/128");
    ASSERT_TRUE(call("DEL", "pod1", conf).ok());
    const auto one = node_->weft(
        {.netns = pod_->path(), .conf = node_->conf(), .env = {"CNI_ARGS=IgnoreUnknown=1;IP=fd00:244:0:86::cafe"}});
    ASSERT_TRUE(one.ok()) << one.text();
    EXPECT_EQ(one.body["ips"][0]["address"], "10.244.86.78/32");
    EXPECT_EQ(one.body["ips"][1]["address"], "fd00:244:0:86::cafe/128");
    conf["runtimeConfig"] = {{"ips", {"fd00:244:0:86::5", "fd00:244:0:86::6"}}};
    const auto two = node_->weft({.id = "pod2", .ifname = "net1", .netns = pod_->path(), .conf = conf});
    EXPECT_EQ(two.code(), 101) << two.text();
    EXPECT_EQ(two.msg(), "failed to allocate all requested IPs: fd00:244:0:86::6");
}

TEST_F(CniIpv6, FlannelsConfigurationIsTaken) {
    json conf = node_->conf("0.3.1");
    conf["delegate"] = {{"hairpinMode", true}, {"isDefaultGateway", true}};
    const auto added = add("pod1", conf);
    ASSERT_TRUE(added.ok()) << added.text();
    EXPECT_EQ(added.body["ips"].size(), 2U);
}

TEST_F(CniIpv6, TheSameSubnetTwiceInOnePodWorksToo) {
    make_gateway();
    ASSERT_TRUE(add("pod1").ok());
    const auto second = node_->weft({.id = "pod1", .ifname = "net1", .netns = pod_->path(), .conf = node_->conf()});
    ASSERT_TRUE(second.ok()) << second.text();
    EXPECT_EQ(second.body["routes"], json::parse(R"([{"dst": "10.244.0.0/16", "gw": "10.244.86.1"},
                                                     {"dst": "fd00:244::/48", "gw": "fd00:244:0:86::1"}])"));
    EXPECT_THAT(second.err,
                HasSubstr("an IPv4 default route already: left as it is; the pod has an IPv6 default route"));
    EXPECT_TRUE(reaches(*pod_, kGateway));
}

TEST_F(CniIpv6, GcRemovesBothFamilies) {
    ASSERT_TRUE(add("gone").ok());
    pod_.reset(); // without DEL
    ASSERT_TRUE(eventually([&] { return node_->traces().veths.empty(); }));
    EXPECT_EQ(node_->traces().endpoints.size(), 2U);
    json conf = node_->conf();
    conf["cni.dev/valid-attachments"] = json::array();
    const auto collected = call("GC", "", conf);
    EXPECT_TRUE(collected.ok()) << collected.text();
    EXPECT_EQ(node_->traces(), Traces{});
}

TEST_F(CniIpv6, CheckNamesWhatIsWrongInEitherFamily) {
    struct Case {
        const char *damage; ///< ip command, run in the pod ("pod ...") or on the node ("host ..."); or a file of IPAM
        const char *said;
    };
    for (const Case &c :
         {Case{"pod address delete fd00:244:0:86::2/128 dev eth0", "address fd00:244:0:86::2/128 is gone"},
          Case{"pod route delete ::/0", "route is gone: ::/0"},
          Case{"pod route delete fd00:244:0:86::1", "route is gone: fd00:244:0:86::1/128"},
          Case{"pod neighbour replace fd00:244:0:86::1 lladdr 02:00:00:00:00:66 dev eth0", "neighbour fd00:"},
          Case{"host route delete fd00:244:0:86::2", "route is gone: fd00:244:0:86::2/128"},
          Case{"host route delete 10.244.86.2", "route is gone: 10.244.86.2/32"},
          Case{"host address flush dev VETH scope link", "address fe80::c77:aff:fef4:5602/128 is gone"},
          Case{"file fd00:244:0:86::2", "IPAM: fd00:244:0:86::2 is not allocated"},
          Case{"file 10.244.86.2", "IPAM: 10.244.86.2 is not allocated"},
          Case{"map fd00:244:0:86::2", "endpoint fd00:244:0:86::2"}, Case{"map 10.244.86.2", "endpoint 10.244.86.2"}}) {
        SCOPED_TRACE(c.damage);
        TearDown();
        SetUp();
        const auto added = add("pod1");
        ASSERT_TRUE(added.ok()) << added.text();
        const auto space = std::string_view(c.damage).find(' ');
        const std::string where(c.damage, space);
        std::string what(c.damage + space + 1);
        if (const auto at = what.find("VETH"); at != std::string::npos) what.replace(at, 4, host_end());
        if (where == "pod") {
            ASSERT_OK(pod_->ip(what));
        } else if (where == "host") {
            ASSERT_OK(node_->ns().ip(what));
        } else if (where == "file") {
            ASSERT_TRUE(std::filesystem::remove(node_->ipam_dir() / what));
        } else {
            ASSERT_OK((*node_->endpoints())->erase(abi::ip(*parse_ip(what))));
        }
        const auto checked = call("CHECK", "pod1", checked_conf(added));
        EXPECT_EQ(checked.code(), 103) << checked.text();
        EXPECT_THAT(checked.msg(), HasSubstr(c.said));
    }
}

} // namespace
} // namespace weft::test

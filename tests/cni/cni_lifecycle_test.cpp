// SPDX-License-Identifier: Apache-2.0
// ADD, CHECK and DEL of the real binary against the kernel, version by version.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/neighbour.h>

#include "cni_fixture.hpp"
#include "net/addr.hpp"
#include "net/neigh.hpp"
#include "net/route.hpp"

namespace weft::test {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

class CniLifecycle : public CniTest {};
class CniVersions : public CniTest, public testing::WithParamInterface<std::string> {};

TEST_P(CniVersions, AddCheckDelDel) {
    const std::string version = GetParam();
    json conf = node_->conf(version);
    const auto added = add("pod1", conf);
    ASSERT_TRUE(added.ok()) << added.text();
    const json &r = added.body;
    EXPECT_EQ(r["cniVersion"], version);
    ASSERT_EQ(r["interfaces"].size(), 2U) << added.text();
    EXPECT_EQ(r["interfaces"][1]["name"], "eth0");
    EXPECT_EQ(r["interfaces"][1]["sandbox"], pod_->path());
    EXPECT_FALSE(r["interfaces"][0].contains("sandbox"));
    EXPECT_EQ(r["interfaces"][1].contains("mtu"), version == "1.1.0");
    ASSERT_EQ(r["ips"].size(), 1U);
    EXPECT_EQ(r["ips"][0]["address"], "10.244.86.2/32");
    EXPECT_EQ(r["ips"][0]["gateway"], "10.244.86.1");
    EXPECT_EQ(r["ips"][0]["interface"], 1);
    EXPECT_EQ(r["ips"][0].contains("version"), version < "1.0.0");
    EXPECT_EQ(r["routes"], json::parse(R"([{"dst": "0.0.0.0/0", "gw": "10.244.86.1"}])"));
    EXPECT_EQ(node_->traces().addresses, std::vector<std::string>{"10.244.86.2"});

    conf["prevResult"] = r;
    const auto checked = call("CHECK", "pod1", conf);
    if (version >= "0.4.0")
        EXPECT_TRUE(checked.ok()) << checked.text();
    else
        EXPECT_EQ(checked.code(), 1) << checked.text();
    for (int i = 0; i < 2; ++i) {
        const auto deleted = call("DEL", "pod1", conf);
        EXPECT_TRUE(deleted.ok()) << deleted.text();
        EXPECT_EQ(deleted.out, "");
        EXPECT_EQ(node_->traces(), Traces{});
    }
}
INSTANTIATE_TEST_SUITE_P(, CniVersions, testing::Values("0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"),
                         [](const auto &version) {
                             std::string name = version.param;
                             std::ranges::replace(name, '.', '_');
                             return name;
                         });

TEST_F(CniLifecycle, ThePodIsWiredOnBothEnds) {
    const auto added = add("pod1");
    ASSERT_TRUE(added.ok()) << added.text();
    auto host = node_->socket(), pod = CniNode::socket_in(pod_->path());
    const auto outside = net::find_link(host, added.body["interfaces"][0]["name"].get<std::string>()).value();
    const auto inside = net::find_link(pod, "eth0").value();
    ASSERT_TRUE(outside && inside);
    EXPECT_EQ(outside->name.size(), 15U);
    EXPECT_EQ(outside->alias, "weft:cbr0:pod1:eth0");
    EXPECT_EQ(inside->mtu, 1450U);
    EXPECT_EQ(outside->mtu, 1450U);
    EXPECT_TRUE(inside->running());
    EXPECT_TRUE(outside->running());
    EXPECT_EQ(inside->mac.to_string(), added.body["interfaces"][1]["mac"]);
    EXPECT_EQ(outside->mac.to_string(), added.body["interfaces"][0]["mac"]);

    const auto gateway = *parse_ip4("10.244.86.1"), address = *parse_ip4("10.244.86.2");
    auto addresses = net::list_addresses(pod, inside->index).value();
    std::erase_if(addresses, [](const auto &have) { return !have.address.is_v4(); }); // its own fe80::
    ASSERT_EQ(addresses.size(), 1U);
    EXPECT_EQ(addresses[0].address.to_string(), "10.244.86.2/32");
    auto routes = net::list_routes(pod, {}).value();
    std::erase_if(routes, [](const auto &have) { return !have.destination.is_v4(); });
    ASSERT_EQ(routes.size(), 2U);
    EXPECT_THAT(routes, Contains(testing::AllOf(testing::Field(&net::Route::destination, *parse_net4("10.244.86.1/32")),
                                                testing::Field(&net::Route::scope, RT_SCOPE_LINK))));
    EXPECT_THAT(routes, Contains(testing::AllOf(testing::Field(&net::Route::destination, *parse_net4("0.0.0.0/0")),
                                                testing::Field(&net::Route::gateway, gateway))));
    EXPECT_THAT(
        net::list_routes(host, {.protocol = net::kRouteProtocol}).value(),
        ElementsAre(net::Route{.destination = Net4(address, 32), .ifindex = outside->index, .scope = RT_SCOPE_LINK}));
    auto neighbours = net::list_neighbours(pod, inside->index).value();
    std::erase_if(neighbours, [](const auto &have) { return !have.address.is_v4(); }); // its own groups'
    EXPECT_THAT(neighbours, ElementsAre(net::Neighbour{inside->index, gateway, outside->mac, NUD_PERMANENT}));
    EXPECT_THAT(net::list_neighbours(host, outside->index).value(),
                ElementsAre(testing::AllOf(testing::Field(&net::Neighbour::address, address),
                                           testing::Field(&net::Neighbour::mac, inside->mac))));
    const auto entry = (*node_->endpoints())->get(abi::ip(address)).value();
    ASSERT_TRUE(entry);
    EXPECT_EQ(static_cast<int>(entry->ifindex), outside->index);
    EXPECT_EQ(abi::mac(entry->pod_mac), inside->mac);
    EXPECT_EQ(abi::mac(entry->host_mac), outside->mac);
    // A pod's router advertisement finds nobody.
    EXPECT_EQ(node_->ns().run("cat /proc/sys/net/ipv6/conf/" + outside->name + "/disable_ipv6").value(), "1\n");
}

TEST_F(CniLifecycle, HostAndPodReachEachOther) {
    ASSERT_OK(node_->ns().ip("address add 10.244.86.1/32 dev lo"));
    ASSERT_TRUE(add("pod1").ok());
    EXPECT_TRUE(node_->ns().run("ping -c 1 -W 2 10.244.86.2"));
    EXPECT_TRUE(pod_->run("ping -c 1 -W 2 10.244.86.1"));
}

TEST_F(CniLifecycle, DelWorksWhateverIsMissing) {
    struct Case {
        const char *sentence;
        std::function<void(CniLifecycle &, Call &)> take_away;
    };
    const std::vector<Case> cases{
        {"nothing", [](CniLifecycle &, Call &) {}},
        {"the namespace", [](CniLifecycle &t, Call &) { t.pod_.reset(); }},
        {"CNI_NETNS", [](CniLifecycle &, Call &c) { c.netns.clear(); }},
        {"the veth", [](CniLifecycle &t, Call &) { (void)t.pod_->run("ip link delete eth0"); }},
        {"subnet.env", [](CniLifecycle &t, Call &) { std::filesystem::remove(t.node_->subnet_file()); }},
        {"the IPAM files", [](CniLifecycle &t, Call &) { std::filesystem::remove_all(t.node_->data_dir()); }},
        {"the namespace and prevResult",
         [](CniLifecycle &t, Call &c) {
             t.pod_.reset();
             c.conf.erase("prevResult");
         }},
        {"prevResult, veth and IPAM files",
         [](CniLifecycle &t, Call &c) {
             c.conf.erase("prevResult");
             t.pod_.reset();
             std::filesystem::remove_all(t.node_->data_dir());
         }},
    };
    for (const Case &c : cases) {
        SCOPED_TRACE(std::string("DEL without ") + c.sentence);
        TearDown();
        SetUp();
        const auto added = add("pod1");
        ASSERT_TRUE(added.ok()) << added.text();
        Call del{.command = "DEL", .netns = pod_->path(), .conf = node_->conf()};
        del.conf["prevResult"] = added.body;
        c.take_away(*this, del);
        for (int i = 0; i < 2; ++i) {
            const auto deleted = node_->weft(del);
            EXPECT_TRUE(deleted.ok()) << deleted.text();
            // A link goes with its namespace, but not at once.
            EXPECT_TRUE(eventually([&] { return node_->traces() == Traces{}; }))
                << testing::PrintToString(node_->traces());
        }
    }
}

TEST_F(CniLifecycle, DelWithoutPinsOrAnyAddSucceeds) {
    std::filesystem::remove(node_->bpf_dir() / WEFT_PIN_ENDPOINTS);
    std::filesystem::remove(node_->bpf_dir() / WEFT_PIN_FROM_POD);
    const auto deleted = call("DEL", "never-added", node_->conf());
    EXPECT_TRUE(deleted.ok()) << deleted.text();
}

TEST_F(CniLifecycle, ALateDelDoesNotHarmTheAddresssNextHolder) {
    const auto first = add("pod1");
    ASSERT_TRUE(first.ok()) << first.text();
    json late = node_->conf();
    late["prevResult"] = first.body;
    ASSERT_TRUE(call("DEL", "pod1", late).ok());
    json conf = node_->conf();
    conf["runtimeConfig"] = {{"ips", {"10.244.86.2/24"}}};
    ASSERT_TRUE(add("pod2", conf).ok());
    const auto before = node_->traces();
    EXPECT_TRUE(call("DEL", "pod1", late).ok());
    EXPECT_EQ(node_->traces(), before);
}

TEST_F(CniLifecycle, AddTwiceIsRefusedAndTheFirstStays) {
    const auto first = add("pod1");
    ASSERT_TRUE(first.ok());
    const auto before = node_->traces();
    const auto again = add("pod1");
    EXPECT_EQ(again.code(), 4) << again.text();
    EXPECT_THAT(again.msg(), HasSubstr("eth0 already exists"));
    EXPECT_EQ(node_->traces(), before);
    json conf = node_->conf();
    conf["prevResult"] = first.body;
    EXPECT_TRUE(call("CHECK", "pod1", conf).ok());
}

TEST_F(CniLifecycle, TwoNetworksInOnePodKeepApart) {
    const auto first = add("pod1");
    ASSERT_TRUE(first.ok()) << first.text();
    json other = node_->conf();
    other["name"] = "second";
    other["subnetFile"] = write_subnet_env("10.60.0.0/16", "10.60.7.1/24");
    const auto second = node_->weft({.id = "pod1", .ifname = "net1", .netns = pod_->path(), .conf = other});
    ASSERT_TRUE(second.ok()) << second.text();
    EXPECT_EQ(second.body["ips"][0]["address"], "10.60.7.2/32");
    EXPECT_THAT(second.err, HasSubstr("an IPv4 default route already"));
    EXPECT_EQ(second.body["routes"], json::parse(R"([{"dst": "10.60.0.0/16", "gw": "10.60.7.1"}])"));
    EXPECT_EQ(pod_->run("ip -o route show default").value().find("dev net1"), std::string::npos);

    json check = node_->conf();
    check["prevResult"] = first.body;
    other["prevResult"] = second.body;
    EXPECT_TRUE(call("CHECK", "pod1", check).ok());
    const auto second_checked =
        node_->weft({.command = "CHECK", .id = "pod1", .ifname = "net1", .netns = pod_->path(), .conf = other});
    EXPECT_TRUE(second_checked.ok()) << second_checked.text();
    // One goes, the other stays.
    EXPECT_TRUE(
        node_->weft({.command = "DEL", .id = "pod1", .ifname = "net1", .netns = pod_->path(), .conf = other}).ok());
    EXPECT_TRUE(call("CHECK", "pod1", check).ok());
    EXPECT_TRUE(call("DEL", "pod1", check).ok());
    EXPECT_EQ(node_->traces(), Traces{});
}

TEST_F(CniLifecycle, TheSameSubnetTwiceInOnePodWorksToo) {
    ASSERT_TRUE(add("pod1").ok());
    const auto second = node_->weft({.id = "pod1", .ifname = "net1", .netns = pod_->path(), .conf = node_->conf()});
    ASSERT_TRUE(second.ok()) << second.text();
    EXPECT_EQ(second.body["ips"][0]["address"], "10.244.86.3/32");
}

TEST_F(CniLifecycle, WishesForAddressAndMacAreMet) {
    json conf = node_->conf();
    conf["runtimeConfig"] = {{"ips", {"10.244.86.77/24"}}, {"mac", "02:11:22:33:44:55"}};
    const auto by_runtime = add("pod1", conf);
    ASSERT_TRUE(by_runtime.ok()) << by_runtime.text();
    EXPECT_EQ(by_runtime.body["ips"][0]["address"], "10.244.86.77/32");
    EXPECT_EQ(by_runtime.body["interfaces"][1]["mac"], "02:11:22:33:44:55");
    ASSERT_TRUE(call("DEL", "pod1", conf).ok());

    const auto by_args =
        node_->weft({.netns = pod_->path(),
                     .conf = node_->conf(),
                     .env = {"CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAME=web;IP=10.244.86.90;MAC=02:11:22:33:44:66"}});
    ASSERT_TRUE(by_args.ok()) << by_args.text();
    EXPECT_EQ(by_args.body["ips"][0]["address"], "10.244.86.90/32");
    EXPECT_EQ(by_args.body["interfaces"][1]["mac"], "02:11:22:33:44:66");
    ASSERT_TRUE(call("DEL", "pod1", node_->conf()).ok());

    conf = node_->conf();
    conf["args"] = {{"cni", {{"ips", {"10.244.86.79"}}}}};
    EXPECT_EQ(add("pod1", conf).body["ips"][0]["address"], "10.244.86.79/32");
}

/// Whoever asked for netkit is told what the pod has instead.
TEST_F(CniLifecycle, APodHasAVethWhereTheKernelHasNoNetkit) {
    json conf = node_->conf();
    conf["device"] = "netkit";
    const auto added = add("pod1", conf);
    ASSERT_TRUE(added.ok()) << added.text();
    auto host = node_->socket();
    const auto outside = net::find_link(host, added.body["interfaces"][0]["name"].get<std::string>()).value();
    ASSERT_TRUE(outside);
    EXPECT_EQ(outside->kind == "veth", added.err.find("veth in its place") != std::string::npos) << added.text();
    EXPECT_EQ(outside->kind == "netkit", added.err.empty()) << added.text();
    conf["prevResult"] = added.body;
    const auto checked = call("CHECK", "pod1", conf);
    EXPECT_TRUE(checked.ok()) << checked.text();
    EXPECT_TRUE(call("DEL", "pod1", conf).ok());
    EXPECT_EQ(node_->traces(), Traces{});
}

TEST_F(CniLifecycle, AnEarlierPluginsResultIsEchoed) {
    json conf = node_->conf("0.4.0");
    conf["prevResult"] = {{"cniVersion", "0.4.0"},
                          {"interfaces", {{{"name", "lo"}, {"mac", "00:00:00:00:00:00"}, {"sandbox", pod_->path()}}}},
                          {"ips", {{{"version", "4"}, {"address", "127.0.0.1/8"}, {"interface", 0}}}}};
    const auto added = add("pod1", conf);
    ASSERT_TRUE(added.ok()) << added.text();
    ASSERT_EQ(added.body["interfaces"].size(), 3U);
    EXPECT_EQ(added.body["interfaces"][0]["name"], "lo");
    EXPECT_EQ(added.body["ips"][0]["address"], "127.0.0.1/8");
    EXPECT_EQ(added.body["ips"][1]["interface"], 2);
    conf["prevResult"] = added.body;
    const auto checked = call("CHECK", "pod1", conf);
    EXPECT_TRUE(checked.ok()) << checked.text();
}

TEST_F(CniLifecycle, TheBandwidthPluginFindsRoomBehindWeft) {
    constexpr const char *kBandwidth = "/usr/lib/cni/bandwidth";
    if (!std::filesystem::exists(kBandwidth)) GTEST_SKIP() << "no bandwidth plugin (containernetworking-plugins)";
    json conf = node_->conf("1.0.0");
    conf["runtimeConfig"] = {
        {"bandwidth",
         {{"ingressRate", 80000000}, {"ingressBurst", 800000}, {"egressRate", 80000000}, {"egressBurst", 800000}}}};
    const auto added = add("pod1", conf);
    ASSERT_TRUE(added.ok()) << added.text();
    json chained = conf;
    chained["type"] = "bandwidth";
    chained["prevResult"] = added.body;
    const auto shaped = node_->run({.netns = pod_->path(), .conf = chained}, kBandwidth);
    EXPECT_TRUE(shaped.ok()) << shaped.text();
    // What a qdisc must see takes the host stack.
    const auto entry = (*node_->endpoints())->get(abi::ip(*parse_ip4("10.244.86.2"))).value();
    ASSERT_TRUE(entry);
    EXPECT_EQ(entry->flags, static_cast<unsigned>(WEFT_EP_STACK));
    chained["prevResult"] = shaped.body;
    const auto checked = call("CHECK", "pod1", chained);
    EXPECT_TRUE(checked.ok()) << checked.text();
    EXPECT_TRUE(node_->run({.command = "DEL", .netns = pod_->path(), .conf = chained}, kBandwidth).ok());
    EXPECT_TRUE(call("DEL", "pod1", conf).ok());
    EXPECT_EQ(node_->traces(), Traces{});
}

TEST_F(CniLifecycle, CheckMissesTheProgram) {
    const auto added = add("pod1");
    ASSERT_TRUE(added.ok()) << added.text();
    json conf = node_->conf();
    conf["prevResult"] = added.body;
    ASSERT_OK(
        node_->ns().run("tc qdisc delete dev " + added.body["interfaces"][0]["name"].get<std::string>() + " clsact"));
    const auto checked = call("CHECK", "pod1", conf);
    EXPECT_EQ(checked.code(), 103) << checked.text();
    EXPECT_THAT(checked.msg(), HasSubstr("program"));
}

/// "pod <ip command>", "host <ip command>", "map" or "file". @param veth stands for VETH in the command.
Status inflict(CniTest &test, std::string damage, const std::string &veth) {
    if (const auto at = damage.find("VETH"); at != std::string::npos) damage.replace(at, 4, veth);
    if (damage.starts_with("pod ")) return test.pod_->ip(damage.substr(4));
    if (damage.starts_with("host ")) return test.node_->ns().ip(damage.substr(5));
    if (damage == "file")
        return std::filesystem::remove(test.node_->ipam_dir() / "10.244.86.2") ? Status() : fail("no such file");
    auto erased = (*test.node_->endpoints())->erase(abi::ip(*parse_ip4("10.244.86.2")));
    return erased ? Status() : fail_as_is(std::move(erased));
}

/// DEL does not wait until the kernel has freed the veth, but nothing of it may be seen any more.
TEST_F(CniLifecycle, TheSameInterfaceCanBeHadAgainAtOnce) {
    auto pod = CniNode::socket_in(pod_->path());
    for (int i = 0; i < 20; ++i) {
        const auto added = add("pod1");
        ASSERT_TRUE(added.ok()) << added.text();
        const auto deleted = call("DEL", "pod1", node_->conf());
        ASSERT_TRUE(deleted.ok()) << deleted.text();
        ASSERT_EQ(node_->traces(), Traces{});
        ASSERT_FALSE(net::find_link(pod, "eth0").value());
    }
}

TEST_F(CniLifecycle, CheckNamesWhatIsWrong) {
    struct Case {
        const char *damage; ///< ip command, run in the pod ("pod ...") or on the node ("host ...")
        const char *said;
    };
    for (const Case &c :
         {Case{"pod address delete 10.244.86.2/32 dev eth0", "address 10.244.86.2/32 is gone"},
          Case{"pod route delete default", "route is gone: 0.0.0.0/0"},
          Case{"pod route delete 10.244.86.1", "route is gone"},
          Case{"pod neighbour replace 10.244.86.1 lladdr 02:00:00:00:00:66 dev eth0", "neighbour"},
          Case{"pod link set eth0 down", "eth0 is down"},
          Case{"pod link set eth0 address 02:00:00:00:00:09", "has MAC"}, Case{"pod link delete eth0", "is gone"},
          Case{"host route delete 10.244.86.2", "route is gone: 10.244.86.2/32"},
          Case{"host neighbour replace 10.244.86.2 lladdr 02:00:00:00:00:66 dev VETH", "neighbour"},
          Case{"map", "endpoint 10.244.86.2"}, Case{"file", "IPAM"}}) {
        SCOPED_TRACE(c.damage);
        TearDown();
        SetUp();
        const auto added = add("pod1");
        ASSERT_TRUE(added.ok()) << added.text();
        json conf = node_->conf();
        conf["prevResult"] = added.body;
        ASSERT_OK(inflict(*this, c.damage, added.body["interfaces"][0]["name"]));
        const auto checked = call("CHECK", "pod1", conf);
        EXPECT_EQ(checked.code(), 103) << checked.text();
        EXPECT_THAT(checked.msg(), HasSubstr(c.said));
    }
}

} // namespace
} // namespace weft::test

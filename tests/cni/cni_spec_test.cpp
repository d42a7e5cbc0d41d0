// SPDX-License-Identifier: Apache-2.0
// The protocol itself: what bad input gets, and the commands that are not about one container.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cni_fixture.hpp"

namespace weft::test {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class CniSpec : public CniTest {};

struct BadCall {
    const char *sentence;
    std::function<void(Call &)> spoil;
    int code;
    const char *said;
};

TEST_F(CniSpec, BadInputGetsItsCodeAndItsName) {
    const std::vector<BadCall> cases{
        {"no container id", [](Call &c) { c.id = ""; }, 4, "CNI_CONTAINERID"},
        {"no namespace", [](Call &c) { c.netns = ""; }, 4, "CNI_NETNS"},
        {"no interface", [](Call &c) { c.ifname = ""; }, 4, "CNI_IFNAME"},
        {"nothing at all", [](Call &c) { c.id = c.netns = c.ifname = ""; }, 4, "CNI_CONTAINERID,CNI_NETNS,CNI_IFNAME"},
        {"a container id that is a path", [](Call &c) { c.id = "../../etc/passwd"; }, 4, "CNI_CONTAINERID"},
        {"a container id with a line break", [](Call &c) { c.id = "a\r\nb"; }, 4, "CNI_CONTAINERID"},
        {"a container id too long to be named", [](Call &c) { c.id = std::string(250, 'a'); }, 4, "CNI_CONTAINERID"},
        {"an interface that is a path", [](Call &c) { c.ifname = "a/b"; }, 4, "CNI_IFNAME"},
        {"an interface that is ..", [](Call &c) { c.ifname = ".."; }, 4, "CNI_IFNAME"},
        {"an interface of 16 characters", [](Call &c) { c.ifname = "abcdefghijklmnop"; }, 4, "CNI_IFNAME"},
        {"an unknown command", [](Call &c) { c.command = "REMOVE"; }, 4, "CNI_COMMAND: REMOVE"},
        {"a namespace that is not there", [](Call &c) { c.netns = "/run/netns/no-such"; }, 4,
         "CNI_NETNS: /run/netns/no-such"},
        {"a namespace that is a file", [](Call &c) { c.netns = "/etc/hostname"; }, 4, "CNI_NETNS: /etc/hostname"},
        {"CNI_ARGS without value", [](Call &c) { c.env = {"CNI_ARGS=IP"}; }, 4, "CNI_ARGS"},
        {"an unknown CNI_ARGS key", [](Call &c) { c.env = {"CNI_ARGS=FOO=1"}; }, 4, "FOO"},
        {"a bad IP in CNI_ARGS", [](Call &c) { c.env = {"CNI_ARGS=IP=10.1"}; }, 4, "\"10.1\""},
        {"no JSON", [](Call &c) { c.conf = "{"; }, 6, "JSON"},
        {"empty stdin", [](Call &c) { c.conf = ""; }, 6, "JSON"},
        {"JSON that is no object", [](Call &c) { c.conf = "[1]"; }, 6, "[1]"},
        {"a version that is a number", [](Call &c) { c.conf["cniVersion"] = 1; }, 6, "cniVersion"},
        {"a version of the future", [](Call &c) { c.conf["cniVersion"] = "2.0.0"; }, 1, "incompatible"},
        {"no network name", [](Call &c) { c.conf.erase("name"); }, 7, "name"},
        {"a network name that is a path", [](Call &c) { c.conf["name"] = "../x"; }, 7, "\"../x\""},
        {"an MTU that is text", [](Call &c) { c.conf["mtu"] = "big"; }, 7, "mtu"},
        {"an MTU too small", [](Call &c) { c.conf["mtu"] = 67; }, 7, "67"},
        {"a relative directory", [](Call &c) { c.conf["dataDir"] = "var"; }, 7, "dataDir"},
        {"an IPAM type that is a path", [](Call &c) { c.conf["ipam"] = {{"type", "../bin/sh"}}; }, 7, "ipam.type"},
        {"an IPAM plugin that is not there", [](Call &c) { c.conf["ipam"] = {{"type", "no-such"}}; }, 7, "no-such"},
        {"flannel's delegate with a name", [](Call &c) { c.conf["delegate"] = {{"name", "x"}}; }, 7,
         "must not have 'name'"},
        {"a bad MAC", [](Call &c) { c.conf["runtimeConfig"] = {{"mac", "02:00"}}; }, 7, "runtimeConfig.mac"},
        {"a multicast MAC", [](Call &c) { c.conf["runtimeConfig"] = {{"mac", "03:00:00:00:00:01"}}; }, 7,
         "03:00:00:00:00:01"},
        {"a range for the built-in IPAM", [](Call &c) { c.conf["runtimeConfig"] = {{"ipRanges", json::array({1})}}; },
         2, "ipRanges: [1]"},
        {"an address of another subnet", [](Call &c) { c.conf["runtimeConfig"] = {{"ips", {"10.9.9.9"}}}; }, 101,
         "10.9.9.9"},
        {"the gateway's address", [](Call &c) { c.conf["runtimeConfig"] = {{"ips", {"10.244.86.1"}}}; }, 101,
         "gateway"},
        {"a prevResult that is text", [](Call &c) { c.conf["prevResult"] = "x"; }, 6, "prevResult"},
        {"CHECK without prevResult", [](Call &c) { c.command = "CHECK"; }, 7, "prevResult"},
        {"GC without the list", [](Call &c) { c.command = "GC"; }, 7, "valid-attachments"},
        {"STATUS before 1.1.0", [](Call &c) { c.command = "STATUS", c.conf["cniVersion"] = "1.0.0"; }, 1, "STATUS"},
        {"GC before 1.1.0", [](Call &c) { c.command = "GC", c.conf["cniVersion"] = "1.0.0"; }, 1, "GC"},
    };
    for (const BadCall &bad : cases) {
        SCOPED_TRACE(bad.sentence);
        Call call{.netns = pod_->path(), .conf = node_->conf()};
        bad.spoil(call);
        const auto answer = node_->weft(call);
        EXPECT_EQ(answer.exit_code, 1) << answer.text();
        EXPECT_EQ(answer.code(), bad.code) << answer.text();
        EXPECT_THAT(answer.msg(), HasSubstr(bad.said));
        EXPECT_TRUE(answer.body.is_object() && answer.body.contains("cniVersion")) << answer.text();
        EXPECT_EQ(node_->traces(), Traces{});
    }
}

TEST_F(CniSpec, TheHostsOwnNamespaceIsRefused) {
    const auto answer = node_->weft({.netns = node_->ns().path(), .conf = node_->conf()});
    EXPECT_EQ(answer.code(), 8) << answer.text();
    EXPECT_EQ(node_->traces(), Traces{});
}

TEST_F(CniSpec, VersionsAreTold) {
    const auto answer = node_->weft({.command = "VERSION", .conf = {{"cniVersion", "0.4.0"}}});
    EXPECT_TRUE(answer.ok());
    EXPECT_EQ(
        answer.body,
        json::parse(
            R"({"cniVersion": "0.4.0", "supportedVersions": ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"]})"));
    EXPECT_TRUE(node_->weft({.command = "VERSION", .conf = ""}).ok());
    EXPECT_EQ(node_->weft({.command = "VERSION", .conf = "{"}).code(), 6);
}

TEST_F(CniSpec, WithoutACommandItIntroducesItself) {
    const auto answer = node_->weft({.command = ""});
    EXPECT_TRUE(answer.ok());
    EXPECT_EQ(answer.out, "");
    EXPECT_THAT(answer.err, HasSubstr("1.1.0"));
}

TEST_F(CniSpec, StatusIsSilentWhenAllIsWell) {
    const auto answer = call("STATUS", "", node_->conf());
    EXPECT_TRUE(answer.ok()) << answer.text();
    EXPECT_EQ(answer.out, "");
}

TEST_F(CniSpec, FlannelsDelegateIsTakenAndItsRestSaidOnce) {
    json conf = node_->conf();
    conf["delegate"] = {{"hairpinMode", true}, {"isDefaultGateway", true}, {"mtu", 1400}};
    const auto added = add("pod1", conf);
    ASSERT_TRUE(added.ok()) << added.text();
    EXPECT_EQ(added.body["interfaces"][1]["mtu"], 1400);
    EXPECT_EQ(std::ranges::count(added.err, '\n'), 1);
    EXPECT_THAT(added.err, HasSubstr("hairpinMode, isDefaultGateway"));
}

TEST_F(CniSpec, DnsOfTheConfigurationIsPassedOn) {
    json conf = node_->conf();
    conf["dns"] = {{"nameservers", {"10.96.0.10"}}, {"search", {"svc.cluster.local"}}};
    EXPECT_EQ(add("pod1", conf).body["dns"], conf["dns"]);
}

TEST_F(CniSpec, GcKeepsWhatIsValidAndRemovesTheRest) {
    struct Pod {
        std::string id;
        Netns ns;
    };
    std::list<Pod> pods;
    for (const char *id : {"keep", "stale", "gone"}) {
        auto ns = Netns::create(std::string("cni-") + id);
        ASSERT_OK(ns);
        pods.push_back({id, std::move(*ns)});
        ASSERT_TRUE(node_->weft({.id = id, .netns = pods.back().ns.path(), .conf = node_->conf()}).ok());
    }
    json other = node_->conf();
    other["name"] = "second";
    other["subnetFile"] = write_subnet_env("10.60.0.0/16", "10.60.7.1/24");
    ASSERT_TRUE(node_->weft({.id = "elsewhere", .netns = pod_->path(), .conf = other}).ok());
    pods.pop_back(); // the namespace of "gone" goes, without DEL
    ASSERT_TRUE(eventually([&] { return node_->traces().veths.size() == 3; }));
    // A pod that flannel wired before the node changed over.
    ASSERT_OK(write_file(node_->ipam_dir() / "10.244.86.200", "flannel-pod\r\neth0"));
    ASSERT_OK(write_file(node_->ipam_dir() / "10.244.86.201", "dead-flannel-pod\r\neth0"));

    for (const char *key : {"cni.dev/valid-attachments", "cni.dev/attachments"}) {
        json conf = node_->conf();
        conf[key] = json::parse(
            R"([{"containerID": "keep", "ifname": "eth0"}, {"containerID": "flannel-pod", "ifname": "eth0"}])");
        const auto collected = call("GC", "", conf);
        EXPECT_TRUE(collected.ok()) << collected.text();
        EXPECT_EQ(collected.out, "");
        const auto left = node_->traces();
        EXPECT_EQ(left.veths.size(), 2U) << testing::PrintToString(left);
        EXPECT_EQ(left.addresses, (std::vector<std::string>{"10.244.86.2", "10.244.86.200"}));
        EXPECT_EQ(left.endpoints, (std::vector<std::string>{"10.244.86.2", "10.60.7.2"}));
    }
}

TEST_F(CniSpec, TwoHundredPodsAtOnceGetTwoHundredAddresses) {
    constexpr int kPods = 200, kAtOnce = 25;
    std::list<Netns> namespaces;
    std::vector<Call> calls;
    for (int i = 0; i < kPods; ++i) {
        auto ns = Netns::create("p" + std::to_string(i));
        ASSERT_OK(ns);
        namespaces.push_back(std::move(*ns));
        calls.push_back({.id = "pod" + std::to_string(i), .netns = namespaces.back().path(), .conf = node_->conf()});
    }
    const auto run_all = [&](const std::string &command) {
        for (std::size_t start = 0; start < calls.size(); start += kAtOnce) {
            std::list<Process> running;
            for (std::size_t i = start; i < std::min(calls.size(), start + kAtOnce); ++i) {
                Call call = calls[i];
                call.command = command;
                auto process = node_->start_weft(call);
                ASSERT_OK(process);
                running.push_back(std::move(*process));
            }
            for (Process &process : running) EXPECT_EQ(process.wait(std::chrono::seconds(30)), 0) << process.describe();
        }
    };
    run_all("ADD");
    const auto all = node_->traces();
    EXPECT_EQ(all.veths.size(), 200U);
    EXPECT_EQ(all.addresses.size(), 200U);
    EXPECT_EQ(all.endpoints, all.addresses);
    EXPECT_EQ(all.routes.size(), 200U);
    run_all("DEL");
    EXPECT_EQ(node_->traces(), Traces{});
}

} // namespace
} // namespace weft::test

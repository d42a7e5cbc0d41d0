// SPDX-License-Identifier: Apache-2.0
// IPAM across programs: weft and host-local on one directory, and delegation to other plugins.
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <utility>

#include "cni_fixture.hpp"

namespace weft::test {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class CniIpam : public CniTest {
public:
    void SetUp() override {
        WEFT_REQUIRES(std::filesystem::exists(kHostLocal) ? std::optional<std::string>()
                                                          : "no host-local (containernetworking-plugins)");
        CniTest::SetUp();
    }

    static constexpr const char *kHostLocal = "/usr/lib/cni/host-local";

    /// host-local on the same files, as flannel's bridge delegate runs it.
    Answer host_local(const std::string &command, const std::string &id, json extra = json::object()) const {
        json conf{
            {"cniVersion", "1.0.0"},
            {"name", CniNode::kNetwork},
            {"type", "bridge"},
            {"ipam",
             {{"type", "host-local"}, {"dataDir", node_->data_dir()}, {"ranges", {{{{"subnet", "10.244.86.0/24"}}}}}}}};
        conf.update(extra);
        return node_->run({.command = command, .id = id, .netns = pod_->path(), .conf = conf}, kHostLocal);
    }
    /// weft for a pod of which only the address matters.
    std::string weft_address(const std::string &id) {
        auto ns = Netns::create("cni-" + id);
        if (!ns) return ns.error().sentence();
        namespaces_.push_back(std::move(*ns));
        const auto added = node_->weft({.id = id, .netns = namespaces_.back().path(), .conf = node_->conf("1.0.0")});
        return added.ok() ? added.body["ips"][0]["address"].get<std::string>() : added.text();
    }

    std::list<Netns> namespaces_;
};

TEST_F(CniIpam, HostLocalAndWeftTakeTurnsOnOneDirectory) {
    EXPECT_EQ(host_local("ADD", "a").body["ips"][0]["address"], "10.244.86.2/24");
    EXPECT_EQ(weft_address("b"), "10.244.86.3/32");
    EXPECT_EQ(host_local("ADD", "c").body["ips"][0]["address"], "10.244.86.4/24");
    EXPECT_EQ(weft_address("d"), "10.244.86.5/32");
    // The same bytes.
    EXPECT_EQ(read_file(node_->ipam_dir() / "10.244.86.4").value(), "c\r\neth0");
    EXPECT_EQ(read_file(node_->ipam_dir() / "10.244.86.5").value(), "d\r\neth0");
    EXPECT_EQ(read_file(node_->ipam_dir() / "last_reserved_ip.0").value(), "10.244.86.5");
    // Each gives back what the other gave; a freed address waits for its turn.
    EXPECT_TRUE(host_local("DEL", "b").ok());
    EXPECT_TRUE(call("DEL", "a", node_->conf()).ok());
    EXPECT_EQ(node_->traces().addresses, (std::vector<std::string>{"10.244.86.4", "10.244.86.5"}));
    EXPECT_EQ(weft_address("e"), "10.244.86.6/32");
    EXPECT_EQ(host_local("ADD", "f").body["ips"][0]["address"], "10.244.86.7/24");
    // Each refuses a second address for what the other has served.
    const auto duplicate = host_local("ADD", "e");
    EXPECT_THAT(duplicate.msg(), HasSubstr("10.244.86.6 has been allocated to e, duplicate allocation is not allowed"));
    EXPECT_THAT(weft_address("f"),
                HasSubstr("10.244.86.7 has been allocated to f, duplicate allocation is not allowed"));
}

TEST_F(CniIpam, BothSayTheSameWhenTheSubnetIsFull) {
    ASSERT_TRUE(host_local("ADD", "first").ok());
    for (int last = 3; last <= 254; ++last)
        ASSERT_OK(write_file(node_->ipam_dir() / ("10.244.86." + std::to_string(last)), "x\r\neth0"));
    const auto theirs = host_local("ADD", "pod1"), ours = add("pod1");
    EXPECT_EQ(ours.msg(), theirs.msg());
    EXPECT_EQ(ours.code(), 101);
}

TEST_F(CniIpam, OldFilesWithoutInterfaceAreKnown) {
    std::filesystem::create_directories(node_->ipam_dir());
    ASSERT_OK(write_file(node_->ipam_dir() / "10.244.86.9", "pod1"));
    EXPECT_EQ(add("pod1").code(), 101);
    EXPECT_TRUE(call("DEL", "pod1", node_->conf()).ok());
    EXPECT_EQ(node_->traces(), Traces{});
}

TEST_F(CniIpam, HostLocalCanBeDelegatedTo) {
    json conf = node_->conf("1.0.0");
    conf["ipam"] = {{"type", "host-local"}, {"dataDir", node_->data_dir()}, {"routes", {{{"dst", "192.0.2.0/24"}}}}};
    const auto added = add("pod1", conf);
    ASSERT_TRUE(added.ok()) << added.text();
    EXPECT_EQ(added.body["ips"][0]["address"], "10.244.86.2/32");
    EXPECT_EQ(added.body["routes"], json::parse(R"([{"dst": "192.0.2.0/24", "gw": "10.244.86.1"},
                                                    {"dst": "10.244.0.0/16", "gw": "10.244.86.1"},
                                                    {"dst": "0.0.0.0/0", "gw": "10.244.86.1"}])"));
    EXPECT_EQ(node_->traces().addresses, std::vector<std::string>{"10.244.86.2"});
    json checked = conf;
    checked["prevResult"] = added.body;
    const auto check = call("CHECK", "pod1", checked);
    EXPECT_TRUE(check.ok()) << check.text();
    // Also when the node's subnet is not known any more.
    std::filesystem::remove(node_->subnet_file());
    const auto deleted = call("DEL", "pod1", conf);
    EXPECT_TRUE(deleted.ok()) << deleted.text();
    EXPECT_EQ(node_->traces(), Traces{});
    EXPECT_TRUE(call("DEL", "pod1", conf).ok());
}

TEST_F(CniIpam, StaticCanBeDelegatedTo) {
    json conf = node_->conf("0.4.0");
    conf["ipam"] = {{"type", "static"}, {"addresses", {{{"address", "10.244.86.55/24"}, {"gateway", "10.244.86.1"}}}}};
    const auto added = add("pod1", conf);
    ASSERT_TRUE(added.ok()) << added.text();
    EXPECT_EQ(added.body["ips"][0]["address"], "10.244.86.55/32");
    EXPECT_EQ(node_->traces().endpoints, std::vector<std::string>{"10.244.86.55"});
    pod_.reset(); // and nobody but the map remembers the address
    EXPECT_TRUE(eventually([&] { return node_->traces().veths.empty(); }));
    EXPECT_TRUE(call("DEL", "pod1", conf).ok());
    EXPECT_EQ(node_->traces(), Traces{});
}

TEST_F(CniIpam, WhatTheDelegateGaveIsGivenBackWhenWeftFails) {
    json conf = node_->conf("1.0.0");
    conf["ipam"] = {{"type", "host-local"}, {"dataDir", node_->data_dir()}};
    for (const char *step : {"ipam", "veth", "pod-route", "endpoint"}) {
        const auto failed = node_->weft_failing_at({.netns = pod_->path(), .conf = conf}, step);
        EXPECT_FALSE(failed.ok());
        EXPECT_EQ(node_->traces(), Traces{}) << step;
    }
}

TEST_F(CniIpam, TheDelegatesOwnErrorIsPassedOn) {
    json conf = node_->conf("1.0.0");
    conf["ipam"] = {{"type", "static"}};
    conf["ipam"]["addresses"] = {{{"address", "not-an-address"}}};
    const auto failed = add("pod1", conf);
    EXPECT_FALSE(failed.ok());
    EXPECT_THAT(failed.msg(), HasSubstr("IPAM plugin static ADD"));
    EXPECT_THAT(failed.msg(), HasSubstr("not-an-address"));
    EXPECT_EQ(node_->traces(), Traces{});
}

/// IPAM by a script, which notes what it was asked for.
class CniIpamScript : public CniIpam {
public:
    void SetUp() override {
        CniIpam::SetUp();
        if (IsSkipped()) return;
        WEFT_ASSERT_ASSIGN(dir_, TempDir::create("ipam"));
    }

    /// @param script what it does, after its input is read
    Answer ask(const std::string &command, const std::string &script) {
        std::filesystem::remove(*dir_ / "asked");
        EXPECT_TRUE(write_file(*dir_ / "odd", fmt::format("#!/bin/sh\ncat >/dev/null\necho $CNI_COMMAND >>{}\n{}\n",
                                                          (*dir_ / "asked").string(), script)));
        std::filesystem::permissions(*dir_ / "odd", std::filesystem::perms::owner_all);
        json conf = node_->conf();
        conf["ipam"] = {{"type", "odd"}};
        conf["cni.dev/valid-attachments"] = json::array();
        return node_->weft(
            {.command = command, .netns = pod_->path(), .conf = conf, .env = {"CNI_PATH=" + dir_->path().string()}});
    }
    std::string asked() const { return read_file(*dir_ / "asked").value_or(""); }

    std::optional<TempDir> dir_;
};

TEST_F(CniIpamScript, WhatIsNoAddressIsGivenBackAndSaid) {
    const std::pair<const char *, const char *> table[] = {
        {R"([ $CNI_COMMAND = DEL ] || echo '{"cniVersion":"1.0.0","ips":[]}')", "IPAM plugin odd: gave no address"},
        {"[ $CNI_COMMAND = DEL ] || echo hello", "IPAM plugin odd: its result is not JSON"},
    };
    for (const auto &[script, msg] : table) {
        const auto answer = ask("ADD", script);
        EXPECT_EQ(answer.msg(), msg) << answer.text();
        EXPECT_EQ(asked(), "ADD\nDEL\n");
        EXPECT_EQ(node_->traces(), Traces{});
    }
}

TEST_F(CniIpamScript, OneThatEndsWithoutAWordIsNamed) {
    const auto answer = ask("ADD", "exit 3");
    EXPECT_EQ(answer.code(), 104) << answer.text();
    EXPECT_THAT(answer.msg(), HasSubstr("IPAM plugin odd ADD"));
    EXPECT_EQ(node_->traces(), Traces{});
}

TEST_F(CniIpamScript, StatusAndGcAreAskedOfItToo) {
    EXPECT_TRUE(ask("STATUS", "").ok());
    EXPECT_EQ(asked(), "STATUS\n");
    const auto full = ask("STATUS", R"(echo '{"code":50,"msg":"the pool is empty"}'; exit 1)");
    EXPECT_EQ(full.code(), 50) << full.text();
    EXPECT_THAT(full.msg(), HasSubstr("the pool is empty"));
    EXPECT_TRUE(ask("GC", "").ok());
    EXPECT_EQ(asked(), "GC\n");
    EXPECT_FALSE(ask("GC", "exit 1").ok());
}

TEST_F(CniIpam, AnAddressWithoutAGatewayOfItsFamilyIsRefused) {
    json conf = node_->conf("1.0.0");
    conf["ipam"] = {{"type", "static"}, {"addresses", {{{"address", "fd00::5/64"}}}}};
    const auto failed = add("pod1", conf);
    EXPECT_EQ(failed.code(), 7) << failed.text();
    EXPECT_THAT(failed.msg(), HasSubstr("IPAM gave fd00::5/64: no gateway"));
    conf["ipam"]["addresses"][0]["gateway"] = "fd00::1";
    const auto added = add("pod1", conf);
    ASSERT_TRUE(added.ok()) << added.text();
    EXPECT_EQ(added.body["ips"][0]["address"], "fd00::5/128");
    EXPECT_EQ(node_->traces().endpoints, std::vector<std::string>{"fd00::5"});
}

class CniIpamDual : public CniIpam {
public:
    Families families() const override { return Families::dual; }

    /// As flannel's plugin configures it on a node with both families.
    json host_local_conf() const {
        return {{"type", "host-local"},
                {"dataDir", node_->data_dir()},
                {"ranges", {{{{"subnet", "10.244.86.0/24"}}}, {{{"subnet", "fd00:244:0:86::/64"}}}}}};
    }
    static std::vector<std::string> addresses(const Answer &answer) {
        if (!answer.ok()) return {answer.text()};
        std::vector<std::string> out;
        for (const json &ip : answer.body["ips"]) out.push_back(ip["address"]);
        return out;
    }
};

TEST_F(CniIpamDual, HostLocalAndWeftTakeTurnsInBothFamilies) {
    const json theirs{{"ipam", host_local_conf()}};
    EXPECT_THAT(addresses(host_local("ADD", "a", theirs)), ElementsAre("10.244.86.2/24", "fd00:244:0:86::2/64"));
    EXPECT_THAT(addresses(add("b")), ElementsAre("10.244.86.3/32", "fd00:244:0:86::3/128"));
    EXPECT_EQ(read_file(node_->ipam_dir() / "last_reserved_ip.1").value(), "fd00:244:0:86::3");
    EXPECT_THAT(addresses(host_local("ADD", "c", theirs)), ElementsAre("10.244.86.4/24", "fd00:244:0:86::4/64"));
    EXPECT_EQ(read_file(node_->ipam_dir() / "fd00:244:0:86::3").value(), "b\r\neth0");
    EXPECT_EQ(read_file(node_->ipam_dir() / "fd00:244:0:86::4").value(), "c\r\neth0");
    EXPECT_THAT(host_local("ADD", "b", theirs).msg(), HasSubstr("duplicate allocation is not allowed"));
    // Each gives back what the other gave.
    EXPECT_TRUE(host_local("DEL", "b", theirs).ok());
    EXPECT_TRUE(call("DEL", "a", node_->conf()).ok());
    EXPECT_THAT(node_->traces().addresses, ElementsAre("10.244.86.4", "fd00:244:0:86::4"));
}

TEST_F(CniIpamDual, HostLocalIsDelegatedBothFamilies) {
    for (const char *version : {"0.2.0", "1.0.0"}) {
        json conf = node_->conf(version);
        conf["ipam"] = {{"type", "host-local"}, {"dataDir", node_->data_dir()}};
        const auto added = add("pod1", conf);
        ASSERT_TRUE(added.ok()) << added.text();
        const auto gave = node_->traces();
        EXPECT_EQ(gave.addresses.size(), 2U) << testing::PrintToString(gave);
        EXPECT_EQ(gave.endpoints, gave.addresses);
        const json routes = added.body.contains("routes") ? added.body["routes"] : added.body["ip6"]["routes"];
        EXPECT_THAT(routes, testing::Contains(json::parse(R"({"dst": "fd00:244::/48", "gw": "fd00:244:0:86::1"})")));
        EXPECT_THAT(routes, testing::Contains(json::parse(R"({"dst": "::/0", "gw": "fd00:244:0:86::1"})")));
        EXPECT_TRUE(call("DEL", "pod1", conf).ok());
        EXPECT_EQ(node_->traces(), Traces{});
    }
}

} // namespace
} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
// The test support itself: what the other tests of this folder rely on.
#include <gtest/gtest.h>

#include <filesystem>

#include "etcd_server.hpp"
#include "needs.hpp"
#include "netns.hpp"
#include "traffic.hpp"
#include "wire.hpp"

namespace weft::test {
namespace {

TEST(Harness, AProcessIsCapturedWaitedForAndReaped) {
    WEFT_ASSERT_ASSIGN(auto out, run({"sh", "-c", "cat; echo oops >&2; exit 3"}, {.input = "hello"}));
    EXPECT_EQ(out.code, 3);
    EXPECT_EQ(out.out, "hello");
    EXPECT_EQ(out.err, "oops\n");
    EXPECT_EQ(run_ok({"false"}).error().sentence(), "`false` ended with 1: ");
    EXPECT_EQ(Process::spawn({"/no/such/program"}).error().code(), ENOENT);
    WEFT_ASSERT_ASSIGN(auto sleeper, Process::spawn({"sleep", "1000"}));
    EXPECT_TRUE(sleeper.running());
    EXPECT_EQ(sleeper.wait(10ms), std::nullopt);
    EXPECT_EQ(sleeper.terminate(), 128 + SIGTERM);
}

/// A zombie, which init may reap late, has no namespaces left.
bool alive(pid_t pid) { return std::filesystem::exists("/proc/" + std::to_string(pid) + "/ns/net"); }

TEST(Harness, ANamespaceEndsWithItsProcesses) {
    WEFT_REQUIRES(requires_netns());
    std::string path;
    pid_t daemon = 0;
    {
        WEFT_ASSERT_ASSIGN(auto ns, Netns::create("ends"));
        path = ns.path();
        ASSERT_TRUE(std::filesystem::exists(path));
        // A daemon that has left the session of whoever started it, in the background.
        WEFT_ASSERT_ASSIGN(auto starter, ns.spawn({"setsid", "-f", "sh", "-c", "echo $$; exec sleep 1000"}));
        ASSERT_TRUE(wait_until([&] { return starter.out().ends_with("\n"); })) << starter.describe();
        daemon = std::stoi(starter.out());
        EXPECT_TRUE(alive(daemon));
        WEFT_ASSERT_OK(ns.sysctl("net.ipv4.ip_forward", "1"));
        WEFT_ASSERT_ASSIGN(auto forward, ns.run("cat /proc/sys/net/ipv4/ip_forward"));
        EXPECT_EQ(forward, "1\n");
        WEFT_ASSERT_OK(ns.run("test -d /sys/fs/bpf"));
    }
    EXPECT_FALSE(std::filesystem::exists(path));
    EXPECT_FALSE(alive(daemon));
}

TEST(Harness, EtcdKeepsItsDataOverARestart) {
    WEFT_REQUIRES(requires_tools({"etcd", "etcdctl"}));
    WEFT_ASSERT_ASSIGN(auto etcd, EtcdServer::start());
    WEFT_ASSERT_OK(etcd.put("/a/b", R"({"x": 1})"));
    WEFT_ASSERT_OK(etcd.put_with_ttl("/a/c", "v", 3600));
    const auto endpoint = etcd.endpoint();
    WEFT_ASSERT_OK(etcd.kill());
    WEFT_ASSERT_OK(etcd.restart());
    EXPECT_EQ(etcd.endpoint(), endpoint);
    WEFT_ASSERT_ASSIGN(auto all, etcd.get_prefix("/a"));
    EXPECT_EQ(all, (std::map<std::string, std::string>{{"/a/b", R"({"x": 1})"}, {"/a/c", "v"}}));
    WEFT_ASSERT_OK(etcd.del("/a/b"));
    WEFT_ASSERT_ASSIGN(auto gone, etcd.get("/a/b"));
    EXPECT_EQ(gone, std::nullopt);
}

TEST(Harness, AChangedByteIsNoticed) {
    WEFT_REQUIRES(requires_netns());
    WEFT_REQUIRES(requires_tools({"nft"}));
    WEFT_ASSERT_ASSIGN(auto ns, Netns::create("liar"));
    WEFT_ASSERT_ASSIGN(auto server, serve_traffic(ns));
    WEFT_ASSERT_OK(tcp_transfer(ns, "127.0.0.1", 1'000'000));
    WEFT_ASSERT_OK(udp_echo(ns, "127.0.0.1", {1000}));
    // One byte of each big packet. Checksums are half done on a loopback, so that nobody else notices.
    WEFT_ASSERT_OK(
        ns.run({"nft", "-f", "-"}, {.input = "table ip t {\n chain c {\n  type filter hook output priority 0;\n"
                                             "  meta length > 900 @th,1600,8 set 0x5a\n }\n}\n"}));
    for (const auto direction : {Direction::send, Direction::receive}) {
        const auto transfer = tcp_transfer(ns, "127.0.0.1", 1'000'000, {.direction = direction});
        ASSERT_FALSE(transfer);
        EXPECT_NE(transfer.error().sentence().find("first_wrong"), std::string::npos) << transfer.error().sentence();
    }
    EXPECT_FALSE(udp_echo(ns, "127.0.0.1", {1000}));
}

TEST(Harness, ASegmentJoinsNodesOnEveryWire) {
    WEFT_REQUIRES(requires_netns());
    WEFT_REQUIRES(requires_tools({"ethtool", "ping"}));
    WEFT_ASSERT_ASSIGN(auto a, Netns::create("a"));
    WEFT_ASSERT_ASSIGN(auto b, Netns::create("b"));
    WEFT_ASSERT_ASSIGN(auto lan, Segment::create("lan"));
    WEFT_ASSERT_OK(lan.plug(a, "eth0", "192.0.2.1/24"));
    WEFT_ASSERT_OK(lan.plug(b, "eth0", "192.0.2.2/24"));
    for (const auto mode : {WireMode::offload, WireMode::framed, WireMode::bare}) {
        WEFT_ASSERT_OK(lan.set_mode(mode));
        WEFT_EXPECT_OK(a.run("ping -c 1 -W 2 192.0.2.2"));
        WEFT_ASSERT_ASSIGN(auto features, a.run("ethtool -k eth0"));
        const auto has = [&](std::string_view line) { return features.find(line) != features.npos; };
        EXPECT_EQ(has("tx-checksumming: on"), mode != WireMode::bare) << features;
        EXPECT_EQ(has("tcp-segmentation-offload: on"), mode == WireMode::offload) << features;
    }
}

} // namespace
} // namespace weft::test

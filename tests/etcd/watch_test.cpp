// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <condition_variable>
#include <csignal>

#include "node.hpp"
#include "relay.hpp"

namespace weft::test {
namespace {

/// etcd with a configuration and one node that has listed and watches.
class Watch : public ::testing::Test {
protected:
    void SetUp() override {
        auto etcd = EtcdServer::start();
        ASSERT_TRUE(etcd) << etcd.error().sentence();
        etcd_.emplace(std::move(*etcd));
        ASSERT_TRUE(etcd_->put(kConfigKey, kConfig));
        auto relay = Relay::to(*etcd_);
        ASSERT_TRUE(relay) << relay.error().sentence();
        relay_.emplace(std::move(*relay));
        node_ = std::make_unique<Node>(options_for(relay_->endpoint()), "192.0.2.1");
    }
    void join() {
        node_->join(*parse_subnet_key("10.5.200.0-24"));
        ASSERT_TRUE(node_->wait_for("snapshot")) << node_->describe();
    }
    /// Makes etcd forget everything before now.
    void compact() {
        const auto reply = nlohmann::json::parse(*etcd_->ctl({"get", "--write-out=json", "x"}));
        const auto done = etcd_->ctl({"compact", std::to_string(reply["header"]["revision"].get<std::int64_t>())});
        ASSERT_TRUE(done) << done.error().sentence();
    }
    std::optional<EtcdServer> etcd_;
    std::optional<Relay> relay_;
    std::unique_ptr<Node> node_;
};

TEST_F(Watch, SnapshotThenPutChangeDeleteAndExpiry) {
    ASSERT_TRUE(etcd_->put(key("10.5.1.0-24"), vxlan_value("192.0.2.11")));
    join();
    EXPECT_EQ(node_->peers(), (std::map<std::string, std::string>{{"10.5.1.0/24", "192.0.2.11"}}));
    ASSERT_TRUE(etcd_->put(key("10.5.2.0-24"), vxlan_value("192.0.2.12")));
    ASSERT_TRUE(etcd_->put(key("10.5.1.0-24"), vxlan_value("192.0.2.13")));
    ASSERT_TRUE(node_->wait_peers({{"10.5.1.0/24", "192.0.2.13"}, {"10.5.2.0/24", "192.0.2.12"}})) << node_->describe();
    ASSERT_TRUE(etcd_->del(key("10.5.1.0-24")));
    ASSERT_TRUE(node_->wait_for("removed 10.5.1.0/24")) << node_->describe();
    ASSERT_TRUE(etcd_->put_with_ttl(key("10.5.3.0-24"), vxlan_value("192.0.2.14"), 1));
    ASSERT_TRUE(node_->wait_for("put 10.5.3.0/24")) << node_->describe();
    ASSERT_TRUE(node_->wait_for("removed 10.5.3.0/24", 1, 20s)) << node_->describe();
    EXPECT_EQ(node_->peers(), (std::map<std::string, std::string>{{"10.5.2.0/24", "192.0.2.12"}}));
    EXPECT_EQ(node_->count("10.5.200.0"), 1u) << "own lease among the others' events\n" << node_->describe();
    EXPECT_EQ(node_->count("snapshot"), 1u);
}

TEST_F(Watch, OtherPrefixesAreNobodysLease) {
    ASSERT_TRUE(etcd_->put("/coreos.com/network/subnetsX/10.5.1.0-24", vxlan_value("192.0.2.11")));
    join();
    EXPECT_TRUE(node_->peers().empty());
    EXPECT_EQ(node_->count("skipped"), 0u);
}

TEST_F(Watch, MalformedEntriesAreReportedOnceAndSkipped) {
    ASSERT_TRUE(etcd_->put(key("10.5.1.0-24"), vxlan_value("192.0.2.11")));
    ASSERT_TRUE(etcd_->put(key("junk10.5.9.0-24"), vxlan_value("192.0.2.19")));
    join();
    ASSERT_TRUE(etcd_->put(key("10.5.2.7-24"), vxlan_value("192.0.2.12")));
    ASSERT_TRUE(etcd_->put(key("10.5.3.0-24"), R"({"PublicIP":null})"));
    ASSERT_TRUE(etcd_->put(key("10.5.1.0-24"), "overwritten"));
    ASSERT_TRUE(etcd_->put(key("10.5.4.0-24"), vxlan_value("192.0.2.14")));
    const std::map<std::string, std::string> expected{{"10.5.1.0/24", "192.0.2.11"}, {"10.5.4.0/24", "192.0.2.14"}};
    ASSERT_TRUE(node_->wait_peers(expected)) << node_->describe();
    for (const char *name :
         {"junk10.5.9.0-24:", "10.5.2.7-24:", "10.5.3.0-24: PublicIP: null", "10.5.1.0-24: not JSON"})
        EXPECT_EQ(node_->count(name), 1u) << name << "\n" << node_->describe();
    // a later value that can be read is taken
    ASSERT_TRUE(etcd_->put(key("10.5.3.0-24"), vxlan_value("192.0.2.13")));
    EXPECT_TRUE(node_->wait_for("put 10.5.3.0/24")) << node_->describe();
}

TEST_F(Watch, ChangesDuringACutArriveAfterwardsWithoutAList) {
    ASSERT_TRUE(etcd_->put(key("10.5.1.0-24"), vxlan_value("192.0.2.11")));
    join();
    relay_->cut();
    ASSERT_TRUE(node_->wait_for("etcd is away")) << node_->describe();
    ASSERT_TRUE(etcd_->put(key("10.5.2.0-24"), vxlan_value("192.0.2.12")));
    ASSERT_TRUE(etcd_->del(key("10.5.1.0-24")));
    ASSERT_TRUE(relay_->open());
    EXPECT_TRUE(node_->wait_peers({{"10.5.2.0/24", "192.0.2.12"}})) << node_->describe();
    EXPECT_EQ(node_->count("removed 10.5.1.0/24"), 1u) << node_->describe();
    EXPECT_EQ(node_->count("snapshot"), 1u) << node_->describe();
}

TEST_F(Watch, CompactionDuringACutMeansAList) {
    ASSERT_TRUE(etcd_->put(key("10.5.1.0-24"), vxlan_value("192.0.2.11")));
    join();
    relay_->cut();
    ASSERT_TRUE(etcd_->put(key("10.5.2.0-24"), vxlan_value("192.0.2.12")));
    ASSERT_TRUE(etcd_->del(key("10.5.1.0-24")));
    compact();
    ASSERT_TRUE(relay_->open());
    ASSERT_TRUE(node_->wait_for("snapshot", 2)) << node_->describe();
    EXPECT_TRUE(node_->wait_peers({{"10.5.2.0/24", "192.0.2.12"}})) << node_->describe();
    ASSERT_TRUE(etcd_->put(key("10.5.3.0-24"), vxlan_value("192.0.2.13")));
    EXPECT_TRUE(node_->wait_for("put 10.5.3.0/24")) << "watches on after the list\n" << node_->describe();
}

TEST_F(Watch, EtcdRestartChangesNothing) {
    ASSERT_TRUE(etcd_->put(key("10.5.1.0-24"), vxlan_value("192.0.2.11")));
    join();
    ASSERT_TRUE(etcd_->kill());
    ASSERT_TRUE(node_->wait_for("etcd is away")) << node_->describe();
    ASSERT_TRUE(etcd_->restart());
    ASSERT_TRUE(etcd_->put(key("10.5.2.0-24"), vxlan_value("192.0.2.12")));
    EXPECT_TRUE(node_->wait_peers({{"10.5.1.0/24", "192.0.2.11"}, {"10.5.2.0/24", "192.0.2.12"}}, 15s))
        << node_->describe();
    EXPECT_EQ(node_->count("removed"), 0u);
    EXPECT_EQ(node_->count("lost"), 0u);
}

TEST_F(Watch, StoreThatWasWipedIsNoticed) {
    for (int i = 1; i <= 5; ++i)
        ASSERT_TRUE(etcd_->put(key("10.5.1.0-24"), vxlan_value("192.0.2." + std::to_string(i))));
    join();
    const auto port = etcd_->port();
    etcd_.reset();
    auto fresh = EtcdServer::start({.port = port});
    ASSERT_TRUE(fresh) << fresh.error().sentence();
    etcd_.emplace(std::move(*fresh));
    ASSERT_TRUE(node_->wait_for("snapshot 0", 1, 15s)) << node_->describe();
    EXPECT_TRUE(wait_until([&] { return etcd_->get(key("10.5.200.0-24"))->has_value(); })) << node_->describe();
}

// The backup's store has come to our revision again, by other writes: a watch from there on would miss what was undone.
TEST_F(Watch, StoreThatWasRestoredAndWentOnIsNoticed) {
    ASSERT_TRUE(etcd_->restart()); // an election more than a restored store has had
    ASSERT_TRUE(etcd_->put(key("10.5.1.0-24"), vxlan_value("192.0.2.11")));
    const auto dir = TempDir::create("restore");
    ASSERT_TRUE(dir);
    const auto backup = (*dir / "backup").string(), data = (*dir / "data").string();
    ASSERT_TRUE(etcd_->ctl({"snapshot", "save", backup}));
    join();
    ASSERT_TRUE(etcd_->put(key("10.5.2.0-24"), vxlan_value("192.0.2.12")));
    ASSERT_TRUE(node_->wait_peers({{"10.5.1.0/24", "192.0.2.11"}, {"10.5.2.0/24", "192.0.2.12"}})) << node_->describe();
    relay_->cut();
    const auto port = etcd_->port();
    etcd_.reset();
    const auto restored =
        run({"etcdctl", "snapshot", "restore", backup, "--data-dir=" + data, "--name=test",
             "--initial-cluster=test=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380"},
            {.env = {"ETCDCTL_API=3"}});
    ASSERT_TRUE(restored && restored->code == 0) << restored->err;
    auto fresh = EtcdServer::start({.port = port, .extra_args = {"--data-dir=" + data}});
    ASSERT_TRUE(fresh) << fresh.error().sentence();
    etcd_.emplace(std::move(*fresh));
    for (int i = 0; i < 10; ++i) ASSERT_TRUE(etcd_->put(kConfigKey, kConfig));
    ASSERT_TRUE(relay_->open());
    EXPECT_TRUE(node_->wait_peers({{"10.5.1.0/24", "192.0.2.11"}}, 20s)) << node_->describe();
    EXPECT_TRUE(wait_until([&] { return etcd_->get(key("10.5.200.0-24"))->has_value(); })) << node_->describe();
    EXPECT_EQ(node_->own(), "10.5.200.0/24");
}

// Neither side closes: only keepalive can tell. gRPC's interval is 10 s and its patience 5 s.
TEST_F(Watch, ConnectionThatHangsIsNoticed) {
    join();
    relay_->freeze();
    ASSERT_TRUE(node_->wait_for("etcd is away", 1, 30s)) << node_->describe();
    relay_->cut();
    ASSERT_TRUE(etcd_->put(key("10.5.2.0-24"), vxlan_value("192.0.2.12")));
    ASSERT_TRUE(relay_->open());
    EXPECT_TRUE(node_->wait_peers({{"10.5.2.0/24", "192.0.2.12"}}, 20s)) << node_->describe();
}

// As on a disk that takes half a second for each write.
TEST_F(Watch, AServerThatIsSlowCostsPatienceOnly) {
    join();
    std::jthread brake([&](const std::stop_token &stop) {
        std::mutex mutex;
        std::condition_variable_any never;
        std::unique_lock lock(mutex);
        for (int turn = 0; !stop.stop_requested(); ++turn) {
            (void)etcd_->process()->signal(turn % 2 ? SIGCONT : SIGSTOP);
            never.wait_for(lock, stop, turn % 2 ? 50ms : 500ms, [] { return false; });
        }
        (void)etcd_->process()->signal(SIGCONT);
    });
    std::map<std::string, std::string> peers;
    for (int i = 1; i <= 3; ++i) {
        const auto subnet = fmt::format("10.5.{}.0", i);
        EXPECT_TRUE(
            wait_until([&] { return etcd_->put(key(subnet + "-24"), vxlan_value("192.0.2.12")).has_value(); }, 20s));
        peers[subnet + "/24"] = "192.0.2.12";
        EXPECT_TRUE(node_->wait_peers(peers, 20s)) << node_->describe();
    }
    EXPECT_TRUE(wait_until([&] { return etcd_->del(key("10.5.200.0-24")).has_value(); }, 20s));
    EXPECT_TRUE(node_->wait_for("acquired 10.5.200.0/24", 2, 30s)) << node_->describe();
    brake = {};
    EXPECT_TRUE(node_->wait_peers(peers));
    EXPECT_EQ(node_->count("removed"), 0U) << node_->describe();
    EXPECT_EQ(node_->count("lost"), 0U) << node_->describe();
}

TEST_F(Watch, StopIsPromptWhateverItWaitsFor) {
    join();
    const auto begin = std::chrono::steady_clock::now();
    relay_->freeze();
    node_->stop();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, 3s);
}

} // namespace
} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <set>

#include "lease/lease_keeper.hpp"
#include "node.hpp"

namespace weft::test {
namespace {

using ::testing::HasSubstr;

Subnet subnet(std::string_view key) { return *parse_subnet_key(key); }

/// The etcd lease that a key hangs on, 0 for none.
std::int64_t lease_of(EtcdServer &etcd, const std::string &etcd_key) {
    const auto reply = nlohmann::json::parse(*etcd.ctl({"get", "--write-out=json", etcd_key}));
    return reply.at("kvs").at(0).value("lease", std::int64_t{0});
}

std::size_t leases_granted(EtcdServer &etcd) {
    const auto reply = nlohmann::json::parse(*etcd.ctl({"lease", "list", "--write-out=json"}));
    return reply.contains("leases") && !reply["leases"].is_null() ? reply["leases"].size() : 0;
}

TEST(Config, IsWaitedForAndSaidOnceUntilItIsThereAndRight) {
    ASSERT_ETCD(etcd, );
    Node node(options_for(etcd), "192.0.2.1");
    node.start_config();
    ASSERT_TRUE(node.wait_for("flannel config not found in etcd store")) << node.describe();
    EXPECT_EQ(node.state(), LeaseState::waiting_config);
    ASSERT_TRUE(etcd.put(kConfigKey, R"({"Network":"10.5.0.0/16","SubnetLen":17})"));
    ASSERT_TRUE(node.wait_for("network must be able to accommodate at least four subnets")) << node.describe();
    EXPECT_EQ(node.count(std::string(kConfigKey) + ": network must"), 1u) << node.describe();
    ASSERT_TRUE(etcd.put(kConfigKey, "{"));
    ASSERT_TRUE(node.wait_for("not JSON")) << node.describe();
    EXPECT_EQ(node.count("config not found"), 1u) << node.describe();
    ASSERT_TRUE(etcd.put(kConfigKey, kConfig));
    ASSERT_TRUE(wait_until([&] { return node.state() == LeaseState::configured; })) << node.describe();
    // Told on the loop's thread, after the state; "config" is part of what was said before, too.
    EXPECT_TRUE(wait_until([&] { return node.log().back() == "config"; })) << node.describe();
}

TEST(Config, LastingComplaintIsRepeatedAtIntervals) {
    ASSERT_ETCD(etcd, );
    auto tuning = quick();
    tuning.repeat_status = 200ms;
    Node node(options_for(etcd), "192.0.2.1", tuning);
    node.start_config();
    EXPECT_TRUE(node.wait_for("config not found", 3)) << node.describe();
}

TEST(Config, EtcdAwayAtStartIsSaidOnce) {
    const auto port = free_port("127.0.0.1");
    ASSERT_TRUE(port);
    Node node(options_for("http://127.0.0.1:" + std::to_string(*port)), "192.0.2.1");
    node.join();
    ASSERT_TRUE(node.wait_for("waiting for the network configuration")) << node.describe();
    ASSERT_ETCD(etcd, {.port = *port});
    ASSERT_TRUE(etcd.put(kConfigKey, kConfig));
    ASSERT_TRUE(node.wait_own()) << node.describe();
    EXPECT_EQ(node.count("http://127.0.0.1:" + std::to_string(*port)), 1u) << node.describe();
}

TEST(Acquire, FreshSubnetWithFlannelsKeyValueAndTtl) {
    ASSERT_ETCD(etcd, );
    ASSERT_TRUE(etcd.put(kConfigKey, kConfig));
    Node node(options_for(etcd), "192.0.2.1");
    node.join();
    ASSERT_TRUE(node.wait_own()) << node.describe();
    const auto all = etcd.get_prefix(kSubnets);
    ASSERT_TRUE(all && all->size() == 1);
    const auto &[etcd_key, value] = *all->begin();
    EXPECT_EQ(parse_subnet_key(etcd_key.substr(std::string(kSubnets).size()))->to_string(), *node.own());
    EXPECT_EQ(value, R"({"PublicIP":"192.0.2.1","PublicIPv6":null,"BackendType":"vxlan",)"
                     R"("BackendData":{"VNI":1,"VtepMAC":"02:77:c0:00:02:01"}})");
    const auto ttl = etcd.ctl({"lease", "timetolive", fmt::format("{:x}", lease_of(etcd, etcd_key))});
    EXPECT_THAT(*ttl, HasSubstr("granted with TTL(86400s)"));
    EXPECT_EQ(node.state(), LeaseState::held);
}

TEST(Acquire, NothingIsReleasedAndTheSameLeaseIsReclaimed) {
    ASSERT_ETCD(etcd, );
    ASSERT_TRUE(etcd.put(kConfigKey, kConfig));
    std::string held;
    {
        Node node(options_for(etcd), "192.0.2.1");
        node.join();
        ASSERT_TRUE(node.wait_own());
        held = *node.own();
        node.stop();
        EXPECT_EQ(node.state(), LeaseState::stopped);
    }
    EXPECT_EQ(etcd.get_prefix(kSubnets)->size(), 1u);
    Node again(options_for(etcd), "192.0.2.1");
    again.join(subnet("10.5.77.0-24")); // what the lease says goes before what the file says
    ASSERT_TRUE(again.wait_own());
    EXPECT_EQ(*again.own(), held);
}

TEST(Acquire, PreviousSubnetWhenFreeElseAnother) {
    ASSERT_ETCD(etcd, );
    ASSERT_TRUE(etcd.put(kConfigKey, kConfig));
    Node first(options_for(etcd), "192.0.2.1"), second(options_for(etcd), "192.0.2.2");
    first.join(subnet("10.5.77.0-24"));
    ASSERT_TRUE(first.wait_own());
    EXPECT_EQ(*first.own(), "10.5.77.0/24");
    second.join(subnet("10.5.77.0-24"));
    ASSERT_TRUE(second.wait_own());
    EXPECT_NE(*second.own(), "10.5.77.0/24");
}

TEST(Acquire, NodesThatStartTogetherGetSubnetsOfTheirOwn) {
    ASSERT_ETCD(etcd, );
    ASSERT_TRUE(etcd.put(kConfigKey, R"({"Network":"10.5.0.0/28"})")); // three subnets
    std::vector<std::unique_ptr<Node>> nodes;
    for (const char *ip : {"192.0.2.1", "192.0.2.2", "192.0.2.3"})
        nodes.push_back(std::make_unique<Node>(options_for(etcd), ip));
    for (auto &node : nodes) node->join();
    std::set<std::string> subnets;
    for (auto &node : nodes) {
        ASSERT_TRUE(node->wait_own()) << node->describe();
        subnets.insert(*node->own());
    }
    EXPECT_EQ(subnets, (std::set<std::string>{"10.5.0.4/30", "10.5.0.8/30", "10.5.0.12/30"}));
    // the fourth waits until one becomes free, and says so
    Node late(options_for(etcd), "192.0.2.4");
    late.join();
    ASSERT_TRUE(late.wait_for("out of subnets")) << late.describe();
    EXPECT_EQ(late.state(), LeaseState::acquiring);
    nodes[1]->stop();
    const auto freed = *nodes[1]->own();
    ASSERT_TRUE(etcd.del(key(freed.substr(0, freed.find('/')) + "-30")));
    ASSERT_TRUE(late.wait_own()) << late.describe();
    EXPECT_EQ(*late.own(), freed);
    EXPECT_EQ(late.count("out of subnets"), 1u);
}

class KeeperTest : public ::testing::Test {
protected:
    Result<Holding> acquire(EtcdServer &etcd, Pick pick, const char *conf = kConfig) {
        auto client = etcd::Client::create(options_for(etcd));
        if (!client) return fail_as_is(std::move(client));
        LeaseKeeper keeper(std::make_shared<etcd::Client>(*std::move(client)), kSubnets,
                           {.attrs = {.public_ip = *parse_ip4("192.0.2.1")}, .previous = {}, .renew_margin = 60min},
                           *parse_net_conf(conf), 24h, std::make_shared<OwnKey>(), std::move(pick));
        return keeper.acquire({});
    }
};

TEST_F(KeeperTest, LostRaceIsRunAgainAndLeavesNoUnusedGrant) {
    ASSERT_ETCD(etcd, );
    int picks = 0;
    // Somebody takes the very subnet between our list and our write, twice.
    const auto subnet_or = acquire(etcd, [&](std::size_t) {
        if (++picks <= 2) (void)etcd.put(key(fmt::format("10.5.{}.0-24", picks)), vxlan_value("192.0.2.9"));
        return 0;
    });
    ASSERT_TRUE(subnet_or) << subnet_or.error().sentence();
    EXPECT_EQ(subnet_or->subnet.to_string(), "10.5.3.0/24");
    EXPECT_EQ(*etcd.get(key("10.5.1.0-24")), vxlan_value("192.0.2.9")) << "another node's key was overwritten";
    EXPECT_EQ(leases_granted(etcd), 1u);
}

// Two nodes with different IPv4 subnets have different keys, whatever their IPv6 parts are.
TEST_F(KeeperTest, HalfASubnetTakenMeanwhileIsALostRaceToo) {
    ASSERT_ETCD(etcd, );
    int picks = 0;
    const auto holding = acquire(
        etcd,
        [&](std::size_t) {
            if (++picks == 2) (void)etcd.put(key("10.5.9.0-24&fd00:0:0:1::-64"), vxlan_value("192.0.2.9 2001:db8::9"));
            return 0;
        },
        kDualConfig);
    ASSERT_TRUE(holding) << holding.error().sentence();
    EXPECT_EQ(holding->subnet.to_string(), "10.5.1.0/24 fd00:0:0:2::/64");
    EXPECT_EQ(etcd.get_prefix(kSubnets)->size(), 2u);
    EXPECT_EQ(leases_granted(etcd), 1u);
}

TEST_F(KeeperTest, TenLostRacesAreEnoughForOneAttempt) {
    ASSERT_ETCD(etcd, );
    int picks = 0;
    const auto subnet_or = acquire(etcd, [&](std::size_t) {
        (void)etcd.put(key(fmt::format("10.5.{}.0-24", ++picks)), vxlan_value("192.0.2.9"));
        return 0;
    });
    ASSERT_FALSE(subnet_or);
    EXPECT_EQ(subnet_or.error().sentence(), "lost the race for a subnet 10 times");
    EXPECT_EQ(picks, 10);
    EXPECT_EQ(leases_granted(etcd), 0u) << "the grant that found no use was not revoked";
}

TEST(Acquire, LeaseOfAnotherConfigurationIsReplaced) {
    ASSERT_ETCD(etcd, );
    ASSERT_TRUE(etcd.put(kConfigKey, kConfig));
    ASSERT_TRUE(etcd.put_with_ttl(key("10.9.1.0-25"), vxlan_value("192.0.2.1"), 600));
    Node node(options_for(etcd), "192.0.2.1");
    node.join();
    ASSERT_TRUE(node.wait_own()) << node.describe();
    EXPECT_THAT(*node.own(), HasSubstr("10.5."));
    EXPECT_FALSE(etcd.get(key("10.9.1.0-25"))->has_value());
}

TEST(Reservation, IsUsedUpdatedAndStaysWithoutTtl) {
    ASSERT_ETCD(etcd, );
    ASSERT_TRUE(etcd.put(kConfigKey, kConfig));
    ASSERT_TRUE(etcd.put(key("10.5.99.0-24"), R"({"PublicIP":"192.0.2.1"})"));
    auto tuning = quick();
    tuning.republish = 100ms; // a later write must not attach a lease either
    Node node(options_for(etcd), "192.0.2.1", tuning);
    node.join();
    ASSERT_TRUE(node.wait_own()) << node.describe();
    EXPECT_EQ(*node.own(), "10.5.99.0/24");
    ASSERT_TRUE(wait_until([&] {
        const auto reply = nlohmann::json::parse(*etcd.ctl({"get", "--write-out=json", key("10.5.99.0-24")}));
        return reply["kvs"][0].value("version", 0) >= 3;
    }));
    EXPECT_EQ(*etcd.get(key("10.5.99.0-24")), vxlan_value("192.0.2.1"));
    EXPECT_EQ(lease_of(etcd, key("10.5.99.0-24")), 0);
    EXPECT_EQ(leases_granted(etcd), 0u);
}

TEST(Reservation, OfAnotherNodeIsNotTouched) {
    ASSERT_ETCD(etcd, );
    ASSERT_TRUE(etcd.put(kConfigKey, R"({"Network":"10.5.0.0/28"})"));
    ASSERT_TRUE(etcd.put(key("10.5.0.4-30"), vxlan_value("192.0.2.9")));
    ASSERT_TRUE(etcd.put(key("10.5.0.8-30"), "nonsense")); // occupies its subnet all the same
    Node node(options_for(etcd), "192.0.2.1");
    node.join();
    ASSERT_TRUE(node.wait_own()) << node.describe();
    EXPECT_EQ(*node.own(), "10.5.0.12/30");
    EXPECT_EQ(*etcd.get(key("10.5.0.8-30")), "nonsense");
}

} // namespace
} // namespace weft::test

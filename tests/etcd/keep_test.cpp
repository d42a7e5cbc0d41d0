// SPDX-License-Identifier: Apache-2.0
#include "node.hpp"
#include "relay.hpp"

namespace weft::test {
namespace {

constexpr const char *kKey = "/coreos.com/network/subnets/10.5.7.0-24";

std::optional<Subnet> previous() { return *parse_subnet_key("10.5.7.0-24"); }

std::int64_t lease_of_key(EtcdServer &etcd) {
    const auto reply = nlohmann::json::parse(*etcd.ctl({"get", "--write-out=json", kKey}));
    return reply.contains("kvs") ? reply["kvs"][0].value("lease", std::int64_t{0}) : -1;
}

TEST(Keep, RenewsWithANewLeaseBeforeTheOldOneEnds) {
    ASSERT_ETCD(etcd, );
    ASSERT_TRUE(etcd.put(kConfigKey, kConfig));
    auto tuning = quick();
    tuning.lease_ttl = 61s; // with a margin of a minute: a renewal each second
    Node node(options_for(etcd), "192.0.2.1", tuning);
    node.join(previous(), 1min);
    ASSERT_TRUE(node.wait_own()) << node.describe();
    const auto first = lease_of_key(etcd);
    ASSERT_TRUE(wait_until([&] { return lease_of_key(etcd) != first; })) << node.describe();
    const auto second = lease_of_key(etcd);
    EXPECT_TRUE(wait_until([&] { return lease_of_key(etcd) != second; })) << node.describe();
    EXPECT_EQ(node.count("acquired"), 1u);
}

TEST(Keep, DeletedKeyIsTakenAgain) {
    ASSERT_ETCD(etcd, );
    ASSERT_TRUE(etcd.put(kConfigKey, kConfig));
    Node node(options_for(etcd), "192.0.2.1");
    node.join(previous());
    ASSERT_TRUE(node.wait_for("snapshot")) << node.describe();
    ASSERT_TRUE(etcd.del(kKey));
    ASSERT_TRUE(node.wait_for("acquired 10.5.7.0/24", 2)) << node.describe();
    EXPECT_EQ(*etcd.get(kKey), vxlan_value("192.0.2.1"));
    EXPECT_EQ(node.count("lost"), 0u);
    EXPECT_EQ(node.count("removed"), 0u) << "our own lease is nobody's removal";
}

TEST(Keep, ExpiryWhileEtcdIsOutOfReachIsMadeGoodAfterwards) {
    ASSERT_ETCD(etcd, );
    ASSERT_TRUE(etcd.put(kConfigKey, kConfig));
    auto relay = Relay::to(etcd);
    ASSERT_TRUE(relay) << relay.error().sentence();
    Node node(options_for(relay->endpoint()), "192.0.2.1");
    node.join(previous());
    ASSERT_TRUE(node.wait_for("snapshot")) << node.describe();
    relay->cut();
    ASSERT_TRUE(node.wait_for("etcd is away")) << node.describe();
    ASSERT_TRUE(etcd.del(kKey));
    ASSERT_TRUE(relay->open());
    ASSERT_TRUE(node.wait_for("acquired 10.5.7.0/24", 2)) << node.describe();
    EXPECT_EQ(node.count("etcd is away"), 1u) << "said once";
    EXPECT_TRUE(node.wait_for("etcd answers again"));
}

TEST(Keep, SubnetTakenByAnotherIsLostNotFoughtOver) {
    ASSERT_ETCD(etcd, );
    ASSERT_TRUE(etcd.put(kConfigKey, kConfig));
    Node node(options_for(etcd), "192.0.2.1");
    node.join(previous());
    ASSERT_TRUE(node.wait_for("snapshot")) << node.describe();
    ASSERT_TRUE(etcd.put(kKey, vxlan_value("192.0.2.9"))); // as flannel's blind renewal does
    ASSERT_TRUE(node.wait_for("lost subnet 10.5.7.0/24 is taken: 10.5.7.0/24 is leased to 192.0.2.9"))
        << node.describe();
    EXPECT_EQ(node.state(), LeaseState::lost);
    EXPECT_EQ(*etcd.get(kKey), vxlan_value("192.0.2.9"));
    EXPECT_TRUE(node.wait_peers({{"10.5.7.0/24", "192.0.2.9"}})) << "the new holder is a peer";
    // a new request starts over, with another subnet
    node.join(previous());
    ASSERT_TRUE(node.wait_own()) << node.describe();
    EXPECT_NE(*node.own(), "10.5.7.0/24");
    EXPECT_EQ(node.state(), LeaseState::held);
}

TEST(Keep, NonsenseInOurKeyIsRepaired) {
    ASSERT_ETCD(etcd, );
    ASSERT_TRUE(etcd.put(kConfigKey, kConfig));
    Node node(options_for(etcd), "192.0.2.1");
    node.join(previous());
    ASSERT_TRUE(node.wait_for("snapshot")) << node.describe();
    ASSERT_TRUE(etcd.put(kKey, "nonsense"));
    EXPECT_TRUE(wait_until([&] { return *etcd.get(kKey) == vxlan_value("192.0.2.1"); })) << node.describe();
}

TEST(Keep, PublishesOnceMoreForNodesThatMissedTheFirstTime) {
    ASSERT_ETCD(etcd, );
    ASSERT_TRUE(etcd.put(kConfigKey, kConfig));
    auto tuning = quick();
    tuning.republish = 100ms;
    Node node(options_for(etcd), "192.0.2.1", tuning);
    node.join(previous());
    ASSERT_TRUE(node.wait_own());
    const auto version = [&] {
        return nlohmann::json::parse(*etcd.ctl({"get", "--write-out=json", kKey}))["kvs"][0].value("version", 0);
    };
    EXPECT_TRUE(wait_until([&] { return version() == 2; })) << node.describe();
    EXPECT_NE(lease_of_key(etcd), 0);
}

TEST(Keep, RequestsThatCannotHaveALeaseAreRefused) {
    ASSERT_ETCD(etcd, );
    ASSERT_TRUE(etcd.put(kConfigKey, kConfig));
    Node nameless(options_for(etcd), "0.0.0.0");
    nameless.join();
    EXPECT_TRUE(nameless.wait_for("lost a lease needs a PublicIP")) << nameless.describe();
    EXPECT_TRUE(etcd.get_prefix(kSubnets)->empty());
}

} // namespace
} // namespace weft::test

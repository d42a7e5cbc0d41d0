// SPDX-License-Identifier: Apache-2.0
// Leases of both families and of IPv6 alone, and the ways from one to the other.
#include <algorithm>
#include <set>

#include "node.hpp"

namespace weft::test {
namespace {

using ::testing::AllOf;
using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::Not;

constexpr const char *kBoth = "192.0.2.1 2001:db8::1", *kFlannel = "192.0.2.9";

std::vector<std::string> keys(EtcdServer &etcd) {
    std::vector<std::string> names;
    const auto all = etcd.get_prefix(kSubnets);
    for (const auto &[name, value] : *all) names.push_back(name.substr(std::string_view(kSubnets).size()));
    return names;
}

/// Every state that the store went through since revision 1, as the keys of one node then.
std::vector<std::size_t> key_counts(EtcdServer &etcd, const std::string &node) {
    std::vector<std::size_t> counts;
    const auto now = nlohmann::json::parse(*etcd.ctl({"get", "--write-out=json", "x"}))["header"]["revision"];
    for (int revision = 2; revision <= now.get<int>(); ++revision) {
        const auto text = *etcd.ctl({"get", "--prefix", kSubnets, "--rev=" + std::to_string(revision)});
        std::size_t count = 0;
        for (auto at = text.find(node); at != std::string::npos; at = text.find(node, at + 1)) ++count;
        counts.push_back(count);
    }
    return counts;
}

TEST(DualStack, KeyAndValueOfBothFamilies) {
    ASSERT_ETCD(etcd, );
    ASSERT_TRUE(etcd.put(kConfigKey, R"({"Network":"10.5.0.0/28","EnableIPv6":true,"IPv6Network":"fd00::/126"})"));
    Node node(options_for(etcd), kBoth);
    node.join();
    ASSERT_TRUE(node.wait_for("IPv6Network is too small")) << node.describe();
    ASSERT_TRUE(etcd.put(kConfigKey, R"({"Network":"10.5.0.0/28","SubnetMin":"10.5.0.12","EnableIPv6":true,
                                         "IPv6Network":"fd00::/48","IPv6SubnetMax":"fd00:0:0:1::"})"));
    ASSERT_TRUE(node.wait_own()) << node.describe();
    EXPECT_EQ(**etcd.get(key("10.5.0.12-30&fd00:0:0:1::-64")),
              R"({"PublicIP":"192.0.2.1","PublicIPv6":"2001:db8::1","BackendType":"vxlan",)"
              R"("BackendData":{"VNI":1,"VtepMAC":"02:77:c0:00:02:01"},)"
              R"("BackendV6Data":{"VNI":1,"VtepMAC":"02:77:c0:00:02:01","ZeroCsum6":true}})");
}

// Flannel reads a nil address, and ends.
TEST(DualStack, NoBackendV6DataWithoutPublicIpv6) {
    ASSERT_ETCD(etcd, );
    ASSERT_TRUE(etcd.put(kConfigKey, kDualConfig));
    Node node(options_for(etcd), "192.0.2.1");
    node.join(*parse_subnet_key("10.5.7.0-24&fd00:0:0:7::-64"));
    ASSERT_TRUE(node.wait_own()) << node.describe();
    EXPECT_EQ(**etcd.get(key("10.5.7.0-24&fd00:0:0:7::-64")), vxlan_value("192.0.2.1"));
}

TEST(DualStack, NodesThatStartTogetherShareNoHalf) {
    ASSERT_ETCD(etcd, );
    // Three IPv4 subnets, three IPv6 ones.
    ASSERT_TRUE(etcd.put(kConfigKey, R"({"Network":"10.5.0.0/28","EnableIPv6":true,"IPv6Network":"fd00::/124"})"));
    std::vector<std::unique_ptr<Node>> nodes;
    for (const char *addresses : {"192.0.2.1 2001:db8::1", "192.0.2.2 2001:db8::2", "192.0.2.3 2001:db8::3"})
        nodes.push_back(std::make_unique<Node>(options_for(etcd), addresses));
    for (auto &node : nodes) node->join();
    std::set<Net> parts;
    for (auto &node : nodes) ASSERT_TRUE(node->wait_own()) << node->describe();
    for (const auto &name : keys(etcd))
        for (const auto &net : parse_subnet_key(name)->nets()) parts.insert(net);
    EXPECT_EQ(parts.size(), 6u);
}

TEST(DualStack, SwitchedOnAndOffAgainKeepsTheIpv4Subnet) {
    ASSERT_ETCD(etcd, );
    ASSERT_TRUE(etcd.put_with_ttl(key("10.5.7.0-24"), vxlan_value("192.0.2.1"), 600));
    ASSERT_TRUE(etcd.put(kConfigKey, kDualConfig));
    Node other(options_for(etcd), "192.0.2.2 2001:db8::2");
    {
        Node node(options_for(etcd), kBoth);
        node.join();
        ASSERT_TRUE(node.wait_own()) << node.describe();
        EXPECT_THAT(*node.own(), HasSubstr("10.5.7.0/24 fd00:"));
        EXPECT_EQ(keys(etcd).size(), 1u) << "the IPv4-only key was left behind";
        other.join();
        ASSERT_TRUE(other.wait_peers({{*node.own(), "192.0.2.1"}})) << other.describe();
        node.stop();
    }
    ASSERT_TRUE(etcd.put(kConfigKey, kConfig));
    Node again(options_for(etcd), "192.0.2.1");
    again.join();
    ASSERT_TRUE(again.wait_own()) << again.describe();
    EXPECT_EQ(*again.own(), "10.5.7.0/24");
    EXPECT_TRUE(other.wait_peers({{"10.5.7.0/24", "192.0.2.1"}})) << other.describe();
    // A flannel that saw the new key first would remove the routes with the old one.
    const auto log = other.log();
    EXPECT_LT(std::ranges::find_if(log, [](const auto &event) { return event.starts_with("removed 10.5.7.0/24 "); }),
              std::ranges::find(log, "put 10.5.7.0/24"));
    const auto counts = key_counts(etcd, "192.0.2.1");
    EXPECT_GE(counts.size(), 4u);
    EXPECT_THAT(counts, Each(1u)) << "two keys of one node, or none, were to be seen";
}

TEST(DualStack, HeldBackBesideAnIpv4OnlyFlannelAndReleasedWhenItIsGone) {
    ASSERT_ETCD(etcd, );
    ASSERT_TRUE(etcd.put(kConfigKey, kDualConfig));
    ASSERT_TRUE(etcd.put_with_ttl(key("10.5.99.0-24"), vxlan_value(kFlannel), 600));
    Node one(options_for(etcd), kBoth), two(options_for(etcd), "192.0.2.2 2001:db8::2");
    one.join(*parse_subnet_key("10.5.1.0-24"));
    two.join(*parse_subnet_key("10.5.2.0-24"));
    for (auto *node : {&one, &two}) {
        ASSERT_TRUE(node->wait_own()) << node->describe();
        EXPECT_TRUE(node->wait_for("without IPv6 until the daemons of 192.0.2.9 are restarted")) << node->describe();
    }
    EXPECT_EQ(*one.own(), "10.5.1.0/24");
    EXPECT_EQ(*two.own(), "10.5.2.0/24");
    ASSERT_TRUE(one.wait_peers({{"10.5.2.0/24", "192.0.2.2"}, {"10.5.99.0/24", "192.0.2.9"}})) << one.describe();
    EXPECT_THAT(**etcd.get(key("10.5.1.0-24")), HasSubstr(R"("AwaitsIPv6":true})"));
    EXPECT_THAT(keys(etcd), Each(Not(HasSubstr("&"))));

    ASSERT_TRUE(etcd.del(key("10.5.99.0-24")));
    ASSERT_TRUE(one.wait_for("acquired 10.5.1.0/24 fd00:")) << one.describe();
    ASSERT_TRUE(two.wait_for("acquired 10.5.2.0/24 fd00:")) << two.describe();
    EXPECT_THAT(keys(etcd), Each(HasSubstr("&fd00:")));
    EXPECT_EQ(keys(etcd).size(), 2u);
    EXPECT_TRUE(one.wait_peers({{*two.own(), "192.0.2.2"}})) << one.describe();
    EXPECT_THAT(**etcd.get(key(keys(etcd).front())), Not(HasSubstr("AwaitsIPv6")));
    EXPECT_EQ(one.count("without IPv6"), 1u) << one.describe();
    EXPECT_EQ(one.count("lost"), 0u);
    // The key that came later is looked after as well.
    ASSERT_TRUE(etcd.del(key(format_subnet_key(
        {parse_net4("10.5.1.0/24").value(), parse_net6(one.own()->substr(one.own()->find(' ') + 1)).value()}))));
    EXPECT_TRUE(one.wait_for("acquired " + *one.own(), 2)) << one.describe();
}

// weft takes the place of the flannel on that node, and finds the same lease.
TEST(DualStack, TheLastFlannelReplacedReleasesEverybody) {
    ASSERT_ETCD(etcd, );
    ASSERT_TRUE(etcd.put(kConfigKey, kDualConfig));
    ASSERT_TRUE(etcd.put_with_ttl(key("10.5.99.0-24"), vxlan_value(kFlannel), 600));
    Node one(options_for(etcd), kBoth);
    one.join();
    ASSERT_TRUE(one.wait_for("without IPv6")) << one.describe();
    Node replacing(options_for(etcd), "192.0.2.9 2001:db8::9");
    replacing.join();
    ASSERT_TRUE(replacing.wait_for("acquired 10.5.99.0/24 fd00:")) << replacing.describe();
    EXPECT_TRUE(one.wait_for(" fd00:")) << one.describe();
    EXPECT_TRUE(wait_until([&] { return one.own()->find("fd00:") != std::string::npos; })) << one.describe();
}

TEST(DualStack, AReservationOfBothPartsIsUsedWhenTheTimeComes) {
    ASSERT_ETCD(etcd, );
    ASSERT_TRUE(etcd.put(kConfigKey, kDualConfig));
    const auto reserved = key("10.5.50.0-24&fd00:0:0:50::-64");
    ASSERT_TRUE(etcd.put(reserved, R"({"PublicIP":"192.0.2.1"})"));
    ASSERT_TRUE(etcd.put_with_ttl(key("10.5.99.0-24"), vxlan_value(kFlannel), 600));
    Node node(options_for(etcd), kBoth);
    node.join();
    ASSERT_TRUE(node.wait_own()) << node.describe();
    EXPECT_EQ(*node.own(), "10.5.50.0/24");
    EXPECT_EQ(**etcd.get(reserved), R"({"PublicIP":"192.0.2.1"})") << "published while a flannel could see it";
    ASSERT_TRUE(node.wait_for("snapshot"));
    ASSERT_TRUE(etcd.del(key("10.5.99.0-24")));
    ASSERT_TRUE(node.wait_for("acquired 10.5.50.0/24 fd00:0:0:50::/64")) << node.describe();
    EXPECT_THAT(keys(etcd), testing::ElementsAre("10.5.50.0-24&fd00:0:0:50::-64"));
    const auto reply = nlohmann::json::parse(*etcd.ctl({"get", "--write-out=json", reserved}));
    EXPECT_FALSE(reply["kvs"][0].contains("lease")) << "it is no reservation any more";
}

TEST(Ipv6Only, NodesHaveLeasesOfTheirOwn) {
    ASSERT_ETCD(etcd, );
    ASSERT_TRUE(etcd.put(kConfigKey, kIpv6Config));
    Node one(options_for(etcd), "2001:db8::1"), two(options_for(etcd), "2001:db8::2");
    one.join();
    ASSERT_TRUE(one.wait_own()) << one.describe();
    two.join();
    ASSERT_TRUE(two.wait_own()) << two.describe();
    EXPECT_NE(*one.own(), *two.own());
    EXPECT_TRUE(one.wait_peers({{*two.own(), "2001:db8::2"}})) << one.describe();
    EXPECT_TRUE(two.wait_peers({{*one.own(), "2001:db8::1"}})) << two.describe();
    EXPECT_THAT(keys(etcd), Each(AllOf(HasSubstr("0.0.0.0-0&fd00:0:0:"), HasSubstr("::-64"))));
    EXPECT_EQ(etcd.get_prefix(kSubnets)->begin()->second.find("AwaitsIPv6"), std::string::npos);
    const auto held = *one.own();
    one.stop();
    Node again(options_for(etcd), "2001:db8::1");
    again.join();
    ASSERT_TRUE(again.wait_own()) << again.describe();
    EXPECT_EQ(*again.own(), held);
    EXPECT_TRUE(again.wait_peers({{*two.own(), "2001:db8::2"}})) << again.describe();
}

// BackendData of such a lease would send an IPv4 flannel's 0.0.0.0/0 there.
TEST(Ipv6Only, NoBackendDataWithoutAnIpv4Subnet) {
    ASSERT_ETCD(etcd, );
    ASSERT_TRUE(etcd.put(kConfigKey, kIpv6Config));
    Node node(options_for(etcd), kBoth);
    node.join(*parse_subnet_key("0.0.0.0-0&fd00:0:0:7::-64"));
    ASSERT_TRUE(node.wait_own()) << node.describe();
    const auto value = parse_lease_value(**etcd.get(key("0.0.0.0-0&fd00:0:0:7::-64")));
    ASSERT_TRUE(value);
    EXPECT_TRUE(value->backend_data.is_null());
    EXPECT_EQ(value->backend_v6_data.to_json()["ZeroCsum6"], true);
}

} // namespace
} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
// When the reconciler looks at firewall rules, and which ones it wants.
#include "reconcile_fixture.hpp"

namespace weft {
namespace {

using namespace std::chrono_literals;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

class ReconcileRulesTest : public ReconcileTest {
protected:
    Reconciler masquerading{kernel, log, {.masquerade = true, .forward_rules = true}};
    NetConf conf;

    void SetUp() override {
        masquerading.set_uplink(uplink());
        conf.network = net4("10.244.0.0/16");
        masquerading.set_config(conf, {});
        masquerading.set_own(subnet("10.244.3.0/24"));
    }
};

TEST_F(ReconcileRulesTest, FollowTheSubnetAndComeBack) {
    masquerading.apply(start);
    const FirewallConfig wanted{.ipv4 = PodPrefixes{net4("10.244.0.0/16"), net4("10.244.3.0/24")},
                                .masquerade = true,
                                .random_ports = true,
                                .forward = true,
                                .guard = SocketGuard{.port = 8472, .links = {2}, .addresses = {ip("192.168.1.5")}}};
    EXPECT_EQ(kernel.rules, wanted);
    masquerading.set_own(subnet("10.244.4.0/24"));
    masquerading.apply(start);
    EXPECT_EQ(kernel.rules.ipv4->subnet, net4("10.244.4.0/24"));
    kernel.rules = {};
    masquerading.check_rules();
    masquerading.apply(start);
    EXPECT_TRUE(kernel.rules.masquerade);
    EXPECT_THAT(said.str(), HasSubstr("again, somebody had changed them"));
    configure();
    acquire();
    apply();
    EXPECT_TRUE(kernel.rules.wants_nothing()) << "without the flags what an earlier run left goes";
}

TEST_F(ReconcileRulesTest, EachFamilyThatTheNodeHasGetsThem) {
    conf.enable_ipv6 = true;
    conf.ipv6_network = *parse_net6("fd00:244::/48");
    masquerading.set_config(conf, {});
    masquerading.apply(start);
    EXPECT_FALSE(kernel.rules.ipv6) << "the lease has no IPv6 part yet";
    masquerading.set_own({net4("10.244.3.0/24"), *parse_net6("fd00:244:0:3::/64")});
    masquerading.apply(start);
    const PodPrefixes wanted{*parse_net("fd00:244::/48"), *parse_net("fd00:244:0:3::/64")};
    EXPECT_EQ(kernel.rules.ipv6, wanted);
    EXPECT_TRUE(kernel.rules.ipv4);
}

TEST_F(ReconcileRulesTest, ARefusalHasABackOffOfItsOwn) {
    kernel.refuses = {"rules"};
    masquerading.apply(start);
    EXPECT_TRUE(masquerading.failures().contains("firewall rules"));
    EXPECT_TRUE(kernel.config.has_value()) << "the programs do not wait for rules";
    for (int i = 1; i < 10; ++i) {
        masquerading.check_rules();
        masquerading.apply(start + i * 50ms);
    }
    EXPECT_EQ(kernel.rule_checks, 1) << "a change of rules is no reason to try sooner";
    kernel.refuses.clear();
    masquerading.apply(start + 1s);
    EXPECT_TRUE(kernel.rules.masquerade);
    EXPECT_TRUE(masquerading.failures().empty());
}

TEST_F(ReconcileRulesTest, ARefusalIsTriedAgainAlsoWhereTheOldOnesAreWantedAgain) {
    masquerading.apply(start);
    kernel.refuses = {"rules"};
    masquerading.set_own(subnet("10.244.4.0/24"));
    masquerading.apply(start + 1s);
    kernel.refuses.clear();
    masquerading.set_own(subnet("10.244.3.0/24"));
    EXPECT_FALSE(masquerading.apply(start + 2s)) << "nothing is left to try";
    EXPECT_THAT(masquerading.failures(), IsEmpty());
    EXPECT_EQ(kernel.rule_checks, 3);
}

TEST_F(ReconcileRulesTest, TheConfigurationCanAskForNftablesWhereNoFlagDecides) {
    conf.enable_nftables = true;
    masquerading.set_config(conf, {});
    masquerading.apply(start);
    EXPECT_EQ(kernel.choice, FirewallChoice::nftables);
    Reconciler told(kernel, log, {.masquerade = true, .firewall = FirewallChoice::iptables});
    told.set_uplink(uplink());
    told.set_config(conf, {});
    told.set_own(subnet("10.244.3.0/24"));
    told.apply(start);
    EXPECT_EQ(kernel.choice, FirewallChoice::iptables);
}

TEST_F(ReconcileRulesTest, AComplaintIsSaidOnce) {
    kernel.complaint = "iptables is not installed";
    for (int i = 0; i < 3; ++i) {
        masquerading.check_rules();
        masquerading.apply(start + i * 1s);
    }
    const auto text = said.str();
    const auto first = text.find(kernel.complaint);
    EXPECT_NE(first, text.npos);
    EXPECT_EQ(first, text.rfind(kernel.complaint));
}

} // namespace
} // namespace weft

// SPDX-License-Identifier: Apache-2.0
// weft's firewall rules word by word in each rule system, and which system is chosen.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h> // before the kernel's own idea of it

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "firewall/host_rules.hpp"
#include "firewall/iptables.hpp"
#include "firewall/monitor.hpp"
#include "firewall/nftables.hpp"
#include "firewall/socket_guard.hpp"

namespace weft {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using enum RuleFamily;

FirewallConfig everything() {
    return {.ipv4 = PodPrefixes{*parse_net("10.244.0.0/16"), *parse_net("10.244.3.0/24")},
            .ipv6 = PodPrefixes{*parse_net("fd00:10::/48"), *parse_net("fd00:10:0:5::/64")},
            .masquerade = true,
            .random_ports = true,
            .forward = true};
}

TEST(FirewallRules, NftablesTableIsFlannelsRulesInFlannelsOrder) {
    EXPECT_EQ(nft_script(everything(), ipv4), R"(add table ip weft
delete table ip weft
table ip weft {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    meta mark & 0x4000 == 0x4000 return
    ip saddr 10.244.3.0/24 ip daddr 10.244.0.0/16 return
    ip saddr 10.244.0.0/16 ip daddr 10.244.3.0/24 return
    ip saddr != 10.244.0.0/16 ip daddr 10.244.3.0/24 return
    ip saddr 10.244.0.0/16 ip daddr != 224.0.0.0/4 masquerade fully-random
    ip saddr != 10.244.0.0/16 ip daddr 10.244.0.0/16 masquerade fully-random
  }
}
)");
}

TEST(FirewallRules, IptablesChainsAreFlannelsRulesInFlannelsOrder) {
    EXPECT_THAT(
        iptables_rules(kMasqueradePlace, everything(), ipv4),
        ElementsAre(
            R"(-A WEFT-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "weft masq" -j RETURN)",
            R"(-A WEFT-POSTRTG -s 10.244.3.0/24 -d 10.244.0.0/16 -m comment --comment "weft masq" -j RETURN)",
            R"(-A WEFT-POSTRTG -s 10.244.0.0/16 -d 10.244.3.0/24 -m comment --comment "weft masq" -j RETURN)",
            R"(-A WEFT-POSTRTG ! -s 10.244.0.0/16 -d 10.244.3.0/24 -m comment --comment "weft masq" -j RETURN)",
            R"(-A WEFT-POSTRTG -s 10.244.0.0/16 ! -d 224.0.0.0/4 -m comment --comment "weft masq" -j MASQUERADE --random-fully)",
            R"(-A WEFT-POSTRTG ! -s 10.244.0.0/16 -d 10.244.0.0/16 -m comment --comment "weft masq" -j MASQUERADE --random-fully)"));
    EXPECT_THAT(iptables_rules(kForwardPlace, everything(), ipv4),
                ElementsAre(R"(-A WEFT-FWD -s 10.244.0.0/16 -m comment --comment "weft forward" -j ACCEPT)",
                            R"(-A WEFT-FWD -d 10.244.0.0/16 -m comment --comment "weft forward" -j ACCEPT)"));
}

TEST(FirewallRules, Ipv6HasTheSameInItsOwnTables) {
    EXPECT_EQ(nft_script(everything(), ipv6), R"(add table ip6 weft
delete table ip6 weft
table ip6 weft {
  chain postrouting {
    type nat hook postrouting priority srcnat; policy accept;
    meta mark & 0x4000 == 0x4000 return
    ip6 saddr fd00:10:0:5::/64 ip6 daddr fd00:10::/48 return
    ip6 saddr fd00:10::/48 ip6 daddr fd00:10:0:5::/64 return
    ip6 saddr != fd00:10::/48 ip6 daddr fd00:10:0:5::/64 return
    ip6 saddr fd00:10::/48 ip6 daddr != ff00::/8 masquerade fully-random
    ip6 saddr != fd00:10::/48 ip6 daddr fd00:10::/48 masquerade fully-random
  }
}
)");
    const auto rules = iptables_rules(kMasqueradePlace, everything(), ipv6);
    ASSERT_EQ(rules.size(), 6U);
    EXPECT_EQ(
        rules[4],
        R"(-A WEFT-POSTRTG -s fd00:10::/48 ! -d ff00::/8 -m comment --comment "weft masq" -j MASQUERADE --random-fully)");
    EXPECT_THAT(iptables_rules(kForwardPlace, everything(), ipv6),
                ElementsAre(R"(-A WEFT-FWD -s fd00:10::/48 -m comment --comment "weft forward" -j ACCEPT)",
                            R"(-A WEFT-FWD -d fd00:10::/48 -m comment --comment "weft forward" -j ACCEPT)"));
    auto config = everything();
    config.ipv6.reset();
    EXPECT_EQ(nft_script(config, ipv6), "add table ip6 weft\ndelete table ip6 weft\n");
    EXPECT_THAT(iptables_rules(kForwardPlace, config, ipv6), IsEmpty());
}

TEST(FirewallRules, RandomPortsAreLeftOutWhereNotWantedOrNotKnown) {
    auto config = everything();
    EXPECT_THAT(iptables_rules(kMasqueradePlace, config, ipv4, false), Not(::testing::Contains(HasSubstr("random"))));
    config.random_ports = false;
    EXPECT_THAT(nft_script(config, ipv4), Not(HasSubstr("random")));
    EXPECT_THAT(nft_script(config, ipv4), HasSubstr("ip daddr != 224.0.0.0/4 masquerade\n"));
    EXPECT_THAT(iptables_rules(kMasqueradePlace, config, ipv4), Not(::testing::Contains(HasSubstr("random"))));
}

TEST(FirewallRules, HostBitsOfTheSubnetAreNoPartOfIt) {
    auto config = everything();
    config.ipv4->subnet = *parse_net("10.244.3.1/24");
    EXPECT_EQ(nft_script(config, ipv4), nft_script(everything(), ipv4));
    EXPECT_EQ(iptables_rules(kMasqueradePlace, config, ipv4), iptables_rules(kMasqueradePlace, everything(), ipv4));
}

TEST(FirewallRules, WithoutMasqueradeOnlyTheForwardRulesAreThere) {
    auto config = everything();
    config.masquerade = false;
    EXPECT_EQ(nft_script(config, ipv4), "add table ip weft\ndelete table ip weft\n");
    EXPECT_THAT(iptables_rules(kMasqueradePlace, config, ipv4), IsEmpty());
    EXPECT_EQ(iptables_rules(kForwardPlace, config, ipv4).size(), 2U);
    EXPECT_FALSE(config.wants_nothing());
    config.forward = false;
    EXPECT_THAT(iptables_rules(kForwardPlace, config, ipv4), IsEmpty());
    EXPECT_TRUE(config.wants_nothing());
}

TEST(IptablesPayload, MakesChainRulesAndJumpInOneTransaction) {
    EXPECT_EQ(iptables_payload(kForwardPlace, iptables_rules(kForwardPlace, everything(), ipv4), {}), R"(*filter
:WEFT-FWD - [0:0]
-A WEFT-FWD -s 10.244.0.0/16 -m comment --comment "weft forward" -j ACCEPT
-A WEFT-FWD -d 10.244.0.0/16 -m comment --comment "weft forward" -j ACCEPT
-A FORWARD -m comment --comment "weft forward" -j WEFT-FWD
COMMIT
)");
}

TEST(IptablesPayload, AJumpThatIsThereStaysWhereItIs) {
    const IptablesFound found{.chain = true, .rules = {}, .jumps = {"-A FORWARD -i eth1 -j WEFT-FWD"}};
    const auto payload = iptables_payload(kForwardPlace, {"-A WEFT-FWD -j ACCEPT"}, found);
    EXPECT_EQ(payload, "*filter\n:WEFT-FWD - [0:0]\n-A WEFT-FWD -j ACCEPT\nCOMMIT\n");
}

TEST(IptablesPayload, RemovalTakesEveryJumpBeforeTheChain) {
    const IptablesFound found{.chain = true,
                              .rules = {"-A WEFT-FWD -j ACCEPT"},
                              .jumps = {"-A FORWARD -j WEFT-FWD", "-A FORWARD -j WEFT-FWD"}};
    EXPECT_EQ(iptables_payload(kForwardPlace, {}, found),
              "*filter\n-D FORWARD -j WEFT-FWD\n-D FORWARD -j WEFT-FWD\n-F WEFT-FWD\n-X WEFT-FWD\nCOMMIT\n");
    EXPECT_EQ(iptables_payload(kForwardPlace, {}, {}), "");
}

TEST(IptablesVersion, TellsTheKindAndWhatItKnows) {
    using enum RuleSystem;
    const std::tuple<const char *, RuleSystem, bool> table[] = {
        {"iptables v1.8.9 (nf_tables)\n", iptables_nft, true}, {"iptables v1.8.9 (legacy)\n", iptables_legacy, true},
        {"iptables v1.8.10 (nf_tables)", iptables_nft, true},  {"iptables v1.6.2", iptables_legacy, true},
        {"iptables v1.6.1", iptables_legacy, false},           {"iptables v1.4.21\n", iptables_legacy, false},
        {"iptables v2.0 (nf_tables)", iptables_nft, true},     {"ip6tables v1.8.9 (nf_tables)\n", iptables_nft, true},
    };
    for (const auto &[text, system, recent] : table)
        EXPECT_EQ(parse_iptables_version(text), std::pair(system, recent)) << text;
    EXPECT_FALSE(parse_iptables_version("command not found"));
    EXPECT_FALSE(parse_iptables_version(""));
}

TEST(RuleSystemChoice, FollowsTheHost) {
    using enum RuleSystem;
    constexpr auto automatic = FirewallChoice::automatic, iptables = FirewallChoice::iptables;
    struct Case {
        const char *what;
        FirewallChoice choice;
        IptablesUse use;
        std::optional<RuleSystem> in_use, installed;
        RuleSystem expected;
    };
    const Case table[] = {
        {"an empty host", automatic, {}, {}, iptables_nft, nftables},
        {"iptables-nft's tables", automatic, {.nft = true}, {}, {}, iptables_nft},
        {"Docker comes after us", automatic, {.nft = true}, nftables, {}, iptables_nft},
        {"legacy tables with rules", automatic, {.legacy = true}, {}, {}, iptables_legacy},
        {"both, more in legacy", automatic, {true, true, 2, 9}, {}, {}, iptables_legacy},
        {"both, as many in either", automatic, {true, true, 2, 2}, {}, {}, iptables_nft},
        {"both, and we are somewhere", automatic, {true, true, 2, 9}, iptables_nft, {}, iptables_nft},
        {"both, and we are in nftables", automatic, {true, true, 2, 9}, nftables, {}, iptables_legacy},
        {"iptables' rules went away", automatic, {}, iptables_nft, {}, nftables},
        {"told nftables", FirewallChoice::nftables, {true, true, 5, 5}, iptables_nft, {}, nftables},
        {"told iptables, none in use", iptables, {}, {}, iptables_legacy, iptables_legacy},
        {"told iptables, none installed", iptables, {}, {}, {}, nftables},
        {"told iptables, one in use", iptables, {.legacy = true}, {}, iptables_nft, iptables_legacy},
    };
    for (const auto &c : table)
        EXPECT_EQ(choose_rule_system(c.choice, c.use, c.in_use, c.installed), c.expected) << c.what;
}

TEST(RuleChanges, OnlyWhatCanTouchOursIsAReasonToLook) {
    struct Case {
        bool concerns;
        std::uint8_t message, family;
        const char *table, *chain;
    };
    const Case table[] = {
        {true, NFT_MSG_DELTABLE, NFPROTO_IPV4, "weft", ""},
        {true, NFT_MSG_DELRULE, NFPROTO_IPV4, "weft", "postrouting"},
        {true, NFT_MSG_DELTABLE, NFPROTO_IPV4, "nat", ""},
        {true, NFT_MSG_NEWTABLE, NFPROTO_IPV4, "filter", ""},
        {true, NFT_MSG_DELRULE, NFPROTO_IPV4, "nat", "POSTROUTING"},
        {true, NFT_MSG_DELCHAIN, NFPROTO_IPV4, "filter", "WEFT-FWD"},
        {true, NFT_MSG_NEWRULE, NFPROTO_IPV4, "nat", "WEFT-POSTRTG"},
        {true, NFT_MSG_NEWCHAIN, NFPROTO_IPV4, "filter", "FORWARD"},
        {false, NFT_MSG_NEWRULE, NFPROTO_IPV4, "filter", "FORWARD"},
        {false, NFT_MSG_NEWRULE, NFPROTO_IPV4, "nat", "KUBE-SVC-ABCDEF"},
        {false, NFT_MSG_DELRULE, NFPROTO_IPV4, "nat", "KUBE-SEP-ABCDEF"},
        {false, NFT_MSG_DELCHAIN, NFPROTO_IPV4, "nat", "KUBE-SEP-ABCDEF"},
        {true, NFT_MSG_DELTABLE, NFPROTO_IPV6, "nat", ""},
        {true, NFT_MSG_DELTABLE, NFPROTO_INET, "weft", ""},
        {false, NFT_MSG_DELTABLE, NFPROTO_INET, "others", ""},
        {false, NFT_MSG_DELTABLE, NFPROTO_IPV4, "others", ""},
    };
    for (const auto &c : table)
        EXPECT_EQ(concerns_weft({c.message, c.family, c.table, c.chain}), c.concerns)
            << int(c.message) << " " << c.table << " " << c.chain;
}

TEST(SocketGuard, LetsInWhatComesFromItsLinksToItsAddresses) {
    const SocketGuard guard{
        .port = 8472, .links = {2, 5}, .addresses = {*parse_ip("192.0.2.1"), *parse_ip("2001:db8::1")}};
    EXPECT_EQ(guard_script(guard), "add table inet weft\n"
                                   "delete table inet weft\n"
                                   "table inet weft {\n"
                                   "  chain input {\n"
                                   "    type filter hook input priority -310; policy accept;\n"
                                   "    meta iif != { 2, 5 } udp dport 8472 counter drop\n"
                                   "    ip daddr != { 192.0.2.1 } udp dport 8472 counter drop\n"
                                   "    ip6 daddr != { 2001:db8::1 } udp dport 8472 counter drop\n"
                                   "  }\n"
                                   "}\n");
}

TEST(SocketGuard, AFamilyWithoutAnAddressIsShutAndCountingDropsNothing) {
    const auto script =
        guard_script(SocketGuard{.port = 4789, .links = {2}, .addresses = {*parse_ip("192.0.2.1")}, .drop = false});
    EXPECT_THAT(script, HasSubstr("meta nfproto ipv6 udp dport 4789 counter\n"));
    EXPECT_THAT(script, Not(HasSubstr("drop")));
}

TEST(SocketGuard, WithoutOneTheTableGoes) {
    EXPECT_EQ(guard_script(std::nullopt), "add table inet weft\ndelete table inet weft\n");
}

} // namespace
} // namespace weft

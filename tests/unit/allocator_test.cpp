// SPDX-License-Identifier: Apache-2.0
#include "lease/allocator.hpp"

#include <fmt/format.h>
#include <gmock/gmock.h>

#include <set>

namespace weft {
namespace {

using ::testing::HasSubstr;

LeaseAttrs attrs(std::string_view node) {
    const auto ip = *parse_ip(node);
    LeaseAttrs attrs{.public_ip = ip.is_v4() ? ip.to_v4() : Ip4(), .backend_type = "vxlan"};
    if (ip.is_v6()) attrs.public_ipv6 = ip.to_v6();
    return attrs;
}
const LeaseAttrs kMe = attrs("192.0.2.1"), kOther = attrs("192.0.2.2");

NetConf conf(std::string_view rest = "", std::string_view network = "10.5.0.0/16") {
    const auto parsed = parse_net_conf(R"({"Network":")" + std::string(network) + "\"" + std::string(rest) + "}");
    EXPECT_TRUE(parsed && validate(*parsed));
    return *parsed;
}
NetConf dual() { return conf(R"(,"EnableIPv6":true,"IPv6Network":"fd00::/48")"); }
NetConf ipv6_only(std::string_view network = "fd00::/48") {
    return conf(R"(,"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":")" + std::string(network) + "\"");
}

ListedLease lease(std::string_view key, const LeaseAttrs &holder = kOther) { return {*parse_subnet_key(key), holder}; }
ListedLease reservation(std::string_view key, const LeaseAttrs &holder = kMe) {
    auto unused = holder;
    unused.backend_type.clear();
    return {*parse_subnet_key(key), unused, true};
}
Subnet subnet(std::string_view key) { return *parse_subnet_key(key); }

const Pick kFirst = [](std::size_t) -> std::size_t { return 0; };
const Pick kLast = [](std::size_t n) { return n - 1; };

/// "KEY", "reservation KEY", each with "for OLD OLD" behind it; or the error's sentence.
std::string text(const Result<Plan> &plan) {
    if (!plan) return plan.error().sentence();
    std::string text = (plan->reservation ? "reservation " : "") + format_subnet_key(plan->subnet);
    if (!plan->give_up.empty()) text += " for";
    for (const auto &old : plan->give_up) text += " " + format_subnet_key(old);
    return text;
}

using Leases = std::vector<ListedLease>;
std::string planned(const Leases &leases, const NetConf &conf, const std::optional<Subnet> &previous = {},
                    const Pick &pick = kFirst) {
    return text(plan_lease(leases, conf, {.self = kMe, .previous = previous}, pick));
}
std::string held(const Leases &leases, const NetConf &conf, std::string_view hold) {
    return text(plan_lease(leases, conf, {.self = kMe, .hold = subnet(hold)}, kFirst));
}

TEST(Allocator, ReclaimsTheLeaseThatNamesOurPublicIp) {
    const Leases leases = {lease("10.5.7.0-24"), lease("10.5.8.0-24", kMe), lease("10.5.9.0-24", kMe)};
    EXPECT_EQ(planned(leases, conf(), subnet("10.5.3.0-24")), "10.5.8.0-24");
}

TEST(Allocator, PrefersAReservationOfOurs) {
    EXPECT_EQ(planned({lease("10.5.8.0-24", kMe), reservation("10.5.9.0-24")}, conf()), "10.5.9.0-24");
}

TEST(Allocator, GivesUpOurLeaseOfAnotherConfigurationButNeverAReservation) {
    for (const char *key : {"10.5.8.0-25", "10.6.8.0-24", "10.5.0.0-24", "10.5.0.0-16"})
        EXPECT_EQ(planned({lease(key, kMe)}, conf()), "10.5.1.0-24 for " + std::string(key));
    EXPECT_EQ(planned({reservation("10.6.8.0-24")}, conf()), "10.5.1.0-24");
    EXPECT_EQ(planned({reservation("10.5.0.0-20")}, conf()), "10.5.16.0-24");
}

TEST(Allocator, ThenThePreviousSubnetIfItIsFreeAndFits) {
    const Leases leases = {lease("10.5.7.0-24"), lease("10.5.32.0-20")};
    EXPECT_EQ(planned(leases, conf(), subnet("10.5.3.0-24")), "10.5.3.0-24");
    EXPECT_EQ(planned(leases, conf(), subnet("10.5.3.0-24&fd00::-64")), "10.5.3.0-24");
    for (const char *previous : {"10.5.7.0-24", "10.5.33.0-24", "10.5.3.0-25", "10.9.3.0-24", "0.0.0.0-0&fd00::-64"})
        EXPECT_EQ(planned(leases, conf(), subnet(previous)), "10.5.1.0-24") << previous;
}

TEST(Allocator, WherePodsLiveNothingElseWillDo) {
    const auto with_pods = [](const Leases &leases) {
        const Wish wish{.self = kMe, .previous = subnet("10.5.3.0-24"), .has_pods = true};
        return text(plan_lease(leases, conf(), wish, kFirst));
    };
    EXPECT_EQ(with_pods({}), "10.5.3.0-24");
    EXPECT_EQ(with_pods({lease("10.5.2.0-24", kMe), lease("10.5.3.0-24", kMe)}), "10.5.3.0-24");
    EXPECT_EQ(with_pods({reservation("10.5.2.0-24"), lease("10.5.3.0-24", kMe)}), "10.5.3.0-24");
    EXPECT_EQ(with_pods({reservation("10.5.2.0-24")}), "10.5.2.0-24") << "nothing of ours is where they live";
    EXPECT_THAT(with_pods({lease("10.5.3.0-24")}), testing::HasSubstr("subnet 10.5.3.0/24 is taken"));
}

TEST(Allocator, AmongSeveralOfOursThePreviousOne) {
    const Leases leases = {lease("10.5.2.0-24", kMe), lease("10.5.3.0-24", kMe)};
    EXPECT_EQ(planned(leases, conf(), subnet("10.5.3.0-24")), "10.5.3.0-24");
    EXPECT_EQ(planned(leases, conf()), "10.5.2.0-24");
}

TEST(Allocator, RandomAmongTheFirstHundredFree) {
    std::size_t choices = 0;
    const Pick count = [&](std::size_t n) {
        choices = n;
        return n - 1;
    };
    EXPECT_EQ(planned({}, conf(), {}, count), "10.5.100.0-24");
    EXPECT_EQ(choices, 100u);
    const Leases leases = {lease("10.5.1.0-24"), lease("10.5.3.0-24")};
    EXPECT_EQ(planned(leases, conf()), "10.5.2.0-24");
    EXPECT_EQ(planned(leases, conf(), {}, kLast), "10.5.102.0-24");
}

TEST(Allocator, SkipsLeasesOfOtherLengthsAndOverlapsAmongThem) {
    const Leases leases = {lease("10.5.0.0-20"), lease("10.5.3.0-24"), lease("10.5.16.128-25"), lease("10.5.17.4-30")};
    EXPECT_EQ(planned(leases, conf()), "10.5.18.0-24");
    EXPECT_THAT(planned({lease("10.0.0.0-8")}, conf()), HasSubstr("out of subnets"));
    EXPECT_EQ(planned({lease("9.0.0.0-8"), lease("11.0.0.0-8")}, conf()), "10.5.1.0-24");
}

TEST(Allocator, UsesEverySubnetUpToAndIncludingSubnetMax) {
    Leases leases;
    std::set<std::string> given;
    for (int i = 0; i < 3; ++i) {
        given.insert(planned(leases, conf("", "10.5.0.0/28"), {}, kLast));
        leases.push_back(lease(planned(leases, conf("", "10.5.0.0/28"), {}, kLast)));
    }
    EXPECT_EQ(given, (std::set<std::string>{"10.5.0.4-30", "10.5.0.8-30", "10.5.0.12-30"}));
    const auto none = plan_lease(leases, conf("", "10.5.0.0/28"), {.self = kMe}, kLast);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().sentence(), "out of subnets: none of length 30 is free from 10.5.0.4 to 10.5.0.12");
    EXPECT_EQ(none.error().code(), ENOSPC);
}

TEST(Allocator, EndsAtTheTopOfTheAddressSpace) {
    const auto top = conf("", "255.255.0.0/16");
    EXPECT_EQ(planned({lease("255.255.0.0-17"), lease("255.255.128.0-18"), lease("255.255.192.0-19"),
                       lease("255.255.224.0-20"), lease("255.255.240.0-21"), lease("255.255.248.0-22"),
                       lease("255.255.252.0-23"), lease("255.255.254.0-24")},
                      top),
              "255.255.255.0-24");
    EXPECT_THAT(planned({lease("255.255.0.0-16")}, top), HasSubstr("out of subnets"));
    EXPECT_THAT(planned({lease("0.0.0.0-0&ff00::-8")}, ipv6_only("ffff::/16")), HasSubstr("out of subnets"));
}

TEST(Allocator, SubnetMinAboveSubnetMaxIsOutOfSubnets) {
    EXPECT_THAT(planned({}, conf(R"(,"SubnetMin":"10.5.9.0","SubnetMax":"10.5.7.0")")), HasSubstr("out of subnets"));
}

TEST(Allocator, GoesBackToTheSameSubnetOrNowhere) {
    EXPECT_EQ(held({lease("10.5.7.0-24")}, conf(), "10.5.8.0-24"), "10.5.8.0-24");
    EXPECT_EQ(held({lease("10.5.8.0-24", kMe)}, conf(), "10.5.8.0-24"), "10.5.8.0-24");
    EXPECT_EQ(held({reservation("10.5.9.0-24")}, conf(), "10.5.8.0-24"), "10.5.8.0-24") << "pods live there";
    EXPECT_EQ(held({lease("10.5.8.0-24")}, conf(), "10.5.8.0-24"),
              "subnet 10.5.8.0/24 is taken: 10.5.8.0/24 is leased to 192.0.2.2");
    EXPECT_EQ(held({lease("10.5.0.0-20")}, conf(), "10.5.8.0-24"),
              "subnet 10.5.8.0/24 is taken: 10.5.0.0/20 is leased to 192.0.2.2");
    EXPECT_EQ(held({lease("0.0.0.0-0&fd00::-62", attrs("2001:db8::2"))}, ipv6_only(), "0.0.0.0-0&fd00:0:0:2::-64"),
              "subnet fd00:0:0:2::/64 is taken: fd00::/62 is leased to 2001:db8::2");
}

TEST(DualStack, BothPartsAreChosenIndependently) {
    const Leases leases = {lease("10.5.1.0-24&fd00:0:0:4::-64"), lease("10.5.2.0-24&fd00:0:0:1::-64")};
    EXPECT_EQ(planned(leases, dual()), "10.5.3.0-24&fd00:0:0:2::-64");
    EXPECT_EQ(planned(leases, dual(), subnet("10.5.2.0-24&fd00:0:0:7::-64")), "10.5.3.0-24&fd00:0:0:7::-64");
    EXPECT_EQ(planned(leases, dual(), subnet("10.5.7.0-24")), "10.5.7.0-24&fd00:0:0:2::-64");
}

// Pods live in the part that stays.
TEST(DualStack, AFamilySwitchedOnOrOffLeavesTheOther) {
    EXPECT_EQ(planned({lease("10.5.7.0-24", kMe)}, dual()), "10.5.7.0-24&fd00:0:0:1::-64 for 10.5.7.0-24");
    EXPECT_EQ(planned({lease("10.5.7.0-24&fd00:0:0:9::-64", kMe)}, conf()),
              "10.5.7.0-24 for 10.5.7.0-24&fd00:0:0:9::-64");
    auto me = kMe;
    me.public_ipv6 = *parse_ip6("2001:db8::1");
    EXPECT_EQ(text(plan_lease(Leases{lease("10.5.7.0-24&fd00:0:0:9::-64", me)}, ipv6_only(),
                              {.self = attrs("2001:db8::1")}, kFirst)),
              "0.0.0.0-0&fd00:0:0:9::-64 for 10.5.7.0-24&fd00:0:0:9::-64");
    // One part of another configuration does not cost the other one.
    EXPECT_EQ(planned({lease("10.5.7.0-24&fd77::-64", kMe)}, dual()),
              "10.5.7.0-24&fd00:0:0:1::-64 for 10.5.7.0-24&fd77::-64");
}

TEST(DualStack, ReservationsStayReservations) {
    EXPECT_EQ(planned({reservation("10.5.7.0-24&fd00:0:0:9::-64")}, dual()), "10.5.7.0-24&fd00:0:0:9::-64");
    EXPECT_EQ(planned({lease("10.5.8.0-24&fd00:0:0:8::-64", kMe), reservation("10.5.7.0-24&fd00:0:0:9::-64")}, dual()),
              "10.5.7.0-24&fd00:0:0:9::-64");
    EXPECT_EQ(planned({reservation("10.5.7.0-24")}, dual()), "reservation 10.5.7.0-24&fd00:0:0:1::-64 for 10.5.7.0-24");
    EXPECT_EQ(planned({reservation("10.5.7.0-24&fd00:0:0:9::-64")}, conf()), "10.5.7.0-24");
    EXPECT_EQ(planned({reservation("0.0.0.0-0&fd00:0:0:9::-64")}, dual()),
              "reservation 10.5.1.0-24&fd00:0:0:9::-64 for 0.0.0.0-0&fd00:0:0:9::-64");
}

TEST(DualStack, WaitsForIpv4OnlyFlannels) {
    const Leases leases = {lease("10.5.2.0-24"), lease("10.5.7.0-24", kMe)};
    const auto plan = plan_lease(leases, dual(), {.self = kMe}, kFirst);
    EXPECT_EQ(text(plan), "10.5.7.0-24");
    EXPECT_THAT(plan->remark, HasSubstr("the daemons of 192.0.2.2 are restarted"));
    // What an operator reserved waits too, and is no key of ours before: flannel passes over a value without a backend.
    EXPECT_EQ(planned({lease("10.5.2.0-24"), reservation("10.5.7.0-24&fd00:0:0:9::-64")}, dual()), "10.5.7.0-24");
    EXPECT_EQ(planned({lease("10.5.7.0-24", kMe), reservation("10.5.7.0-24&fd00:0:0:9::-64")}, dual()),
              "10.5.7.0-24&fd00:0:0:9::-64 for 10.5.7.0-24");
    Leases many;
    for (int i = 2; i <= 9; ++i)
        many.push_back(lease(fmt::format("10.5.{}.0-24", i), attrs(fmt::format("192.0.2.{}", i))));
    EXPECT_THAT(plan_lease(many, dual(), {.self = kMe}, kFirst)->remark,
                HasSubstr("192.0.2.2, 192.0.2.3, 192.0.2.4 and 5 more"));
}

TEST(DualStack, WaitsForNobodyElse) {
    auto waiting = kOther;
    waiting.awaits_ipv6 = true;
    for (const auto &other : {lease("10.5.2.0-24", waiting), reservation("10.5.2.0-24", kOther),
                              lease("10.5.2.0-24&fd00:0:0:2::-64"), lease("0.0.0.0-0&fd00:0:0:2::-64")}) {
        const auto plan = plan_lease(Leases{other, lease("10.5.7.0-24", kMe)}, dual(), {.self = kMe}, kFirst);
        EXPECT_EQ(text(plan), "10.5.7.0-24&fd00:0:0:1::-64 for 10.5.7.0-24");
        EXPECT_EQ(plan->remark, "");
    }
    // Everybody has seen this key: taking it back saves nobody, and would cut off our pods.
    EXPECT_EQ(planned({lease("10.5.2.0-24"), lease("10.5.7.0-24&fd00:0:0:9::-64", kMe)}, dual()),
              "10.5.7.0-24&fd00:0:0:9::-64");
    EXPECT_EQ(held({lease("10.5.2.0-24")}, dual(), "10.5.7.0-24&fd00:0:0:9::-64"), "10.5.7.0-24&fd00:0:0:9::-64");
    EXPECT_EQ(planned({lease("10.5.2.0-24")}, conf()), "10.5.1.0-24");
}

TEST(Ipv6Only, NodesAreToldApartByPublicIpv6) {
    const Wish wish{.self = attrs("2001:db8::1")};
    const Leases leases = {lease("0.0.0.0-0&fd00:0:0:1::-64", attrs("2001:db8::2")),
                           lease("0.0.0.0-0&fd00:0:0:2::-64", attrs("2001:db8::1"))};
    EXPECT_EQ(text(plan_lease(leases, ipv6_only(), wish, kFirst)), "0.0.0.0-0&fd00:0:0:2::-64");
    EXPECT_EQ(text(plan_lease(Leases{leases[0]}, ipv6_only(), wish, kFirst)), "0.0.0.0-0&fd00:0:0:2::-64");
    const LeaseAttrs unreadable;
    EXPECT_EQ(text(plan_lease(Leases{lease("0.0.0.0-0&fd00:0:0:1::-64", unreadable)}, ipv6_only(), wish, kFirst)),
              "0.0.0.0-0&fd00:0:0:2::-64");
}

TEST(Ipv6Only, HugeRangesAreNotWalked) {
    std::size_t choices = 0;
    const Pick count = [&](std::size_t n) {
        choices = n;
        return n - 1;
    };
    EXPECT_EQ(planned({}, ipv6_only("fd00::/8"), {}, count), "0.0.0.0-0&fd00:0:0:64::-64");
    EXPECT_EQ(choices, 100u);
    // Half of it, then one more, taken by single leases.
    EXPECT_EQ(planned({lease("0.0.0.0-0&fd00::-9"), lease("10.5.0.0-16&fd80::-64")}, ipv6_only("fd00::/8")),
              "0.0.0.0-0&fd80:0:0:1::-64");
    EXPECT_EQ(planned({lease("10.5.1.0-24")}, ipv6_only()), "0.0.0.0-0&fd00:0:0:1::-64");
}

} // namespace
} // namespace weft

// SPDX-License-Identifier: Apache-2.0
#include "lease/allocator.hpp"

#include <gmock/gmock.h>

#include <set>

namespace weft {
namespace {

using ::testing::HasSubstr;

const Ip4 kMe = *parse_ip4("192.0.2.1"), kOther = *parse_ip4("192.0.2.2");

NetConf conf(std::string_view rest = "", std::string_view network = "10.5.0.0/16") {
    const auto parsed = parse_net_conf(R"({"Network":")" + std::string(network) + "\"" + std::string(rest) + "}");
    EXPECT_TRUE(parsed && validate(*parsed));
    return *parsed;
}

ListedLease lease(std::string_view key, const Ip4 &holder = kOther, bool reservation = false) {
    return {*parse_subnet_key(key), holder, reservation};
}
Subnet subnet(std::string_view key) { return *parse_subnet_key(key); }

const Pick kFirst = [](std::size_t) -> std::size_t { return 0; };
const Pick kLast = [](std::size_t n) { return n - 1; };

/// "take|create|delete <key>" or the error's sentence.
std::string text(const Result<Step> &step) {
    if (!step) return step.error().sentence();
    if (const auto *take = std::get_if<Take>(&*step)) return "take " + format_subnet_key(take->subnet);
    if (const auto *create = std::get_if<Create>(&*step)) return "create " + format_subnet_key(create->subnet);
    return "delete " + format_subnet_key(std::get<Delete>(*step).subnet);
}

TEST(Allocator, ReclaimsTheLeaseThatNamesOurPublicIp) {
    const std::vector leases = {lease("10.5.7.0-24"), lease("10.5.8.0-24", kMe), lease("10.5.9.0-24", kMe)};
    EXPECT_EQ(text(next_step(leases, conf(), kMe, subnet("10.5.3.0-24"), kFirst)), "take 10.5.8.0-24");
}

TEST(Allocator, PrefersAReservationOfOurs) {
    const std::vector leases = {lease("10.5.8.0-24", kMe), lease("10.5.9.0-24", kMe, true)};
    EXPECT_EQ(text(next_step(leases, conf(), kMe, {}, kFirst)), "take 10.5.9.0-24");
}

TEST(Allocator, DeletesOurLeaseOfAnotherConfigurationButNeverAReservation) {
    for (const char *key : {"10.5.8.0-25", "10.6.8.0-24", "10.5.0.0-24", "10.5.8.0-24&fd00::-64"})
        EXPECT_EQ(text(next_step(std::vector{lease(key, kMe)}, conf(), kMe, {}, kFirst)), "delete " + std::string(key));
    EXPECT_EQ(text(next_step(std::vector{lease("10.6.8.0-24", kMe, true)}, conf(), kMe, {}, kFirst)),
              "create 10.5.1.0-24");
}

TEST(Allocator, ThenThePreviousSubnetIfItIsFreeAndFits) {
    const std::vector leases = {lease("10.5.7.0-24"), lease("10.5.32.0-20")};
    EXPECT_EQ(text(next_step(leases, conf(), kMe, subnet("10.5.3.0-24"), kFirst)), "create 10.5.3.0-24");
    for (const char *previous : {"10.5.7.0-24", "10.5.33.0-24", "10.5.3.0-25", "10.9.3.0-24", "10.5.3.0-24&fd00::-64"})
        EXPECT_EQ(text(next_step(leases, conf(), kMe, subnet(previous), kFirst)), "create 10.5.1.0-24") << previous;
}

TEST(Allocator, RandomAmongTheFirstHundredFree) {
    std::size_t choices = 0;
    const Pick count = [&](std::size_t n) {
        choices = n;
        return n - 1;
    };
    EXPECT_EQ(pick_free({}, conf(), count)->to_string(), "10.5.100.0/24");
    EXPECT_EQ(choices, 100u);
    const std::vector leases = {lease("10.5.1.0-24"), lease("10.5.3.0-24")};
    EXPECT_EQ(pick_free(leases, conf(), kFirst)->to_string(), "10.5.2.0/24");
    EXPECT_EQ(pick_free(leases, conf(), kLast)->to_string(), "10.5.102.0/24");
}

TEST(Allocator, SkipsLeasesOfOtherLengthsAndOverlapsAmongThem) {
    const std::vector leases = {lease("10.5.0.0-20"), lease("10.5.3.0-24"), lease("10.5.16.128-25"),
                                lease("10.5.17.4-30")};
    EXPECT_EQ(pick_free(leases, conf(), kFirst)->to_string(), "10.5.18.0/24");
    EXPECT_EQ(pick_free(std::vector{lease("10.0.0.0-8")}, conf(), kFirst).error().code(), ENOSPC);
    EXPECT_EQ(pick_free(std::vector{lease("9.0.0.0-8"), lease("11.0.0.0-8")}, conf(), kFirst)->to_string(),
              "10.5.1.0/24");
}

TEST(Allocator, UsesEverySubnetUpToAndIncludingSubnetMax) {
    std::vector<ListedLease> leases;
    std::set<std::string> given;
    for (int i = 0; i < 3; ++i) {
        const auto free = pick_free(leases, conf("", "10.5.0.0/28"), kLast);
        ASSERT_TRUE(free);
        given.insert(free->to_string());
        leases.push_back({*free, kOther, false});
    }
    EXPECT_EQ(given, (std::set<std::string>{"10.5.0.4/30", "10.5.0.8/30", "10.5.0.12/30"}));
    const auto none = pick_free(leases, conf("", "10.5.0.0/28"), kLast);
    ASSERT_FALSE(none);
    EXPECT_EQ(none.error().sentence(), "out of subnets: none of length 30 is free from 10.5.0.4 to 10.5.0.12");
}

TEST(Allocator, EndsAtTheTopOfTheAddressSpace) {
    const auto top = conf("", "255.255.0.0/16");
    EXPECT_EQ(pick_free(std::vector{lease("255.255.0.0-17"), lease("255.255.128.0-18"), lease("255.255.192.0-19"),
                                    lease("255.255.224.0-20"), lease("255.255.240.0-21"), lease("255.255.248.0-22"),
                                    lease("255.255.252.0-23"), lease("255.255.254.0-24")},
                        top, kFirst)
                  ->to_string(),
              "255.255.255.0/24");
    EXPECT_FALSE(pick_free(std::vector{lease("255.255.0.0-16")}, top, kFirst));
}

TEST(Allocator, SubnetMinAboveSubnetMaxIsOutOfSubnets) {
    const auto free = pick_free({}, conf(R"(,"SubnetMin":"10.5.9.0","SubnetMax":"10.5.7.0")"), kFirst);
    ASSERT_FALSE(free);
    EXPECT_THAT(free.error().sentence(), HasSubstr("out of subnets"));
}

TEST(Allocator, DualStackChoosesBothPartsIndependently) {
    const auto dual = conf(R"(,"EnableIPv6":true,"IPv6Network":"fd00::/48")");
    const std::vector leases = {lease("10.5.1.0-24"), lease("10.5.2.0-24&fd00:0:0:1::-64")};
    EXPECT_EQ(pick_free(leases, dual, kFirst)->to_string(), "10.5.3.0/24 fd00:0:0:2::/64");
    // an IPv4-only lease of ours no longer fits
    EXPECT_EQ(text(next_step(std::vector{lease("10.5.1.0-24", kMe)}, dual, kMe, {}, kFirst)), "delete 10.5.1.0-24");
}

TEST(Allocator, GoesBackToTheSameSubnetOrNowhere) {
    const auto mine = subnet("10.5.8.0-24");
    EXPECT_EQ(text(step_back_to(mine, std::vector{lease("10.5.7.0-24")}, kMe)), "create 10.5.8.0-24");
    EXPECT_EQ(text(step_back_to(mine, std::vector{lease("10.5.8.0-24", kMe)}, kMe)), "take 10.5.8.0-24");
    EXPECT_EQ(text(step_back_to(mine, std::vector{lease("10.5.8.0-24")}, kMe)),
              "subnet 10.5.8.0/24 is taken: 10.5.8.0/24 is leased to 192.0.2.2");
    EXPECT_EQ(text(step_back_to(mine, std::vector{lease("10.5.0.0-20")}, kMe)),
              "subnet 10.5.8.0/24 is taken: 10.5.0.0/20 is leased to 192.0.2.2");
}

} // namespace
} // namespace weft

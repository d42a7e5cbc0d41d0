// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods.hpp"

#include <gtest/gtest.h>
#include <linux/neighbour.h>

namespace weft {
namespace {

Ip4 ip(const char *text) { return *parse_ip4(text); }

TEST(PodStates, ARouteIsMissedOnlyWhereTheVethIsUp) {
    weft_endpoint endpoints[3]{};
    for (int i = 0; i < 3; ++i) endpoints[i].ifindex = static_cast<__u32>(7 + i);
    const auto pods = pod_states({{abi::ip(ip("10.244.3.2")), endpoints[0]},
                                  {abi::ip(ip("10.244.3.3")), endpoints[1]},
                                  {abi::ip(ip("10.244.3.4")), endpoints[2]}},
                                 {}, {}, {{.index = 7, .flags = IFF_UP}, {.index = 8, .flags = IFF_UP}},
                                 {{.destination = host_net(ip("10.244.3.2")), .ifindex = 7, .scope = RT_SCOPE_LINK},
                                  {.destination = host_net(ip("10.244.3.3")), .ifindex = 7, .scope = RT_SCOPE_LINK}});
    ASSERT_EQ(pods.size(), 3U);
    EXPECT_FALSE(pods[0].cut_off);
    EXPECT_TRUE(pods[1].cut_off) << "it leads to another pod";
    EXPECT_FALSE(pods[2].cut_off) << "a dead pod's";
}

TEST(PodStates, AnEntryWithoutAPodGoesAndAPodWithoutAnEntryGetsOne) {
    weft_endpoint endpoint{};
    endpoint.ifindex = 7;
    const Ip gone = *parse_ip("10.244.3.2"), unlisted_one = *parse_ip("10.244.3.3");
    const std::vector<net::Link> links{{.index = 8, .name = "weft0", .kind = "veth", .alias = "weft:cbr0:box:eth0"},
                                       {.index = 9, .name = "weft1", .kind = "veth", .alias = "somebody's"}};
    const std::vector<net::Route> routes{{.destination = host_net(unlisted_one), .ifindex = 8},
                                         {.destination = *parse_net("10.244.9.0/24"), .ifindex = 8},
                                         {.destination = host_net(*parse_ip("10.244.3.4")), .ifindex = 9}};
    auto pods = pod_states({{abi::ip(gone), endpoint}}, {}, {}, links, routes);
    mark_gone(pods, links);
    ASSERT_EQ(pods.size(), 1U);
    EXPECT_TRUE(pods[0].gone);
    const auto unlisted = unlisted_pods(pods, links, routes);
    ASSERT_EQ(unlisted.size(), 1U);
    EXPECT_EQ(unlisted[0].address, unlisted_one);
    EXPECT_EQ(unlisted[0].veth.index, 8);
    pods.push_back({.address = unlisted_one, .endpoint = {.ifindex = 8}, .listed = false});
    const auto plan = plan_pods(pods, {});
    ASSERT_EQ(plan.size(), 2U);
    EXPECT_EQ(std::get<UnlistPod>(plan[0]).ifindex, 7);
    EXPECT_EQ(std::get<ListPod>(plan[1]).address, unlisted_one);
}

TEST(AllowedSources, WhatIsMissingComesAndWhatIsNobodysGoes) {
    const auto key = [](__u32 ifindex, const char *source) {
        return weft_allowed_key{.prefix_len = 160, .ifindex = ifindex, .addr = abi::ip(ip(source))};
    };
    const auto plan = plan_allowed({.listed = {key(7, "10.1.2.3"), key(8, "10.1.2.3"), key(9, "10.1.2.3")},
                                    .told = {key(8, "10.1.2.3"), key(8, "10.1.2.4")},
                                    .veths = {8, 9}});
    std::vector<std::string> said;
    for (const auto &action : plan) said.push_back((is_removal(action) ? "- " : "+ ") + item_of(action));
    EXPECT_EQ(said, (std::vector<std::string>{"+ allowed source 10.1.2.4/32 of link 8",
                                              "- allowed source 10.1.2.3/32 of link 7"}))
        << "what an earlier plugin allowed to link 9 stays";
}

TEST(PodStates, AQdiscThatShapesAndAMacThatArpFoundAreSeen) {
    weft_endpoint one{}, two{};
    one.ifindex = 7;
    two.ifindex = 8;
    const auto pods = pod_states(
        {{abi::ip(ip("10.244.3.2")), one}, {abi::ip(ip("10.244.3.3")), two}},
        {{.ifindex = 7, .kind = "noqueue"}, {.ifindex = 7, .kind = "clsact"}, {.ifindex = 8, .kind = "tbf"}},
        {{.ifindex = 7,
          .address = ip("10.244.3.2"),
          .mac = parse_mac("02:00:00:00:00:02").value(),
          .state = NUD_REACHABLE},
         {.ifindex = 8, .address = ip("10.244.3.2"), .mac = parse_mac("02:00:00:00:00:03").value(), .state = NUD_STALE},
         {.ifindex = 8,
          .address = ip("10.244.3.3"),
          .mac = parse_mac("02:00:00:00:00:04").value(),
          .state = NUD_FAILED}},
        {}, {});
    ASSERT_EQ(pods.size(), 2U);
    EXPECT_FALSE(pods[0].shaped);
    EXPECT_TRUE(pods[1].shaped);
    EXPECT_EQ(pods[0].mac_seen, *parse_mac("02:00:00:00:00:02"));
    EXPECT_EQ(pods[1].mac_seen, std::nullopt)
        << "an entry that has failed tells nothing, nor does one on another's link";
}

TEST(PodStates, EachAddressOfADualStackPodIsLookedAt) {
    weft_endpoint endpoint{};
    endpoint.ifindex = 7;
    const auto mac = *parse_mac("02:00:00:00:00:02");
    const Ip address = *parse_ip("10.244.3.2"), address6 = *parse_ip("fd00:244:0:3::2");
    auto pods = pod_states({{abi::ip(address), endpoint}, {abi::ip(address6), endpoint}}, {},
                           {{.ifindex = 7, .address = address6, .mac = mac, .state = NUD_REACHABLE}}, {}, {});
    ASSERT_EQ(pods.size(), 2U);
    EXPECT_EQ(pods[0].mac_seen, std::nullopt);
    EXPECT_EQ(pods[1].mac_seen, mac);
    EXPECT_TRUE(plan_pods(pods, {}).empty()) << "the programs follow the MAC of a pod that is listed";
    pods[1].listed = false;
    const auto plan = plan_pods(pods, {});
    ASSERT_EQ(plan.size(), 1U);
    EXPECT_EQ(std::get<ListPod>(plan.front()).address, address6);
    EXPECT_EQ(std::get<ListPod>(plan.front()).endpoint.pod_mac.octet[5], 2);
}

} // namespace
} // namespace weft

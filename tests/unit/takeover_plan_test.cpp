// SPDX-License-Identifier: Apache-2.0
// What is planned for a node that a flannel has left.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/takeover.hpp"

namespace weft {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Net net(const char *text) { return *parse_net(text); }

ClusterView view() {
    ClusterView v;
    v.networks = {{net("10.244.0.0/16"), 24}};
    v.uplink = {
        .ifindex = 2, .name = "eth0", .mtu = 1500, .v4 = {{*parse_ip4("192.168.1.5"), *parse_ip4("192.168.1.5")}}};
    v.own = {*parse_net4("10.244.3.0/24"), std::nullopt};
    return v;
}

std::vector<std::string> items(const std::vector<Action> &plan) {
    std::vector<std::string> all;
    for (const auto &action : plan) all.push_back(item_of(action));
    return all;
}

TEST(TakeoverPlan, BeforeTheSwapNothingGoesByWeft1AndNothingByTheDefaultRoute) {
    const auto wanted = desired_host(view());
    const auto host = before_swap(wanted);
    EXPECT_FALSE(host.vtep->up);
    EXPECT_EQ(host.addresses, wanted.addresses) << "or connections from them would end with flannel.1";
    EXPECT_THAT(host.neighbours, IsEmpty());
    std::vector<std::string> routes;
    for (const auto &[key, route] : host.routes) routes.push_back(net::to_string(route));
    EXPECT_THAT(routes,
                ElementsAre("blackhole 10.244.0.0/16 metric 16777216", "unreachable 10.244.3.0/24 metric 16777216"));
}

TEST(TakeoverPlan, TheSwapBringsAllThatWasLeftOut) {
    const auto wanted = desired_host(view());
    const auto swap = swap_with({.on_port = {"flannel.1"}}, wanted);
    EXPECT_THAT(swap.old, ElementsAre("flannel.1"));
    EXPECT_EQ(swap.device, *wanted.vtep);
    EXPECT_EQ(swap.neighbours, wanted.neighbours);
    ASSERT_EQ(swap.routes.size(), 1u);
    EXPECT_EQ(net::to_string(swap.routes[0]), "10.244.0.0/16 via 169.254.1.1 src 10.244.3.0");
    // Then the host is as it should be, but for the route that was in between.
    auto host = before_swap(wanted);
    host.vtep = swap.device;
    host.neighbours = swap.neighbours;
    for (const auto &route : swap.routes) host.routes.emplace(route_key(route), route);
    EXPECT_THAT(items(diff(wanted, host)), ElementsAre("route blackhole 10.244.0.0/16 metric 16777216"));
}

TEST(TakeoverPlan, OnlyRoutesToLeasedSubnetsAreFlannels) {
    Leases leases;
    leases.put(Lease{{*parse_net4("10.244.7.0/24"), std::nullopt}, {.public_ip = *parse_ip4("192.168.1.9")}});
    const auto route = [](const char *to) {
        return net::Route{
            .destination = net(to), .gateway = *parse_ip("192.168.1.9"), .ifindex = 2, .protocol = RTPROT_BOOT};
    };
    const FlannelLeft left{.devices = {{.index = 4, .name = "flannel.1"}},
                           .routes = {route("10.244.7.0/24"), route("10.244.8.0/24"), route("198.18.0.0/24")},
                           .rules = {"-N FLANNEL-FWD"}};
    EXPECT_THAT(items(leavings_of_flannel(left, leases)),
                ElementsAre("device flannel.1", "flannel's route 10.244.7.0/24 via 192.168.1.9 dev 2",
                            "flannel's firewall rules"));
    EXPECT_THAT(leavings_of_flannel({}, leases), IsEmpty());
}

TEST(TakeoverPlan, AMacThatWeftDrewGoesWithItsAddress) {
    auto v = view();
    EXPECT_TRUE(is_drawn_by_weft(v.mac_of_vtep()));
    v.known_mac = Mac{{0x16, 0xf1, 1, 2, 3, 4}};
    EXPECT_EQ(desired_host(v).vtep->mac, *v.known_mac);
    EXPECT_FALSE(is_drawn_by_weft(v.mac_of_vtep()));
}

} // namespace
} // namespace weft

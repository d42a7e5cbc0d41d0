// SPDX-License-Identifier: Apache-2.0
#include "daemon/desired.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "daemon/diff.hpp"
#include "net/sysctl.hpp"

namespace weft {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

Ip4 ip(const char *text) { return *parse_ip4(text); }
Net4 net4(const char *text) { return *parse_net4(text); }
Net6 net6(const char *text) { return *parse_net6(text); }
Subnet subnet(const char *text) { return {net4(text), std::nullopt}; }

LeaseAttrs attrs(const char *public_ip, const char *mac = "1e:3a:76:11:44:7f") {
    return {.public_ip = ip(public_ip), .backend_type = "vxlan", .backend_data = {{"VNI", 1}, {"VtepMAC", mac}}};
}

ClusterView view() {
    ClusterView v;
    v.networks = {{net4("10.244.0.0/16"), 24}};
    v.uplink = {.ifindex = 2, .name = "eth0", .mtu = 1500, .v4 = {{ip("192.168.1.5"), ip("192.168.1.5")}}};
    v.own = subnet("10.244.3.0/24");
    return v;
}

/// The same with IPv6 beside it.
ClusterView dual_view() {
    auto v = view();
    v.networks.push_back({net6("fd00:244::/48"), 64});
    v.uplink.v6 = {*parse_ip6("2001:db8::5"), *parse_ip6("2001:db8::5")};
    v.own.v6 = net6("fd00:244:0:3::/64");
    return v;
}

/// And alone.
ClusterView ip6_view() {
    auto v = dual_view();
    v.networks.erase(v.networks.begin());
    v.uplink.v4.reset();
    v.own.v4.reset();
    return v;
}

NextHops direct(const ClusterView &v, unsigned mtu = 1500) {
    NextHops hops;
    for (const auto &lease : v.others) hops.emplace(lease->attrs.public_ip, NextHop{lease->attrs.public_ip, 2, mtu});
    return hops;
}

TEST(Desired, HostStateOfANode) {
    const auto host = desired_host(view());
    EXPECT_EQ(host.vtep->name, "weft.1");
    EXPECT_EQ(host.vtep->port, 8472);
    EXPECT_EQ(host.vtep->mtu, 1450U);
    EXPECT_TRUE(host.vtep->external);
    EXPECT_EQ(host.vtep->mac.to_string(), "02:77:c0:a8:01:05");
    EXPECT_EQ(host.addresses, (std::set<Net>{net4("10.244.3.0/32"), net4("10.244.3.1/32")}));
    EXPECT_EQ(host.neighbours.size(), 1U);
    ASSERT_EQ(host.routes.size(), 2U);
    const auto &overlay = host.routes.at("10.244.0.0/16 metric 0");
    EXPECT_EQ(overlay.gateway, ip("169.254.1.1"));
    EXPECT_EQ(overlay.source, ip("10.244.3.0"));
    EXPECT_TRUE(overlay.onlink);
    EXPECT_EQ(host.routes.at("10.244.3.0/24 metric 16777216").type, net::RouteType::unreachable);
    EXPECT_EQ(host.sysctls.at("net/ipv4/ip_forward"), "1");
}

TEST(Desired, IPv6IsTheSameOnceMore) {
    const auto host = desired_host(dual_view());
    EXPECT_EQ(host.vtep->mtu, 1430U) << "an IPv6 underlay takes 70 bytes";
    EXPECT_TRUE(host.vtep->zero_csum6_rx);
    EXPECT_EQ(host.vtep->mac.to_string(), "02:77:c0:a8:01:05") << "one device, so one MAC";
    EXPECT_EQ(host.addresses, (std::set<Net>{net4("10.244.3.0/32"), net4("10.244.3.1/32"), net6("fd00:244:0:3::/128"),
                                             net6("fd00:244:0:3::1/128")}));
    EXPECT_EQ(host.neighbours.size(), 2U);
    ASSERT_EQ(host.routes.size(), 4U);
    const auto &overlay = host.routes.at("fd00:244::/48 metric 0");
    EXPECT_EQ(overlay.gateway, *parse_ip("fe80::77"));
    EXPECT_TRUE(host.neighbours.contains(*overlay.gateway));
    EXPECT_EQ(overlay.source, *parse_ip("fd00:244:0:3::"));
    EXPECT_EQ(host.routes.at("fd00:244:0:3::/64 metric 16777216").type, net::RouteType::unreachable);
    EXPECT_EQ(host.sysctls.at("net/ipv6/conf/all/forwarding"), "1");
    EXPECT_EQ(host.sysctls.at("net/ipv4/ip_forward"), "1");
}

TEST(Desired, IPv6AloneNeedsNothingOfIPv4) {
    const auto host = desired_host(ip6_view());
    EXPECT_EQ(host.addresses, (std::set<Net>{net6("fd00:244:0:3::/128"), net6("fd00:244:0:3::1/128")}));
    EXPECT_EQ(host.routes.size(), 2U);
    EXPECT_FALSE(host.sysctls.contains("net/ipv4/ip_forward"));
}

TEST(Desired, TheDevicesMacIsOfTheNodesAddress) {
    auto one = ip6_view().uplink, other = one;
    other.v6->public_ip = *parse_ip6("2001:db8::6");
    EXPECT_EQ(vtep_mac(one), vtep_mac(one));
    EXPECT_NE(vtep_mac(one), vtep_mac(other));
    EXPECT_EQ(vtep_mac(one).bytes[0] & 3, 2) << "locally administered, unicast";
    one.v6->address = *parse_ip6("2001:db8::7");
    EXPECT_EQ(vtep_mac(one), vtep_mac(ip6_view().uplink)) << "what peers are told counts";
}

TEST(Desired, WithoutIPv6NothingOfItIsTouched) {
    const auto host = desired_host(view(), {.bridges = {}, .routers = {"eth0"}});
    EXPECT_TRUE(host.not_merely_on.empty());
    for (const auto &[path, value] : host.sysctls)
        EXPECT_TRUE(!path.contains("ipv6") || path.contains("weft.1")) << path;
    EXPECT_TRUE(host.vtep->zero_csum6_rx) << "it needs no other device when IPv6 is switched on";
}

/// Forwarding without it would cost the host the default route that it has from its router.
TEST(Diff, ALinkThatListensToRoutersGoesOnBeforeTheHostIsOne) {
    const auto wanted = desired_host(dual_view(), {.bridges = {}, .routers = {"eth1", "eth2"}});
    HostState actual = wanted;
    actual.not_merely_on.clear();
    for (const auto &[link, accepts] : {std::pair("eth0", "1"), std::pair("eth1", "1"), std::pair("eth2", "0")})
        actual.sysctls[net::link_sysctl("ipv6", link, "accept_ra")] = accepts;
    actual.sysctls["net/ipv6/conf/all/forwarding"] = "0";
    const auto plan = diff(wanted, actual);
    ASSERT_EQ(plan.size(), 3U);
    EXPECT_EQ(std::get<SetSysctl>(plan[0]).path, "net/ipv6/conf/eth0/accept_ra");
    EXPECT_EQ(std::get<SetSysctl>(plan[1]).path, "net/ipv6/conf/eth1/accept_ra");
    EXPECT_EQ(std::get<SetSysctl>(plan[1]).value, "2");
    EXPECT_EQ(std::get<SetSysctl>(plan[2]).path, "net/ipv6/conf/all/forwarding");
}

TEST(DesiredHost, RoutersAreWhereIPv6DefaultRoutesLead) {
    HostNetwork host;
    host.links = {{.index = 2, .name = "eth0"}, {.index = 3, .name = "eth1"}};
    host.default_routes = {{.v4 = true, .ifindex = 2}, {.v4 = false, .ifindex = 3}};
    EXPECT_EQ(surroundings(dual_view().own, host).routers, std::set<std::string>{"eth1"});
}

TEST(Desired, MtuComesFromTheConfigurationFirst) {
    auto v = view();
    EXPECT_EQ(v.overlay_mtu(), 1450U);
    v.backend.mtu = 1400;
    EXPECT_EQ(v.overlay_mtu(), 1350U);
}

TEST(Desired, PodsMtuLeavesRoomForTheBackendsOfPeers) {
    auto v = view();
    v.backend.encap = WEFT_ENCAP_DIRECT;
    EXPECT_EQ(v.overlay_mtu(), 1500U);
    v.also = {WEFT_ENCAP_IPIP, WEFT_ENCAP_VXLAN};
    EXPECT_EQ(v.overlay_mtu(), 1450U);
}

TEST(DesiredHost, ASubnetBehindANarrowPathHasARouteOfItsOwn) {
    const auto host = desired_host(view(), {}, {{*parse_net("10.244.9.0/24"), 1330}});
    const auto &narrow = host.routes.at("10.244.9.0/24 metric 0");
    const auto &overlay = host.routes.at("10.244.0.0/16 metric 0");
    EXPECT_EQ(narrow.mtu, 1330U);
    EXPECT_EQ(narrow.gateway, overlay.gateway);
    EXPECT_EQ(narrow.source, overlay.source);
}

TEST(Desired, HostStateDoesNotGrowWithTheCluster) {
    auto v = view();
    const auto alone = desired_host(v);
    for (int i = 10; i < 110; ++i)
        v.others.put({subnet(("10.244." + std::to_string(i) + ".0/24").c_str()), attrs("192.168.1.9")});
    const auto crowded = desired_host(v);
    EXPECT_EQ(alone.routes, crowded.routes);
    EXPECT_EQ(alone.neighbours, crowded.neighbours);
}

TEST(Desired, ALeaseSaysHowItsNodeIsReached) {
    auto v = view();
    v.others.put({subnet("10.244.7.0/24"), attrs("192.168.1.9")});
    v.others.put({subnet("10.244.8.0/24"), attrs("172.16.0.9")});
    NextHops hops;
    hops.emplace(ip("192.168.1.9"), NextHop{ip("192.168.1.9"), 2, 1500});
    hops.emplace(ip("172.16.0.9"), NextHop{ip("192.168.1.1"), 2, 1400});
    const auto got = desired_maps(v, hops, {}, 256);
    ASSERT_EQ(got.maps.leases.size(), 2U);
    const auto &near = got.maps.leases.at(net4("10.244.7.0/24")), &far = got.maps.leases.at(net4("10.244.8.0/24"));
    EXPECT_EQ(abi::ip(near.node), ip("192.168.1.9"));
    EXPECT_EQ(abi::ip(near.next_hop), ip("192.168.1.9"));
    EXPECT_EQ(near.ifindex, 2U);
    EXPECT_EQ(near.mtu, 1450);
    EXPECT_EQ(near.encap, WEFT_ENCAP_VXLAN);
    EXPECT_EQ(abi::mac(near.vtep_mac).to_string(), "1e:3a:76:11:44:7f");
    EXPECT_EQ(abi::ip(far.next_hop), ip("192.168.1.1")) << "through the router";
    EXPECT_EQ(far.mtu, 1350) << "the path is narrower than the uplink";
    EXPECT_THAT(got.maps.prefix_lens.of[WEFT_IPV4], ElementsAre(24));
    EXPECT_TRUE(got.unusable.empty());
}

TEST(Desired, AWiderPathDoesNotRaiseTheMtu) {
    auto v = view();
    v.others.put({subnet("10.244.7.0/24"), attrs("192.168.1.9")});
    EXPECT_EQ(desired_maps(v, direct(v, 9000), {}, 256).maps.leases.begin()->second.mtu, 1450);
    EXPECT_EQ(desired_maps(v, direct(v, 60), {}, 256).maps.leases.begin()->second.mtu, 68)
        << "never less than IPv4 allows";
}

TEST(Desired, ANodeWithoutARouteKeepsItsEntryAndItsRightToSend) {
    auto v = view();
    v.others.put({subnet("10.244.7.0/24"), attrs("192.168.1.9")});
    NextHops hops;
    hops.emplace(ip("192.168.1.9"), fail_errno(ENETUNREACH, "route"));
    const auto got = desired_maps(v, hops, {}, 256);
    EXPECT_EQ(got.maps.leases.at(net4("10.244.7.0/24")).encap, WEFT_ENCAP_NONE);
    EXPECT_TRUE(got.maps.nodes.contains(ip("192.168.1.9")));
}

TEST(Desired, LeasesThatCannotBeUsedAreNamedWithTheReason) {
    auto v = view();
    v.others.put({subnet("10.244.7.0/24"), attrs("192.168.1.9")});
    auto foreign = attrs("192.168.1.10"), bare = attrs("192.168.1.11");
    foreign.backend_type = "host-gw";
    bare.backend_data = nullptr;
    v.others.put({subnet("10.244.8.0/24"), foreign});
    v.others.put({subnet("10.244.9.0/24"), bare});
    v.others.put({subnet("10.244.10.0/24"), attrs("192.168.1.12", "not a mac")});
    v.others.put({subnet("10.9.0.0/24"), attrs("192.168.1.13")});
    v.others.put({subnet("10.244.3.128/25"), attrs("192.168.1.14")});
    v.others.put({subnet("10.244.11.0/24"), attrs("192.168.1.5")});
    v.others.put({subnet("10.244.12.0/24"), attrs("0.0.0.0")});
    v.others.put({{net4("10.244.7.0/24"), *parse_net6("fd00:7::/64")}, attrs("192.168.1.15")});
    const auto got = desired_maps(v, direct(v), {}, 256);
    EXPECT_EQ(got.maps.leases.size(), 1U);
    EXPECT_EQ(got.maps.nodes.size(), 1U);
    std::string all;
    for (const auto &[net, why] : got.unusable) all += net.to_string() + " " + why + "\n";
    for (const char *part :
         {"10.244.8.0/24 its BackendType is \"host-gw\"", "10.244.9.0/24 its BackendData: null has no VtepMAC",
          "10.244.10.0/24 its BackendData: VtepMAC: \"not a mac\"",
          "10.9.0.0/24 it is not in the Network 10.244.0.0/16", "10.244.3.128/25 it overlaps this node's own",
          "10.244.11.0/24 its PublicIP is this node's own", "10.244.12.0/24 it has no PublicIP",
          "10.244.7.0/24 another key leases the same subnet"})
        EXPECT_THAT(all, HasSubstr(part));
    EXPECT_EQ(got.unusable.size(), 9U);
}

TEST(Desired, StatsSlotsStayWithTheirLeases) {
    auto v = view();
    for (const char *net : {"10.244.7.0/24", "10.244.8.0/24", "10.244.9.0/24"})
        v.others.put({subnet(net), attrs("192.168.1.9")});
    MapState actual;
    actual.leases[net4("10.244.9.0/24")].stats_index = 0;
    actual.leases[net4("10.244.200.0/24")].stats_index = 1; // about to go: its slot is not free yet
    const auto got = desired_maps(v, direct(v), actual, 256).maps;
    EXPECT_EQ(got.leases.at(net4("10.244.9.0/24")).stats_index, 0U);
    EXPECT_EQ(got.leases.at(net4("10.244.7.0/24")).stats_index, 2U);
    EXPECT_EQ(got.leases.at(net4("10.244.8.0/24")).stats_index, 3U);
    EXPECT_TRUE(diff(got, got).empty());
    const auto again = desired_maps(v, direct(v), got, 256).maps;
    EXPECT_TRUE(diff(again, got).empty()) << "a restart reads its own entries back and changes nothing";
}

TEST(Desired, TooManyLeasesForTheSlotsAreNamed) {
    auto v = view();
    for (const char *net : {"10.244.7.0/24", "10.244.8.0/24", "10.244.9.0/24"})
        v.others.put({subnet(net), attrs("192.168.1.9")});
    const auto got = desired_maps(v, direct(v), {}, 2);
    EXPECT_EQ(got.maps.leases.size(), 2U);
    ASSERT_EQ(got.unusable.size(), 1U);
    EXPECT_THAT(got.unusable[0].why, HasSubstr("2"));
}

TEST(Desired, NodesCountTheirLeasesAndPrefixLengthsAreLongestFirst) {
    auto v = view();
    v.others.put({subnet("10.244.7.0/24"), attrs("192.168.1.9")});
    v.others.put({subnet("10.244.8.0/26"), attrs("192.168.1.9")});
    v.others.put({subnet("10.244.9.0/24"), attrs("192.168.1.10")});
    const auto got = desired_maps(v, direct(v), {}, 256).maps;
    EXPECT_EQ(got.nodes.at(ip("192.168.1.9")).leases, 2U);
    EXPECT_EQ(got.nodes.at(ip("192.168.1.10")).leases, 1U);
    EXPECT_THAT(got.prefix_lens.of[WEFT_IPV4], ElementsAre(26, 24));
}

/// A dual-stack lease of a weft node.
LeaseAttrs dual_attrs(const char *public_ip, const char *public_ipv6) {
    auto a = attrs(public_ip, "02:77:00:00:00:09");
    a.backend_v6_data = {{"VNI", 1}, {"VtepMAC", "02:77:00:00:00:09"}, {"ZeroCsum6", true}};
    if (public_ipv6) a.public_ipv6 = *parse_ip6(public_ipv6);
    return a;
}
const Subnet kDual{net4("10.244.7.0/24"), net6("fd00:244:0:7::/64")};

NextHops reached(const ClusterView &v, std::initializer_list<std::pair<const char *, const char *>> by) {
    NextHops hops;
    for (const auto &[node, neighbour] : by)
        hops.emplace(*parse_ip(node), NextHop{*parse_ip(neighbour), v.uplink.ifindex, 1500});
    return hops;
}

TEST(DesiredDual, EachFamilyTravelsOverItsOwnUnderlay) {
    auto v = dual_view();
    v.others.put({kDual, dual_attrs("192.168.1.9", "2001:db8::9")});
    const auto hops = reached(v, {{"192.168.1.9", "192.168.1.9"}, {"2001:db8::9", "fe80::1"}});
    const auto got = desired_maps(v, hops, {}, 256);
    EXPECT_TRUE(got.unusable.empty());
    ASSERT_EQ(got.maps.leases.size(), 2U);
    const auto &in4 = got.maps.leases.at(*kDual.v4), &in6 = got.maps.leases.at(*kDual.v6);
    EXPECT_EQ(in4.encap, WEFT_ENCAP_VXLAN);
    EXPECT_EQ(in4.mtu, 1450);
    EXPECT_EQ(in6.encap, WEFT_ENCAP_VXLAN6);
    EXPECT_EQ(in6.mtu, 1430);
    EXPECT_EQ(in6.flags, 0) << "a weft node takes packets without a UDP checksum";
    EXPECT_EQ(abi::ip(in6.node), *parse_ip("2001:db8::9"));
    EXPECT_EQ(abi::ip(in6.next_hop), *parse_ip("fe80::1"));
    EXPECT_NE(in4.stats_index, in6.stats_index);
    EXPECT_TRUE(got.maps.nodes.contains(*parse_ip("192.168.1.9")));
    EXPECT_TRUE(got.maps.nodes.contains(*parse_ip("2001:db8::9")));
    EXPECT_THAT(got.maps.prefix_lens.of[WEFT_IPV4], ElementsAre(24));
    EXPECT_THAT(got.maps.prefix_lens.of[WEFT_IPV6], ElementsAre(64));
    EXPECT_EQ(v.overlay_mtu(), 1430U);
    EXPECT_TRUE(v.encaps().contains(WEFT_ENCAP_VXLAN6));
}

TEST(DesiredDual, AFlannelNodesDevicesAreTwoAndWantAChecksum) {
    auto v = dual_view();
    auto flannels = dual_attrs("192.168.1.9", "2001:db8::9");
    flannels.backend_v6_data = {{"VNI", 1}, {"VtepMAC", "02:66:00:00:00:06"}};
    v.others.put({kDual, flannels});
    const auto hops = reached(v, {{"192.168.1.9", "192.168.1.9"}, {"2001:db8::9", "2001:db8::9"}});
    const auto got = desired_maps(v, hops, {}, 256).maps;
    EXPECT_EQ(abi::mac(got.leases.at(*kDual.v4).vtep_mac).to_string(), "02:77:00:00:00:09");
    EXPECT_EQ(abi::mac(got.leases.at(*kDual.v6).vtep_mac).to_string(), "02:66:00:00:00:06");
    EXPECT_EQ(got.leases.at(*kDual.v6).flags, WEFT_LEASE_OUTER_CSUM);
    EXPECT_EQ(got.leases.at(*kDual.v4).flags, 0);
}

TEST(DesiredDual, WhereANodeHasOneAddressTheOtherFamilyGoesInsideIt) {
    auto v = dual_view();
    v.others.put({kDual, dual_attrs("192.168.1.9", nullptr)});
    const auto hops4 = reached(v, {{"192.168.1.9", "192.168.1.9"}});
    auto got = desired_maps(v, hops4, {}, 256).maps;
    ASSERT_EQ(got.leases.size(), 2U);
    EXPECT_EQ(got.leases.at(*kDual.v6).encap, WEFT_ENCAP_VXLAN);
    EXPECT_EQ(got.leases.at(*kDual.v6).mtu, 1450);
    EXPECT_EQ(got.nodes.at(*parse_ip("192.168.1.9")).leases, 2U);
    v.backend.direct_routing = true;
    got = desired_maps(v, hops4, {}, 256).maps;
    EXPECT_EQ(got.leases.at(*kDual.v4).encap, WEFT_ENCAP_DIRECT);
    EXPECT_EQ(got.leases.at(*kDual.v6).encap, WEFT_ENCAP_VXLAN) << "a neighbour in IPv4 only";

    v.others.put({kDual, dual_attrs("0.0.0.0", "2001:db8::9")});
    const auto hops6 = reached(v, {{"2001:db8::9", "2001:db8::9"}});
    got = desired_maps(v, hops6, {}, 256).maps;
    EXPECT_EQ(got.leases.at(*kDual.v4).encap, WEFT_ENCAP_VXLAN6);
    EXPECT_EQ(got.leases.at(*kDual.v6).encap, WEFT_ENCAP_DIRECT);

    v.uplink.v6.reset();
    const auto none = desired_maps(v, hops6, {}, 256);
    ASSERT_EQ(none.unusable.size(), 2U);
    EXPECT_EQ(none.unusable[0].why, "it has no PublicIP");
    EXPECT_EQ(none.unusable[1].why, "its node's address is 2001:db8::9, and this node's eth0 has no IPv6 address");
}

TEST(DesiredDual, HostGatewaysAreNeighboursInTheFamilyTheyCarry) {
    auto v = dual_view();
    v.backend.encap = WEFT_ENCAP_DIRECT;
    LeaseAttrs gateway{
        .public_ip = ip("192.168.1.9"), .public_ipv6 = *parse_ip6("2001:db8::9"), .backend_type = "host-gw"};
    v.others.put({kDual, gateway});
    auto got = desired_maps(v, reached(v, {{"192.168.1.9", "192.168.1.9"}, {"2001:db8::9", "fe80::1"}}), {}, 256);
    EXPECT_EQ(got.maps.leases.at(*kDual.v4).encap, WEFT_ENCAP_DIRECT);
    ASSERT_EQ(got.unusable.size(), 1U);
    EXPECT_EQ(got.unusable.front().subnet, Net(*kDual.v6));
    for (const char *part : {"2001:db8::9", "2001:db8::5", "through fe80::1"})
        EXPECT_THAT(got.unusable.front().why, HasSubstr(part));
    got = desired_maps(v, reached(v, {{"192.168.1.9", "192.168.1.9"}, {"2001:db8::9", "2001:db8::9"}}), {}, 256);
    EXPECT_EQ(got.maps.leases.at(*kDual.v6).encap, WEFT_ENCAP_DIRECT);
    EXPECT_EQ(got.maps.leases.at(*kDual.v6).mtu, 1500);
    gateway.public_ipv6.reset();
    v.others.put({kDual, gateway});
    EXPECT_EQ(desired_maps(v, {}, {}, 256).unusable.front().why, "it has no PublicIPv6");
}

TEST(DesiredDual, OneFamilysTroubleIsNotTheOthers) {
    auto v = dual_view();
    v.others.put({{net4("10.244.7.0/24"), net6("fd00:244:0:3::/64")}, dual_attrs("192.168.1.9", "2001:db8::9")});
    v.others.put({{net4("10.244.8.0/24"), net6("fd00:999::/64")}, dual_attrs("192.168.1.10", "2001:db8::5")});
    auto why = desired_maps(v, {}, {}, 256).unusable;
    ASSERT_EQ(why.size(), 2U);
    EXPECT_THAT(why[0].why, HasSubstr("overlaps this node's own fd00:244:0:3::/64"));
    EXPECT_THAT(why[1].why, HasSubstr("PublicIPv6 is this node's own"));
    v.networks.pop_back();
    EXPECT_EQ(desired_maps(v, {}, {}, 256).unusable.front().why, "the cluster has no IPv6");
}

TEST(DesiredDual, IPv6AloneIsForwardedTo) {
    auto v = ip6_view();
    v.others.put({{std::nullopt, net6("fd00:244:0:7::/64")}, dual_attrs("0.0.0.0", "2001:db8::9")});
    const auto got = desired_maps(v, reached(v, {{"2001:db8::9", "2001:db8::9"}}), {}, 256);
    EXPECT_TRUE(got.unusable.empty());
    EXPECT_EQ(got.maps.leases.at(net6("fd00:244:0:7::/64")).encap, WEFT_ENCAP_VXLAN6);
    EXPECT_EQ(subnet_capacity(v.networks), 65536U);
}

TEST(Desired, MapsHoldEverySubnetOfTheNetwork) {
    EXPECT_EQ(subnet_capacity({{net4("10.244.0.0/16"), 24}}), 256U);
    EXPECT_EQ(subnet_capacity({{net4("10.0.0.0/8"), 24}}), 65536U);
    EXPECT_EQ(subnet_capacity({{net4("10.0.0.0/8"), 25}}), 131072U);
    EXPECT_EQ(subnet_capacity({{net4("10.0.0.0/8"), 30}}), 131072U);
    EXPECT_EQ(subnet_capacity({{net4("10.0.0.0/28"), 30}}), 16U);
    EXPECT_EQ(subnet_capacity({{net4("10.244.0.0/16"), 24}, {net6("fd00::/48"), 64}}), 512U);
}

std::vector<std::string> items(const std::vector<Action> &plan) {
    std::vector<std::string> names;
    for (const auto &action : plan) names.push_back((is_removal(action) ? "- " : "+ ") + item_of(action));
    return names;
}

TEST(Diff, MapsAreWrittenSoThatNoPacketMeetsHalfALease) {
    auto v = view();
    v.others.put({subnet("10.244.7.0/24"), attrs("192.168.1.9")});
    const auto before = desired_maps(v, direct(v), {}, 256).maps;
    EXPECT_THAT(items(diff(before, MapState{})),
                ElementsAre("+ prefix lengths", "+ node 192.168.1.9", "+ lease 10.244.7.0/24"));
    v.others.clear();
    v.others.put({subnet("10.244.8.0/26"), attrs("192.168.1.10")});
    const auto after = desired_maps(v, direct(v), before, 256).maps;
    const auto plan = diff(after, before);
    EXPECT_THAT(items(plan), ElementsAre("+ prefix lengths", "+ node 192.168.1.10", "+ lease 10.244.8.0/26",
                                         "- lease 10.244.7.0/24", "- node 192.168.1.9", "+ prefix lengths"));
    EXPECT_THAT(std::get<SetPrefixLens>(plan.front()).lens.of[WEFT_IPV4], ElementsAre(26, 24))
        << "both are in use in between";
    EXPECT_THAT(std::get<SetPrefixLens>(plan.back()).lens.of[WEFT_IPV4], ElementsAre(26));
}

TEST(Diff, HostIsWrittenFromTheBottomUp) {
    const auto wanted = desired_host(view());
    HostState bare;
    bare.sysctls["net/ipv4/ip_forward"] = "0";
    bare.sysctls["net/ipv6/conf/weft.1/accept_ra"] = std::nullopt; // the device is not there yet
    EXPECT_THAT(items(diff(wanted, bare)),
                ElementsAre("+ sysctl net/ipv4/ip_forward", "+ device weft.1", "+ address 10.244.3.0/32",
                            "+ address 10.244.3.1/32", "+ neighbour 169.254.1.1",
                            "+ route 10.244.0.0/16 via 169.254.1.1 src 10.244.3.0",
                            HasSubstr("+ route unreachable 10.244.3.0/24")));
    EXPECT_TRUE(diff(wanted, wanted).empty());
}

TEST(Diff, ADeviceIsMadeAnewOnlyForWhatCannotBeChanged) {
    const auto wanted = desired_host(view());
    auto actual = wanted;
    actual.vtep->mtu = 1400;
    actual.vtep->up = false;
    EXPECT_TRUE(std::holds_alternative<ChangeVtep>(diff(wanted, actual).at(0)));
    actual = wanted;
    actual.vtep->port = 4789;
    EXPECT_TRUE(std::holds_alternative<ReplaceVtep>(diff(wanted, actual).at(0)));
}

TEST(Diff, AnOldSubnetLeavesAndForeignAddressesStay) {
    const auto wanted = desired_host(view());
    auto actual = wanted;
    actual.addresses.insert(net4("10.244.9.0/32"));
    actual.addresses.insert(net4("192.0.2.7/32")); // not of the pod network: somebody else's
    auto old = wanted.routes.at("10.244.3.0/24 metric 16777216");
    old.destination = net4("10.244.9.0/24");
    actual.routes.emplace(route_key(old), old);
    EXPECT_THAT(items(diff(wanted, actual)),
                ElementsAre(HasSubstr("- route unreachable 10.244.9.0/24"), "- address 10.244.9.0/32"));
}

TEST(DesiredHost, ABridgeInTheNodesSubnetAnswersForTheRestOfIt) {
    const auto link = [](int index, const char *name) {
        net::Link one;
        one.index = index;
        one.name = name;
        return one;
    };
    const auto held = [](int ifindex, const char *cidr) {
        net::LinkAddress address{};
        address.ifindex = ifindex;
        address.address = *parse_net4(cidr);
        return address;
    };
    HostNetwork host;
    host.links = {link(2, "eth0"), link(3, kVtepName), link(4, "docker0"), link(5, "cni0"), link(6, "wg0")};
    host.addresses = {held(2, "192.0.2.1/24"), held(3, "10.244.3.1/32"), held(4, "10.244.3.1/24"),
                      held(5, "10.244.4.1/24"), held(6, "10.244.3.7/32")};
    const auto around = surroundings(subnet("10.244.3.0/24"), host);
    EXPECT_EQ(around.bridges, std::set<std::string>{"docker0"});
    EXPECT_EQ(desired_host(view(), around).sysctls.at("net/ipv4/conf/docker0/proxy_arp"), "1");
}

} // namespace
} // namespace weft

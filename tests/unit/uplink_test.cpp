// SPDX-License-Identifier: Apache-2.0
#include "daemon/uplink.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>

namespace weft {
namespace {

using ::testing::HasSubstr;

net::Link link(int index, const char *name, unsigned mtu = 1500) {
    return {.index = index,
            .name = name,
            .mac = Mac{{2, 0, 0, 0, 0, static_cast<std::uint8_t>(index)}},
            .mtu = mtu,
            .flags = index == 1 ? 0U + IFF_UP + IFF_LOOPBACK : 0U + IFF_UP};
}

net::LinkAddress addr(int ifindex, const char *cidr, unsigned flags = IFA_F_PERMANENT,
                      unsigned scope = RT_SCOPE_UNIVERSE) {
    return {.ifindex = ifindex, .address = *parse_net(cidr), .scope = scope, .flags = flags};
}

/// lo, two cards, and what a former life of weft left: a device and a pod's veth in the pod network 10.244.0.0/16.
HostNetwork host() {
    HostNetwork h;
    h.links = {link(1, "lo", 65536), link(2, "eth0"), link(3, "eth1", 9000), link(4, "weft.1", 1450),
               link(5, "weftab12")};
    h.links[4].alias = "weft:net:id:eth0";
    h.addresses = {addr(1, "127.0.0.1/8", IFA_F_PERMANENT, RT_SCOPE_HOST),
                   addr(2, "192.168.1.5/24"),
                   addr(3, "169.254.7.7/16"),
                   addr(3, "10.9.0.3/24", 0),
                   addr(3, "10.9.0.2/24"),
                   addr(4, "10.244.3.0/32")};
    h.default_routes = {{.ifindex = 2, .metric = 100}};
    return h;
}

Result<net::RouteAnswer> no_route(const Ip &) { return fail_errno(ENETUNREACH, "route"); }

constexpr Families kIp4{.v4 = true, .v6 = false}, kIp6{.v4 = false, .v6 = true}, kBoth{.v4 = true, .v6 = true};

Result<Uplink> choose(const UplinkFlags &flags, const HostNetwork &on = host(), const RouteQuery &route_to = no_route,
                      Families families = kIp4) {
    return select_uplink(flags, on, route_to, families);
}

struct Case {
    const char *sentence;
    UplinkFlags flags;
    const char *name, *address, *public_ip;
};

TEST(Uplink, IsChosenByFlannelsRules) {
    const auto ip = [](const char *text) { return *parse_ip4(text); };
    const Case table[] = {
        {"nothing given: the default route's", {}, "eth0", "192.168.1.5", "192.168.1.5"},
        {"a name; permanent global address before others", {.ifaces = {"eth1"}}, "eth1", "10.9.0.2", "10.9.0.2"},
        {"an address, and that one is used", {.ifaces = {"10.9.0.3"}}, "eth1", "10.9.0.3", "10.9.0.3"},
        {"the first that is there", {.ifaces = {"wlan0", "eth1", "eth0"}}, "eth1", "10.9.0.2", "10.9.0.2"},
        {"a pattern on addresses goes before names",
         {.iface_regexes = {"^10\\.|eth0"}},
         "eth1",
         "10.9.0.2",
         "10.9.0.2"},
        {"a pattern is unanchored", {.iface_regexes = {"th1"}}, "eth1", "10.9.0.2", "10.9.0.2"},
        {"a pattern after every name",
         {.ifaces = {"no"}, .iface_regexes = {"eth0"}},
         "eth0",
         "192.168.1.5",
         "192.168.1.5"},
        {"a pattern on the pod network finds no device of ours",
         {.iface_regexes = {"10\\.244|weft", "eth0"}},
         "eth0",
         "192.168.1.5",
         "192.168.1.5"},
        {"a public address that is local", {.public_ip = ip("10.9.0.3")}, "eth1", "10.9.0.3", "10.9.0.3"},
        {"a public address behind NAT, with a name",
         {.ifaces = {"eth0"}, .public_ip = ip("203.0.113.9")},
         "eth0",
         "192.168.1.5",
         "203.0.113.9"},
    };
    for (const auto &c : table) {
        const auto got = choose(c.flags);
        ASSERT_TRUE(got) << c.sentence << ": " << got.error().sentence();
        EXPECT_EQ(got->name, c.name) << c.sentence;
        EXPECT_EQ(got->v4->address.to_string(), c.address) << c.sentence;
        EXPECT_EQ(got->v4->public_ip.to_string(), c.public_ip) << c.sentence;
    }
}

TEST(Uplink, CarriesIndexMacAndMtu) {
    const auto got = choose({.ifaces = {"eth1"}});
    ASSERT_TRUE(got);
    EXPECT_EQ(got->ifindex, 3);
    EXPECT_EQ(got->mtu, 9000U);
    EXPECT_EQ(got->mac.to_string(), "02:00:00:00:00:03");
}

TEST(Uplink, CanReachAsksTheKernelAndUsesItsSource) {
    UplinkFlags flags{.ifaces = {"absent"}, .can_reach = *parse_ip4("198.51.100.1")};
    const auto got = choose(flags, host(), [](const Ip &to) -> Result<net::RouteAnswer> {
        EXPECT_EQ(to.to_string(), "198.51.100.1");
        return net::RouteAnswer{.ifindex = 3, .source = *parse_ip4("10.9.0.3")};
    });
    ASSERT_TRUE(got) << got.error().sentence();
    EXPECT_EQ(got->name, "eth1");
    EXPECT_EQ(got->v4->address.to_string(), "10.9.0.3");
}

TEST(Uplink, AddressesDeprecatedOrOfLoopbackDoNotCount) {
    auto h = host();
    h.addresses = {addr(2, "192.168.1.5/24", IFA_F_PERMANENT | IFA_F_DEPRECATED), addr(2, "169.254.1.9/16"),
                   addr(1, "127.0.0.1/8")};
    EXPECT_EQ(choose({.ifaces = {"eth0"}}, h)->v4->address.to_string(), "169.254.1.9");
    EXPECT_THAT(choose({.ifaces = {"eth1"}}, h).error().sentence(), HasSubstr("eth1 has no usable IPv4 address"));
    EXPECT_FALSE(choose({.iface_regexes = {"^127\\."}}, h));
}

TEST(Uplink, FailuresSayWhatWasTriedAndWhatThereIs) {
    const auto none =
        choose({.ifaces = {"eth7", "10.1.1.1"}, .iface_regexes = {"^wl"}, .can_reach = *parse_ip4("1.1.1.1")});
    ASSERT_FALSE(none);
    for (const char *part : {"--iface=eth7", "--iface=10.1.1.1", "--iface-regex=^wl", "--iface-can-reach=1.1.1.1",
                             "eth0 (192.168.1.5)", "eth1 (10.9.0.2)"})
        EXPECT_THAT(none.error().sentence(), HasSubstr(part));
    EXPECT_EQ(none.error().sentence().find('\n'), std::string::npos);

    EXPECT_THAT(choose({.public_ip = *parse_ip4("203.0.113.9")}).error().sentence(),
                HasSubstr("--public-ip=203.0.113.9"));
    auto h = host();
    h.default_routes[0].next_hops = 2;
    EXPECT_THAT(choose({}, h).error().sentence(), HasSubstr("2 next hops"));
    h.default_routes.clear();
    EXPECT_THAT(choose({}, h).error().sentence(), HasSubstr("no default route"));
    h = host();
    h.links[1].mtu = 0;
    EXPECT_THAT(choose({}, h).error().sentence(), HasSubstr("MTU of 0"));
}

/// host() with IPv6 on its cards.
HostNetwork ip6_host() {
    auto h = host();
    for (const auto &more :
         {addr(2, "fe80::5/64", IFA_F_PERMANENT, RT_SCOPE_LINK), addr(2, "2001:db8:1::5/64"),
          addr(3, "2001:db8:9::dead/64", IFA_F_TEMPORARY), addr(3, "2001:db8:9::2/64", 0),
          addr(3, "2001:db8:9::3/64", IFA_F_PERMANENT | IFA_F_DEPRECATED),
          addr(3, "2001:db8:9::4/64", IFA_F_PERMANENT | IFA_F_DADFAILED), addr(4, "fd00:244:0:3::/128")})
        h.addresses.push_back(more);
    h.default_routes.push_back({.v4 = false, .ifindex = 2, .metric = 1024});
    return h;
}

std::string text(const Result<Uplink> &got) {
    return got ? got->name + " " + public_ips(*got) : got.error().sentence();
}

TEST(Uplink, OfIPv6IsChosenByTheSameRules) {
    const auto in_ip6 = [](const UplinkFlags &flags, Families families) {
        return text(choose(flags, ip6_host(), no_route, families));
    };
    EXPECT_EQ(in_ip6({}, kBoth), "eth0 192.168.1.5 2001:db8:1::5");
    EXPECT_EQ(in_ip6({}, kIp6), "eth0 2001:db8:1::5");
    EXPECT_EQ(in_ip6({}, kIp4), "eth0 192.168.1.5") << "what is off is not looked at";
    EXPECT_EQ(in_ip6({.ifaces = {"eth1"}}, kBoth), "eth1 10.9.0.2 2001:db8:9::2")
        << "neither temporary nor deprecated nor taken by somebody else";
    EXPECT_EQ(in_ip6({.ifaces = {"2001:db8:9::dead"}}, kBoth), "eth1 10.9.0.2 2001:db8:9::dead");
    EXPECT_EQ(in_ip6({.iface_regexes = {"^2001:db8:9"}}, kIp6), "eth1 2001:db8:9::2");
    EXPECT_EQ(in_ip6({.public_ipv6 = *parse_ip6("2001:db8:9::2")}, kIp6), "eth1 2001:db8:9::2");
    EXPECT_EQ(in_ip6({.ifaces = {"eth0"}, .public_ipv6 = *parse_ip6("2001:db8:ffff::1")}, kBoth),
              "eth0 192.168.1.5 2001:db8:ffff::1");
    EXPECT_EQ(in_ip6({.public_ip = *parse_ip4("10.9.0.3"), .public_ipv6 = *parse_ip6("2001:db8:9::2")}, kBoth),
              "eth1 10.9.0.3 2001:db8:9::2");
    EXPECT_THAT(in_ip6({.public_ipv6 = *parse_ip6("2001:db8:ffff::1")}, kIp6),
                HasSubstr("no interface holds --public-ipv6=2001:db8:ffff::1"));
}

TEST(Uplink, CanBeFoundByAnIPv6Route) {
    const UplinkFlags flags{.can_reach = *parse_ip("2001:db8:ffff::1")};
    const auto got = choose(
        flags, ip6_host(),
        [](const Ip &) -> Result<net::RouteAnswer> {
            return net::RouteAnswer{.ifindex = 3, .source = *parse_ip("2001:db8:9::dead")};
        },
        kBoth);
    EXPECT_EQ(text(got), "eth1 10.9.0.2 2001:db8:9::dead");
}

TEST(Uplink, DefaultRoutesThatPartAreNoneToChooseBy) {
    auto h = ip6_host();
    h.default_routes.back().ifindex = 3;
    for (const char *part : {"by eth0 in IPv4", "by eth1 in IPv6", "--iface"})
        EXPECT_THAT(text(choose({}, h, no_route, kBoth)), HasSubstr(part));
    EXPECT_EQ(text(choose({}, h, no_route, kIp6)), "eth1 2001:db8:9::2");
    h.default_routes.pop_back();
    EXPECT_EQ(text(choose({}, h, no_route, kBoth)), "eth0 192.168.1.5 2001:db8:1::5") << "one of them is enough";
    EXPECT_THAT(text(choose({}, h, no_route, kIp6)), HasSubstr("no IPv6 default route"));
    h.default_routes = {{.v4 = false, .ifindex = 2, .next_hops = 2}};
    EXPECT_THAT(text(choose({}, h, no_route, kIp6)), HasSubstr("the IPv6 default route has 2 next hops"));
}

TEST(Uplink, AnAddressOfOneFamilyCarriesBoth) {
    auto h = host();
    h.addresses.push_back(addr(2, "fe80::5/64"));
    EXPECT_EQ(text(choose({}, h, no_route, kBoth)), "eth0 192.168.1.5") << "a link-local address is none";
    h.default_routes.front().v4 = false;
    EXPECT_THAT(text(choose({}, h, no_route, kIp6)), HasSubstr("eth0 has no usable IPv6 address"));
    EXPECT_THAT(text(choose({.ifaces = {"eth0"}, .public_ipv6 = *parse_ip6("2001:db8::1")}, h, no_route, kBoth)),
                HasSubstr("eth0 has no usable IPv6 address"));
    h.addresses = {addr(2, "2001:db8:1::5/64")};
    EXPECT_EQ(text(choose({}, h, no_route, kBoth)), "eth0 2001:db8:1::5");
    h.addresses = {};
    EXPECT_THAT(text(choose({}, h, no_route, kBoth)), HasSubstr("eth0 has no usable IPv4 or IPv6 address"));
}

} // namespace
} // namespace weft

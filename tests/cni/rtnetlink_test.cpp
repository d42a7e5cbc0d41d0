// SPDX-License-Identifier: Apache-2.0
// loader/net against the kernel, in network namespaces of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <sched.h>
#include <unistd.h>

#include <optional>
#include <thread>

#include "net/addr.hpp"
#include "net/link.hpp"
#include "net/neigh.hpp"
#include "net/netns.hpp"
#include "net/route.hpp"
#include "net/route_query.hpp"
#include "poll.hpp"

namespace weft::net {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::Field;
using testing::HasSubstr;
using testing::IsEmpty;

/// A namespace without a name: it ends with the last descriptor on it.
Result<Netns> make_netns() {
    Result<Netns> made = fail("no thread ran");
    std::thread([&] {
        if (::unshare(CLONE_NEWNET) != 0)
            made = fail_errno(errno, "unshare");
        else
            made = Netns::current();
    }).join();
    return made;
}

#define ASSERT_OK(expr)                                                                                                \
    do {                                                                                                               \
        auto &&status_ = (expr);                                                                                       \
        ASSERT_TRUE(status_) << status_.error().sentence();                                                            \
    } while (0)

class Rtnetlink : public testing::Test {
protected:
    void SetUp() override {
        auto here = make_netns(), there = make_netns();
        if (!here || !there) GTEST_SKIP() << "cannot make network namespaces: " << here.error().sentence();
        here_.emplace(std::move(*here));
        there_.emplace(std::move(*there));
        auto sock = here_->open_socket();
        ASSERT_OK(sock);
        sock_.emplace(std::move(*sock));
    }

    /// "near" here, "far" there; returns near's index.
    int make_pair(bool up = true) {
        const PairSpec spec{.name = "near",
                            .mac = *parse_mac("0a:77:00:00:00:01"),
                            .peer_name = "far",
                            .peer_mac = *parse_mac("0a:77:00:00:00:02"),
                            .peer_netns_fd = there_->fd(),
                            .mtu = 1450};
        auto made = create_pair(*sock_, spec);
        EXPECT_TRUE(made) << made.error().sentence();
        const auto link = find_link(*sock_, "near");
        const int index = link && *link ? (*link)->index : 0;
        if (up) {
            EXPECT_TRUE(change_link(*sock_, index, {.up = true}));
        }
        return index;
    }

    std::optional<Netns> here_, there_;
    std::optional<NlSocket> sock_;
};

TEST_F(Rtnetlink, VethHasItsNamesMacsAndMtuOnBothEnds) {
    const int index = make_pair(false);
    const auto near = find_link(*sock_, index);
    ASSERT_TRUE(near && *near);
    EXPECT_EQ((*near)->name, "near");
    EXPECT_EQ((*near)->kind, "veth");
    EXPECT_EQ((*near)->mac.to_string(), "0a:77:00:00:00:01");
    EXPECT_EQ((*near)->mtu, 1450U);
    EXPECT_FALSE((*near)->up());
    auto far_sock = there_->open_socket();
    ASSERT_OK(far_sock);
    const auto far = find_link(*far_sock, "far");
    ASSERT_TRUE(far && *far);
    EXPECT_EQ((*far)->mac.to_string(), "0a:77:00:00:00:02");
    EXPECT_EQ((*far)->mtu, 1450U);
    EXPECT_EQ((*near)->link, (*far)->index);
}

TEST_F(Rtnetlink, ATakenNameIsRefusedAndLeavesNothing) {
    make_pair(false);
    PairSpec spec{.name = "other", .peer_name = "far", .peer_netns_fd = there_->fd()};
    const auto again = create_pair(*sock_, spec);
    ASSERT_FALSE(again);
    EXPECT_EQ(again.error().code(), EEXIST) << again.error().sentence();
    const auto other = find_link(*sock_, "other");
    ASSERT_OK(other);
    EXPECT_FALSE(*other);
}

TEST_F(Rtnetlink, ChangesApplyAndOthersStay) {
    const int index = make_pair(false);
    ASSERT_OK(change_link(*sock_, index, {.mtu = 1400, .alias = "weft:net:id:eth0"}));
    ASSERT_OK(change_link(*sock_, index, {.up = true, .noarp = true}));
    const auto link = find_link(*sock_, index);
    ASSERT_TRUE(link && *link);
    EXPECT_EQ((*link)->alias, "weft:net:id:eth0");
    EXPECT_EQ((*link)->mtu, 1400U);
    EXPECT_TRUE((*link)->up());
    EXPECT_TRUE((*link)->flags & IFF_NOARP);
    EXPECT_EQ(change_link(*sock_, 4711, {.up = true}).error().code(), ENODEV);
}

TEST_F(Rtnetlink, DeletingALinkTwiceSaysSo) {
    const int index = make_pair();
    EXPECT_TRUE(delete_link(*sock_, index).value());
    EXPECT_FALSE(delete_link(*sock_, index).value());
    EXPECT_FALSE(find_link(*sock_, index).value());
    EXPECT_FALSE(find_link(*sock_, "a-name-longer-than-fifteen").value());
}

TEST_F(Rtnetlink, AddressesAreIdempotent) {
    const int index = make_pair();
    const auto address = *parse_net4("10.5.3.1/32");
    ASSERT_OK(set_address(*sock_, index, address));
    ASSERT_OK(set_address(*sock_, index, address));
    const auto listed = list_addresses(*sock_, index);
    ASSERT_OK(listed);
    ASSERT_EQ(listed->size(), 1U);
    EXPECT_EQ(listed->front().address.to_string(), "10.5.3.1/32");
    EXPECT_TRUE(remove_address(*sock_, index, address).value());
    EXPECT_FALSE(remove_address(*sock_, index, address).value());
    EXPECT_THAT(list_addresses(*sock_, index).value(), IsEmpty());
}

/// What a link that comes up gives itself, fe80::.
bool is_link_local(const LinkAddress &have) {
    return have.address.address().is_v6() && have.address.address().to_v6().is_link_local();
}

TEST_F(Rtnetlink, Ip6AddressesCanBeUsedAtOnceAndGoWithTheirLink) {
    const int index = make_pair();
    const auto address = *parse_net6("fd00:5:3::1/128");
    ASSERT_OK(set_address(*sock_, index, address));
    ASSERT_OK(set_address(*sock_, index, address));
    ASSERT_OK(set_address(*sock_, index, *parse_net4("10.5.3.1/24")));
    auto listed = list_addresses(*sock_, index);
    ASSERT_OK(listed);
    std::erase_if(*listed, is_link_local);
    ASSERT_EQ(listed->size(), 2U);
    EXPECT_EQ(listed->front().address.to_string(), "10.5.3.1/24");
    EXPECT_EQ(listed->back().address, Net(address));
    EXPECT_EQ(listed->back().scope, RT_SCOPE_UNIVERSE);
    EXPECT_EQ(listed->back().flags, IFA_F_PERMANENT | IFA_F_NODAD | IFA_F_NOPREFIXROUTE) << "not tentative";
    EXPECT_THAT(list_routes(*sock_, {.ifindex = index}).value(),
                testing::Not(Contains(Field(&Route::destination, Net(address)))));
    EXPECT_TRUE(remove_address(*sock_, index, address).value());
    EXPECT_FALSE(remove_address(*sock_, index, address).value());

    ASSERT_OK(set_address(*sock_, index, address));
    ASSERT_OK(change_link(*sock_, index, {.up = false}));
    EXPECT_THAT(list_addresses(*sock_, index).value(),
                ElementsAre(Field(&LinkAddress::address, *parse_net("10.5.3.1/24"))));
}

TEST_F(Rtnetlink, RoutesReadBackAsWritten) {
    const int index = make_pair();
    ASSERT_OK(set_address(*sock_, index, *parse_net4("10.5.3.0/32")));
    const Route overlay{.destination = *parse_net4("10.5.0.0/16"),
                        .gateway = *parse_ip4("10.5.9.0"),
                        .ifindex = index,
                        .source = *parse_ip4("10.5.3.0"),
                        .metric = 7,
                        .onlink = true,
                        .mtu = 1400};
    const Route pod{.destination = *parse_net4("10.5.3.9/32"), .ifindex = index, .scope = RT_SCOPE_LINK};
    const Route hole{.destination = *parse_net4("10.5.3.0/24"), .type = RouteType::unreachable};
    for (const Route &route : {overlay, pod, hole}) ASSERT_OK(add_route(*sock_, route, IfExists::fail));

    const auto ours = list_routes(*sock_, {.protocol = kRouteProtocol});
    ASSERT_OK(ours);
    EXPECT_THAT(*ours, testing::UnorderedElementsAre(overlay, pod, hole));
    EXPECT_EQ(add_route(*sock_, pod, IfExists::fail).error().code(), EEXIST);
    ASSERT_OK(add_route(*sock_, pod, IfExists::replace));
    for (const Route &route : {overlay, pod, hole})
        EXPECT_TRUE(remove_route(*sock_, route).value()) << to_string(route);
    EXPECT_FALSE(remove_route(*sock_, pod).value());
    EXPECT_THAT(list_routes(*sock_, {.protocol = kRouteProtocol}).value(), IsEmpty());
}

TEST_F(Rtnetlink, Ip6RoutesReadBackAsWritten) {
    const int index = make_pair();
    ASSERT_OK(set_address(*sock_, index, *parse_net6("fd00:5:3::/128")));
    const Route overlay{.destination = *parse_net6("fd00:5::/48"),
                        .gateway = *parse_ip6("fe80::77"),
                        .ifindex = index,
                        .source = *parse_ip6("fd00:5:3::"),
                        .onlink = true,
                        .mtu = 1400};
    const Route pod{
        .destination = *parse_net6("fd00:5:3::9/128"), .ifindex = index, .scope = RT_SCOPE_LINK, .metric = 7};
    const Route hole{.destination = *parse_net6("fd00:5:3::/64"), .type = RouteType::unreachable};
    const Route hole4{.destination = *parse_net4("10.5.3.0/24"), .type = RouteType::unreachable};
    for (const Route &route : {overlay, pod, hole, hole4}) ASSERT_OK(add_route(*sock_, route, IfExists::fail));

    const auto ours = list_routes(*sock_, {.protocol = kRouteProtocol});
    ASSERT_OK(ours);
    EXPECT_THAT(*ours, testing::UnorderedElementsAre(overlay, pod, hole, hole4));
    EXPECT_EQ(add_route(*sock_, pod, IfExists::fail).error().code(), EEXIST);
    ASSERT_OK(add_route(*sock_, pod, IfExists::replace));
    Route without_metric = pod;
    without_metric.metric = 0;
    EXPECT_FALSE(remove_route(*sock_, without_metric).value()) << "removed a route of another metric";
    for (const Route &route : {overlay, pod, hole, hole4})
        EXPECT_TRUE(remove_route(*sock_, route).value()) << to_string(route);
    EXPECT_FALSE(remove_route(*sock_, pod).value());
    EXPECT_THAT(list_routes(*sock_, {.protocol = kRouteProtocol}).value(), IsEmpty());
}

TEST_F(Rtnetlink, ARouteIsAskedForInEitherFamily) {
    const int index = make_pair();
    for (const char *own : {"10.5.3.1/24", "fd00:5:3::1/64"}) ASSERT_OK(set_address(*sock_, index, *parse_net(own)));
    for (const auto &[gateway, all] : {std::pair("10.5.3.254", "0.0.0.0/0"), std::pair("fd00:5:3::fe", "::/0")}) {
        const Net everything = *parse_net(all);
        const Route route{
            .destination = everything, .gateway = *parse_ip(gateway), .ifindex = index, .metric = 9, .mtu = 1300};
        ASSERT_OK(add_route(*sock_, route, IfExists::fail));
    }
    for (const char *hole : {"10.9.0.0/16", "fd00:9::/48"})
        ASSERT_OK(add_route(*sock_, {.destination = *parse_net(hole), .type = RouteType::unreachable}, IfExists::fail));

    const RouteAnswer direct4{.ifindex = index, .source = *parse_ip("10.5.3.1")};
    EXPECT_EQ(query_route(*sock_, *parse_ip("10.5.3.9")).value(), direct4);
    const RouteAnswer direct6{.ifindex = index, .source = *parse_ip("fd00:5:3::1")};
    EXPECT_EQ(query_route(*sock_, *parse_ip("fd00:5:3::9"), parse_ip("fd00:5:3::1").value()).value(), direct6);
    const RouteAnswer far6{
        .ifindex = index, .gateway = *parse_ip("fd00:5:3::fe"), .source = *parse_ip("fd00:5:3::1"), .mtu = 1300};
    EXPECT_EQ(query_route(*sock_, *parse_ip("2001:db8::1")).value(), far6);
    // The kernel makes an IPv6 address's own route in the background, also without duplicate address detection.
    EXPECT_TRUE(
        test::wait_until([&] { return query_route(*sock_, *parse_ip("fd00:5:3::1"))->type == RouteType::local; }));
    for (const char *hole : {"10.9.0.1", "fd00:9::1"})
        EXPECT_EQ(query_route(*sock_, *parse_ip(hole)).error().code(), EHOSTUNREACH) << hole;
    EXPECT_THAT(list_default_routes(*sock_).value(),
                ElementsAre(DefaultRoute{.v4 = true, .ifindex = index, .metric = 9},
                            DefaultRoute{.v4 = false, .ifindex = index, .metric = 9}));
}

TEST_F(Rtnetlink, ARefusedRouteCarriesTheKernelsOwnWords) {
    const int index = make_pair(false);
    const auto added = add_route(*sock_, {.destination = *parse_net4("10.5.3.9/32"), .ifindex = index}, IfExists::fail);
    ASSERT_FALSE(added);
    EXPECT_EQ(added.error().code(), ENETDOWN);
    EXPECT_THAT(added.error().sentence(), HasSubstr("add route 10.5.3.9/32"));
}

TEST_F(Rtnetlink, NeighboursArePermanentAlsoOnALinkThatIsDown) {
    const int index = make_pair(false);
    const auto address = *parse_ip4("10.5.3.9");
    ASSERT_OK(set_permanent_neighbour(*sock_, index, address, *parse_mac("02:00:00:00:00:01")));
    ASSERT_OK(set_permanent_neighbour(*sock_, index, address, *parse_mac("02:00:00:00:00:02")));
    ASSERT_OK(change_link(*sock_, index, {.up = true}));
    const auto listed = list_neighbours(*sock_, index);
    ASSERT_OK(listed);
    EXPECT_THAT(*listed, ElementsAre(Neighbour{index, address, *parse_mac("02:00:00:00:00:02"), NUD_PERMANENT}));
}

TEST_F(Rtnetlink, Ip6NeighboursAreAsIp4s) {
    const int index = make_pair();
    const auto address = *parse_ip6("fd00:5:3::9"), proxied = *parse_ip6("fd00:5:3::1");
    const Neighbour expected{index, address, *parse_mac("02:00:00:00:00:02"), NUD_PERMANENT};
    ASSERT_OK(set_permanent_neighbour(*sock_, index, address, *expected.mac));
    ASSERT_OK(set_proxy_neighbour(*sock_, index, proxied));
    ASSERT_OK(set_proxy_neighbour(*sock_, index, proxied));
    const auto listed = list_neighbours(*sock_, index);
    ASSERT_OK(listed);
    EXPECT_THAT(*listed, Contains(expected));
    EXPECT_THAT(*listed, testing::Not(Contains(Field(&Neighbour::address, Ip(proxied)))));
}

TEST_F(Rtnetlink, RunningInsideANamespaceLeavesTheCallerWhereItWas) {
    const auto before = Netns::current();
    ASSERT_OK(before);
    const auto inside = there_->run([] { return Netns::current(); });
    ASSERT_OK(inside);
    EXPECT_TRUE(*inside == *there_);
    EXPECT_FALSE(*inside == *before);
    EXPECT_TRUE(*Netns::current() == *before);
    EXPECT_EQ(Netns::open("/proc/self/ns/mnt").error().code(), EINVAL);
    EXPECT_EQ(Netns::open("/nonexistent").error().code(), ENOENT);
}

} // namespace
} // namespace weft::net

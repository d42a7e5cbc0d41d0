// SPDX-License-Identifier: Apache-2.0
// loader/net against the kernel, in network namespaces of its own.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
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

namespace weft::net {
namespace {

using testing::ElementsAre;
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
        const VethSpec spec{.name = "near",
                            .mac = *parse_mac("0a:77:00:00:00:01"),
                            .peer_name = "far",
                            .peer_mac = *parse_mac("0a:77:00:00:00:02"),
                            .peer_netns_fd = there_->fd(),
                            .mtu = 1450};
        auto made = create_veth(*sock_, spec);
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
    VethSpec spec{.name = "other", .peer_name = "far", .peer_netns_fd = there_->fd()};
    const auto again = create_veth(*sock_, spec);
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
    EXPECT_TRUE(remove_neighbour(*sock_, index, address).value());
    EXPECT_FALSE(remove_neighbour(*sock_, index, address).value());
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

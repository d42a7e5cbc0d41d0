// SPDX-License-Identifier: Apache-2.0
// What IPv6 has and IPv4 has not: extension headers, neighbour discovery, routers that never fragment.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <array>
#include <cstring>

#include "base/unique_fd.hpp"
#include "mid_transfer.hpp"
#include "shared_cluster.hpp"

namespace weft::test {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

/// Two nodes with their pods: members of a test, so to speak.
struct Ends {
    Status build(Cluster &cluster, bool far) {
        auto near = cluster.add_node();
        auto other = cluster.add_node(far);
        if (!near) return fail_as_is(std::move(near));
        if (!other) return fail_as_is(std::move(other));
        near_ = *near, far_ = *other;
        if (auto settled = cluster.settle(); !settled) return settled;
        for (const auto &[node, pod] : {std::pair{near_, &pod_}, {near_, &neighbour_}, {far_, &peer_}}) {
            auto added = node->add_pod();
            if (!added) return fail_as_is(std::move(added));
            *pod = *added;
        }
        return {};
    }
    Status build(Cluster &cluster, const Setup &) { return build(cluster, false); }

    WeftNode *near_ = nullptr, *far_ = nullptr;
    Pod *pod_ = nullptr, *neighbour_ = nullptr, *peer_ = nullptr;
};

class Ipv6Packets : public SharedClusterTest<Ends>, protected Ends {
protected:
    void SetUp() override {
        SharedClusterTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        Ends::operator=(nodes());
    }
    void TearDown() override {
        for (const auto *node : {near_, far_})
            if (node) expect_no_drops(*node);
        SharedClusterTest::TearDown();
    }
};

sockaddr_in6 traffic_server(const std::string &address) {
    sockaddr_in6 to{.sin6_family = AF_INET6, .sin6_port = htons(kTrafficPort)};
    const auto octets = parse_ip6(address).value().to_bytes();
    std::memcpy(&to.sin6_addr, octets.data(), octets.size());
    return to;
}

/// `count` UDP echoes one after the other, each sent behind an extension header of that kind (IPV6_DSTOPTS, ...) that holds
/// padding alone.
Status echo_behind(const Netns &from, const std::string &address, int kind, unsigned count) {
    return from.run_in([&]() -> Status {
        const UniqueFd fd(::socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0));
        const std::array<std::uint8_t, 8> padding{0, 0, 1, 4};
        if (!fd || ::setsockopt(fd.get(), IPPROTO_IPV6, kind, padding.data(), padding.size()) != 0)
            return fail_errno(errno, "socket with an extension header");
        const timeval patience{.tv_sec = 2};
        ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        const auto to = traffic_server(address);
        if (::connect(fd.get(), reinterpret_cast<const sockaddr *>(&to), sizeof to) != 0)
            return fail_errno(errno, "connect");
        for (unsigned i = 0; i < count; ++i) {
            std::array<char, 64> there{}, back{};
            there.fill(static_cast<char>('a' + i % 26));
            if (::send(fd.get(), there.data(), there.size(), 0) < 0) return fail_errno(errno, "send");
            if (::recv(fd.get(), back.data(), back.size(), 0) != static_cast<ssize_t>(back.size()))
                return fail("no echo of datagram " + std::to_string(i), ETIMEDOUT);
            if (there != back) return fail("another datagram came back");
        }
        return {};
    });
}

TEST_P(Ipv6Packets, ExtensionHeadersGoByTheStackAndArrive) {
    constexpr unsigned kEach = 10;
    for (const auto &[name, kind] :
         {std::pair{"destination options", IPV6_DSTOPTS}, std::pair{"hop by hop", IPV6_HOPOPTS}}) {
        SCOPED_TRACE(name);
        WEFT_ASSERT_ASSIGN(const auto before, near_->counters());
        WEFT_EXPECT_OK(echo_behind(pod_->ns, peer_->address6, kind, kEach));
        WEFT_EXPECT_OK(echo_behind(pod_->ns, neighbour_->address6, kind, kEach));
        WEFT_EXPECT_OK(echo_behind(near_->netns(), peer_->address6, kind, kEach));
        WEFT_ASSERT_ASSIGN(const auto after, near_->counters());
        const auto counted = after.all - before.all;
        EXPECT_GE(count(counted, "from_pod/ext_headers"), 2 * kEach) << to_string(counted);
    }
}

TEST_P(Ipv6Packets, FragmentsGoByTheStackAndArrive) {
    WEFT_ASSERT_ASSIGN(const auto before, near_->counters());
    WEFT_EXPECT_OK(udp_echo(pod_->ns, peer_->address6, {GetParam().mtu() - 47, 4000, 60000}, 5));
    WEFT_EXPECT_OK(udp_echo(pod_->ns, neighbour_->address6, {4000, 60000}, 5));
    WEFT_ASSERT_ASSIGN(const auto after, near_->counters());
    EXPECT_GE(count(after.all - before.all, "from_pod/fragment"), 100u) << to_string(after.all - before.all);
}

TEST_P(Ipv6Packets, APodThatForgotItsGatewayFindsItAgain) {
    WEFT_ASSERT_ASSIGN(const auto base, near_->base_address(Family::v6));
    const auto gateway = (*parse_ip(base) + 1).to_string();
    for (const auto *forget : {"neighbour flush dev eth0 nud all", "neighbour delete {} dev eth0"}) {
        SCOPED_TRACE(forget);
        WEFT_ASSERT_OK(pod_->ns.ip(fmt::format(fmt::runtime(forget), gateway)));
        WEFT_EXPECT_OK(ping(pod_->ns, peer_->address6));
        WEFT_EXPECT_OK(ping(pod_->ns, gateway));
        WEFT_EXPECT_OK(tcp_transfer(pod_->ns, peer_->address6, kMiB));
    }
}

/// The kernel's neighbour entries of pods grow old and are asked about, also for who never speaks to the host itself.
TEST_P(Ipv6Packets, APodTheHostForgotIsFoundAgain) {
    WEFT_ASSERT_ASSIGN(const auto links, near_->netns().run("ip -6 neighbour show " + pod_->address6));
    const auto device = links.substr(links.find("dev ") + 4, 15);
    WEFT_ASSERT_OK(near_->netns().ip("neighbour delete " + pod_->address6 + " dev " + device));
    // Fragments from elsewhere: the stack delivers them, on behalf of an address that is not the host's.
    WEFT_EXPECT_OK(udp_echo(peer_->ns, pod_->address6, {4000}));
    WEFT_EXPECT_OK(ping(near_->netns(), pod_->address6));
}

TEST_P(Ipv6Packets, APodMayHaveALargerInterfaceThanThePath) {
    for (const auto *ns : {&pod_->ns, &neighbour_->ns, &peer_->ns}) WEFT_ASSERT_OK(ns->ip("link set eth0 mtu 9000"));
    for (auto *node : {near_, far_}) {
        WEFT_ASSERT_ASSIGN(const auto links, node->netns().run("ip -o link show type veth"));
        for (std::size_t at = 0; (at = links.find(": weft", at)) != links.npos; ++at)
            WEFT_ASSERT_OK(node->netns().ip(fmt::format("link set {} mtu 9000", links.substr(at + 2, 15))));
    }
    // The first long packet is answered, and the sender goes on with shorter ones.
    for (const auto direction : {Direction::send, Direction::receive})
        WEFT_EXPECT_OK(tcp_transfer(pod_->ns, peer_->address6, 16 * kMiB, {.direction = direction}));
    (void)udp_echo(pod_->ns, peer_->address6, {8000}, 3);
    WEFT_EXPECT_OK(udp_echo(pod_->ns, peer_->address6, {1200, 8000, 60000}, 3));
    WEFT_ASSERT_ASSIGN(const auto route, pod_->ns.run("ip -6 route get " + peer_->address6));
    EXPECT_NE(route.find(fmt::format("mtu {}", GetParam().mtu())), route.npos) << route;
    // Between two pods of the node nothing is in the way.
    WEFT_EXPECT_OK(ping(pod_->ns, neighbour_->address6, 2, "-M do -s 8900"));
}

INSTANTIATE_TEST_SUITE_P(Families, Ipv6Packets, kEveryFamily, setup_name);

class Ipv6Paths : public ClusterTest, protected Ends {
protected:
    Status set_uplink_mtu(unsigned mtu) {
        for (const auto *node : {near_, far_})
            if (auto set = node->netns().ip(fmt::format("link set eth0 mtu {}", mtu)); !set) return set;
        return {};
    }
};

TEST_P(Ipv6Paths, ATransferGoesOnWhenTheUplinksNarrow) {
    WEFT_ASSERT_OK(build(*cluster_, false));
    for (const auto &[from, to] : {std::pair{pod_, peer_}, std::pair{peer_, pod_}})
        expect_transfer_survives(*from, *to, Family::v6, 96 * kMiB, [&](unsigned mtu) { return set_uplink_mtu(mtu); });
    EXPECT_TRUE(wait_until([&] { // pods to come
        const auto env = read_file(near_->subnet_file());
        return env && env->find(fmt::format("FLANNEL_MTU={}", GetParam().mtu() - 100)) != env->npos;
    }));
    // Who sends a datagram that has become too long loses it, and knows better from then on: either end.
    const std::size_t full = GetParam().mtu() - 48;
    (void)udp_echo(pod_->ns, peer_->address6, {full}, 3);
    WEFT_EXPECT_OK(udp_echo(pod_->ns, peer_->address6, {1000, full, 9000}, 3));
}

/// Over IPv6 no router cuts a tunnel packet in two: it says so to the node, which must tell the pods.
TEST_P(Ipv6Paths, ATransferGoesOnWhenARouterOnTheWayNarrows) {
    WEFT_ASSERT_OK(build(*cluster_, true));
    const auto narrow = [&](unsigned mtu) -> Status {
        std::string batch;
        if (has_v4(GetParam().underlay))
            batch +=
                fmt::format("route change 192.0.2.0/24 dev near proto kernel scope link src 192.0.2.254 mtu {0}\n"
                            "route change 198.51.100.0/24 dev far proto kernel scope link src 198.51.100.254 mtu {0}\n",
                            mtu);
        if (has_v6(GetParam().underlay))
            batch += fmt::format("route change 2001:db8:2::/64 dev near proto kernel metric 256 mtu {0}\n"
                                 "route change 2001:db8:100::/64 dev far proto kernel metric 256 mtu {0}\n",
                                 mtu);
        return cluster_->router().ip(batch);
    };
    for (const auto &[from, to] : {std::pair{pod_, peer_}, std::pair{peer_, pod_}})
        expect_transfer_survives(*from, *to, Family::v6, 96 * kMiB, narrow);
    (void)udp_echo(pod_->ns, peer_->address6, {9000}, 3);
    WEFT_EXPECT_OK(udp_echo(pod_->ns, peer_->address6, {1000, 1200, 9000}, 3));
}

const auto kVxlanUnderlays = testing::Values(Setup{"tc", WireMode::offload, "vxlan", Families::dual, Families::dual},
                                             Setup{"xdp", WireMode::bare, "vxlan", Families::dual, Families::dual},
                                             Setup{"tc", WireMode::offload, "vxlan", Families::dual, Families::v4},
                                             Setup{"tc", WireMode::bare, "vxlan", Families::v6, Families::v6});
INSTANTIATE_TEST_SUITE_P(Families, Ipv6Paths, kVxlanUnderlays, setup_name);

} // namespace
} // namespace weft::test

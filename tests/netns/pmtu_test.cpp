// SPDX-License-Identifier: Apache-2.0
// Paths that take less than pods think, from the start or from the middle of a transfer on.
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include <fmt/format.h>
#include <tins/tins.h>

#include "mid_transfer.hpp"
#include "raw_socket.hpp"
#include "side_by_side.hpp"

namespace weft::test {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

/// `at_most` where the wire is fast enough for it, a GiB everywhere in a long run.
std::uint64_t bulk(const Setup &setup, std::uint64_t at_most = 1024 * kMiB) {
    const char *long_run = std::getenv("WEFT_LONG");
    if (long_run && std::string_view(long_run) == "1") return 1024 * kMiB;
    return setup.wire == WireMode::offload ? at_most : std::min(at_most, 128 * kMiB);
}

class BehindANarrowLink : public SideBySide {
protected:
    void SetUp() override {
        SideBySide::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        build(true);
    }

    /// What the router's two links take from now on, as it forwards.
    Status set_path_mtu(unsigned mtu) {
        return cluster_->router().ip(
            fmt::format("route change 192.0.2.0/24 dev near proto kernel scope link src 192.0.2.254 mtu {0}\n"
                        "route change 198.51.100.0/24 dev far proto kernel scope link src 198.51.100.254 mtu {0}",
                        mtu));
    }
};

TEST_P(BehindANarrowLink, ATransferGoesOnWhenThePathNarrows) {
    for (const auto *pair : pairs()) {
        SCOPED_TRACE(pair->kind);
        for (const auto &[from, to, bytes] :
             {std::tuple{pair->pod, pair->peer, bulk(GetParam())}, std::tuple{pair->peer, pair->pod, 192 * kMiB}}) {
            expect_transfer_survives(*from, *to, Family::v4, bytes, [&](unsigned mtu) { return set_path_mtu(mtu); });
        }
    }
    // The outer header has no DF, so the router cuts in two what is too long, and the pods' path is as wide as ever.
    for (const auto *pair : pairs()) {
        SCOPED_TRACE(pair->kind);
        WEFT_EXPECT_OK(ping(pair->pod->ns, pair->peer->address, 3, "-M do -s 1422"));
        WEFT_EXPECT_OK(udp_echo(pair->pod->ns, pair->peer->address, {1300, 1322, 1323, 1422, 9000, 65507}, 3));
        WEFT_EXPECT_OK(udp_segmented_echo(pair->pod->ns, pair->peer->address, 56000, 1400, 3));
        WEFT_EXPECT_OK(tcp_transfer(*pair->near_node, pair->peer->address, 16 * kMiB));
    }
    expect_no_drops(*weft_near_);
    expect_no_drops(*weft_far_);
}

/// An ICMP error about a tunnel packet from the near node to the far one, as somebody on the way would send it.
Bytes error_about_tunnel(const Pair &pair, std::uint8_t type, std::uint8_t code, std::uint16_t mtu) {
    const std::vector<std::uint8_t> vxlan{8, 0, 0, 0, 0, 0, 1, 0};
    auto about = Tins::IP(pair.far_address, pair.near_address) / Tins::UDP(8472, 40000) / Tins::RawPDU(vxlan);
    Tins::ICMP icmp(static_cast<Tins::ICMP::Flags>(type));
    icmp.code(code);
    icmp.mtu(mtu);
    icmp.inner_pdu(Tins::RawPDU(about.serialize()));
    return icmp.serialize();
}

TEST_P(BehindANarrowLink, ErrorsAboutTunnelPacketsStopNothing) {
    WEFT_ASSERT_ASSIGN(const auto router, RawSocket::open(cluster_->router(), IPPROTO_ICMP));
    struct Error {
        const char *name;
        std::uint8_t type, code;
        std::uint16_t mtu = 0;
    };
    for (const auto &[name, type, code, mtu] : {Error{"host unreachable", 3, 1}, Error{"port unreachable", 3, 3},
                                                Error{"time exceeded", 11, 0}, Error{"frag needed", 3, 4, 1000}}) {
        for (const auto *pair : pairs()) {
            SCOPED_TRACE(fmt::format("{}, {}", pair->kind, name));
            WEFT_ASSERT_OK(router.send(pair->near_address, error_about_tunnel(*pair, type, code, mtu)));
            WEFT_EXPECT_OK(ping(pair->pod->ns, pair->peer->address, 2, "-M do -s 1422"));
            WEFT_EXPECT_OK(udp_echo(pair->pod->ns, pair->peer->address, {100, 1422, 5000}));
            WEFT_EXPECT_OK(tcp_transfer(pair->pod->ns, pair->peer->address, 4 * kMiB));
            if (mtu == 0) continue;
            WEFT_ASSERT_ASSIGN(const auto route, pair->near_node->run("ip route get " + pair->far_address));
            EXPECT_NE(route.find(fmt::format("mtu {}", mtu)), route.npos) << "the node itself heard it: " << route;
        }
    }
    // weftd looks at paths again when a route changes. What the kernel has learnt then counts for the tunnel too, and it is the
    // kernel that cuts the outer packets, as on flannel's node all along.
    const auto mtu_of_lease = [&] {
        const auto leases = weft_near_->weftctl("leases");
        for (const auto &lease : leases ? *leases : nlohmann::json::array())
            if (lease.value("node", "") == weft_.far_address) return lease.value("mtu", 0);
        return 0;
    };
    EXPECT_EQ(mtu_of_lease(), 1450);
    WEFT_ASSERT_OK(weft_.near_node->ip("route add 203.0.113.0/24 via 192.0.2.254"));
    EXPECT_TRUE(wait_until([&] { return mtu_of_lease() == 950; })) << mtu_of_lease();
    WEFT_EXPECT_OK(ping(weft_.pod->ns, weft_.peer->address, 2, "-M do -s 1422"));
    WEFT_EXPECT_OK(udp_echo(weft_.pod->ns, weft_.peer->address, {100, 1422, 5000}));
    WEFT_EXPECT_OK(tcp_transfer(weft_.pod->ns, weft_.peer->address, 16 * kMiB));
}

/// Both places of the pop, both wires.
const auto kTwoSetups = testing::Values(Setup{"tc", WireMode::offload}, Setup{"xdp", WireMode::bare});

INSTANTIATE_TEST_SUITE_P(Setups, BehindANarrowLink, kTwoSetups, setup_name);

class NarrowEnds : public SideBySide {
protected:
    void SetUp() override {
        WEFT_REQUIRES(requires_tools({"tracepath"}));
        SideBySide::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        build(false);
    }

    Status set_uplink_mtu(const Pair &pair, unsigned mtu) {
        for (const auto *node : {pair.near_node, pair.far_node})
            if (auto set = node->ip(fmt::format("link set eth0 mtu {}", mtu)); !set) return set;
        return {};
    }
};

/// "pmtu 1350" of tracepath's last line.
std::string path_mtu(const Pair &pair) {
    const auto out = pair.pod->ns.run("tracepath -n " + pair.peer->address);
    if (!out) return out.error().sentence();
    const auto at = out->find("Resume: ");
    return at == out->npos ? *out : out->substr(at + 8, out->find(" hops", at) - at - 8);
}

TEST_P(NarrowEnds, ATransferGoesOnWhenTheUplinksNarrow) {
    for (const auto *pair : pairs()) {
        SCOPED_TRACE(pair->kind);
        for (const auto &[from, to] : {std::pair{pair->pod, pair->peer}, std::pair{pair->peer, pair->pod}})
            expect_transfer_survives(*from, *to, Family::v4, bulk(GetParam(), 256 * kMiB),
                                     [&](unsigned mtu) { return set_uplink_mtu(*pair, mtu); });
        // Who sends a datagram that has become too long loses it, and knows better from then on.
        const auto datagrams = [&] {
            return udp_echo(pair->pod->ns, pair->peer->address, {1322, 1323, 1422, 9000}, 3);
        };
        (void)datagrams();
        WEFT_EXPECT_OK(datagrams());
    }
    // flannel's devices keep their MTU, so the kernel cuts every long tunnel packet. weft's follow, and the pods learn of it.
    EXPECT_EQ(path_mtu(flannel_), "pmtu 1450");
    EXPECT_EQ(path_mtu(weft_), "pmtu 1350");
    WEFT_ASSERT_ASSIGN(const auto env, read_file(weft_near_->subnet_file()));
    EXPECT_NE(env.find("FLANNEL_MTU=1350"), env.npos) << "pods to come: " << env;
    WEFT_ASSERT_ASSIGN(const auto before, weft_far_->counters());
    WEFT_EXPECT_OK(tcp_transfer(weft_.pod->ns, weft_.peer->address, 16 * kMiB));
    WEFT_ASSERT_ASSIGN(const auto after, weft_far_->counters());
    EXPECT_EQ(count(after.all - before.all, "from_wire/outer_fragment"), 0u);
}

TEST_P(NarrowEnds, APodWithANarrowInterfaceIsServed) {
    for (const auto *pair : pairs()) {
        SCOPED_TRACE(pair->kind);
        WEFT_ASSERT_OK(pair->peer->ns.ip("link set eth0 mtu 1400"));
        WEFT_EXPECT_OK(ping(pair->pod->ns, pair->peer->address, 2, "-s 1372"));
        WEFT_EXPECT_OK(udp_echo(pair->pod->ns, pair->peer->address, {1, 1372}, 3));
        for (const auto direction : {Direction::send, Direction::receive})
            WEFT_EXPECT_OK(tcp_transfer(pair->pod->ns, pair->peer->address, 32 * kMiB, {.direction = direction}));
    }
}

INSTANTIATE_TEST_SUITE_P(Setups, NarrowEnds, kTwoSetups, setup_name);

} // namespace
} // namespace weft::test

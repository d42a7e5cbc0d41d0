// SPDX-License-Identifier: Apache-2.0
// Packets that the "hardware" is to finish: segmented, joined, summed up. Whatever a pod, a node or the wire has switched on or
// off, what arrives is what was sent.
#include <gtest/gtest.h>

#include <cstdlib>

#include <fmt/format.h>

#include "capture.hpp"
#include "side_by_side.hpp"

namespace weft::test {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

class Offload : public SideBySide {
protected:
    void SetUp() override {
        SideBySide::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        build(false);
    }
};

TEST_P(Offload, UdpInSegmentsArrivesAsDatagrams) {
    struct Way {
        const char *name;
        const Pod *from, *to;
    };
    const Way ways[] = {{"weft to weft", weft_.pod, weft_.peer},
                        {"weft, same node", weft_.pod, weft_.neighbour},
                        {"weft to flannel", weft_.pod, flannel_.peer},
                        {"flannel to weft", flannel_.pod, weft_.peer},
                        {"flannel to flannel", flannel_.pod, flannel_.peer}};
    for (const auto &[name, from, to] : ways) {
        for (const auto port : {kTrafficPort, kJoiningEchoPort}) {
            for (const auto &[bytes, segment] :
                 {std::pair<std::size_t, std::uint16_t>{60000, 1400}, {2801, 1400}, {1422 * 40, 1422}, {6400, 100}}) {
                SCOPED_TRACE(fmt::format("{}, port {}, {} bytes by {}", name, port, bytes, segment));
                WEFT_EXPECT_OK(udp_segmented_echo(from->ns, to->address, bytes, segment, 3, port));
            }
        }
    }
}

Status set_features(const Netns &ns, std::string_view interface, std::string_view features) {
    auto set = ns.run(words(fmt::format("ethtool -K {} {}", interface, features)));
    if (!set) return fail_as_is(std::move(set));
    return {};
}

/// TCP segments that a namespace had to send again.
std::uint64_t retransmitted(const Netns &ns) {
    const auto text = ns.run("nstat -asz TcpRetransSegs");
    const auto at = text ? text->find("TcpRetransSegs") : std::string::npos;
    return at == std::string::npos ? 0 : std::strtoull(text->c_str() + at + 14, nullptr, 10);
}

constexpr const char *kSending[] = {"tx off tso off gso off", "tx on tso off gso off", "tx on tso off gso on",
                                    "tx on tso on gso on"};

TEST_P(Offload, WhateverPodsSwitchOff) {
    std::string resent;
    for (const auto *of_pod : kSending) {
        for (const auto *of_peer : {kSending[0], kSending[3]}) {
            for (const auto *joining : {"gro on", "gro off"}) {
                for (const auto *pair : pairs()) {
                    SCOPED_TRACE(fmt::format("{}: pod {}, peer {} {}", pair->kind, of_pod, of_peer, joining));
                    WEFT_ASSERT_OK(set_features(pair->pod->ns, "eth0", of_pod));
                    WEFT_ASSERT_OK(set_features(pair->peer->ns, "eth0", fmt::format("{} {}", of_peer, joining)));
                    const auto before = retransmitted(pair->pod->ns) + retransmitted(pair->peer->ns);
                    for (const auto direction : {Direction::send, Direction::receive}) {
                        WEFT_ASSERT_ASSIGN(const auto done, tcp_transfer(pair->pod->ns, pair->peer->address, 8 * kMiB,
                                                                         {.direction = direction}));
                        EXPECT_LT(done.longest_pause_s, 2.0);
                    }
                    if (pair == &weft_) {
                        WEFT_EXPECT_OK(udp_echo(pair->pod->ns, pair->peer->address, {1, 1422, 9000}));
                    }
                    const auto again = retransmitted(pair->pod->ns) + retransmitted(pair->peer->ns) - before;
                    EXPECT_LT(again, 16 * kMiB / 1400 / 10) << "a tenth of all segments";
                    resent += fmt::format(" {}:{}", pair->kind[0], again);
                }
            }
        }
    }
    fmt::print("segments sent again, flannel and weft in turn:{}\n", resent);
}

/// A service of the peer's, with the rules of kube-proxy that matter: to a cluster address, or to a port of the near node.
Status serve_behind(const Pair &pair) {
    const auto rules = fmt::format("*nat\n"
                                   "-A PREROUTING -d 10.96.0.10 -p tcp -j DNAT --to {0}\n"
                                   "-A PREROUTING -d 10.96.0.10 -p udp -j DNAT --to {0}\n"
                                   "-A OUTPUT -d 10.96.0.10 -p tcp -j DNAT --to {0}\n"
                                   "-A OUTPUT -d 10.96.0.10 -p udp -j DNAT --to {0}\n"
                                   "-A PREROUTING -d {1} -p tcp --dport 30000 -j DNAT --to {0}:5000\n"
                                   "-A PREROUTING -d {1} -p udp --dport 30000 -j DNAT --to {0}:5000\n"
                                   "-A POSTROUTING ! -s 10.244.0.0/16 -d {0} -j MASQUERADE --random-fully\n"
                                   "COMMIT\n",
                                   pair.peer->address, pair.near_address);
    auto set = pair.near_node->run({"iptables-restore", "--noflush"}, {.input = rules});
    if (!set) return fail_as_is(std::move(set));
    return {};
}

/// Half-done checksums that NAT rewrites on their way into the tunnel: where flannel's users waited for 63 s.
TEST_P(Offload, NatLeavesNoBadChecksum) {
    WEFT_ASSERT_OK(serve_behind(weft_));
    std::optional<Capture> capture;
    if (GetParam().wire == WireMode::bare) { // elsewhere the "hardware" has yet to sum up what is captured
        WEFT_ASSERT_ASSIGN(capture, Capture::start(cluster_->lan().netns(), Segment::port(2), "udp port 8472"));
    }
    struct Client {
        const char *name;
        const Netns *from;
        std::string to;
        std::uint16_t port;
    };
    const Client clients[] = {{"pod", &weft_.pod->ns, "10.96.0.10", kTrafficPort},
                              {"node", weft_.near_node, "10.96.0.10", kTrafficPort},
                              {"world", &cluster_->world(), weft_.near_address, 30000}};
    for (const auto &[name, from, to, port] : clients) {
        SCOPED_TRACE(name);
        for (const auto direction : {Direction::send, Direction::receive}) {
            WEFT_ASSERT_ASSIGN(const auto done, tcp_transfer(*from, to, 2 * kMiB,
                                                             {.direction = direction, .port = port, .timeout = 20s}));
            EXPECT_LT(done.seconds, 5.0);
        }
        WEFT_EXPECT_OK(udp_echo(*from, to, {1, 100, 1400, 1422, 4000}, 2, port));
        // The kernel refuses UDP_SEGMENT (EIO) where the route's device cannot sum up: the node's uplink on a bare wire.
        if (from == weft_.near_node && GetParam().wire == WireMode::bare) continue;
        WEFT_EXPECT_OK(udp_segmented_echo(*from, to, 20000, 1000, 2, port));
    }
    if (!capture) return;
    WEFT_ASSERT_ASSIGN(const auto frames, capture->vxlan_frames());
    EXPECT_GT(frames.size(), 5000u);
    for (const auto &frame : frames) {
        ASSERT_NE(frame.outer.l4_checksum, Ip4View::Checksum::invalid) << frame.to_string();
        ASSERT_TRUE(frame.inner && frame.inner->header_checksum_valid) << frame.to_string();
        if (!frame.inner->fragment) {
            ASSERT_EQ(frame.inner->l4_checksum, Ip4View::Checksum::valid) << frame.to_string();
        }
    }
}

/// Makes `relay` pass port 6000 on to the traffic server of `to`, as itself: a proxy or a VPN in a pod.
Status relay_through(const Pod &relay, const Pod &to) {
    if (auto set = relay.ns.sysctl("net.ipv4.ip_forward", "1"); !set) return set;
    const auto rules = fmt::format("*nat\n"
                                   "-A PREROUTING -p tcp --dport 6000 -j DNAT --to {0}:5000\n"
                                   "-A PREROUTING -p udp --dport 6000 -j DNAT --to {0}:5000\n"
                                   "-A POSTROUTING -j MASQUERADE\n"
                                   "COMMIT\n",
                                   to.address);
    auto set = relay.ns.run({"iptables-restore"}, {.input = rules});
    if (!set) return fail_as_is(std::move(set));
    return {};
}

/// A packet that came joined out of the tunnel goes into it again: the kernel still takes it for tunnelled.
TEST_P(Offload, APodPassesPacketsOn) {
    struct Way {
        const char *name;
        const Pair *relay;
        const Pod *to;
    };
    const Way ways[] = {{"back to a weft node", &weft_, weft_.neighbour},
                        {"on to a flannel node", &weft_, flannel_.pod},
                        {"by a flannel pod to a weft node", &flannel_, weft_.neighbour},
                        {"by a flannel pod to a flannel node", &flannel_, flannel_.neighbour}};
    for (const auto &[name, relay, to] : ways) {
        SCOPED_TRACE(name);
        WEFT_ASSERT_OK(relay_through(*relay->peer, *to));
        for (const auto direction : {Direction::send, Direction::receive}) {
            WEFT_ASSERT_ASSIGN(const auto done, tcp_transfer(relay->pod->ns, relay->peer->address, 32 * kMiB,
                                                             {.direction = direction, .port = 6000, .timeout = 30s}));
            EXPECT_LT(done.longest_pause_s, 2.0);
        }
        WEFT_EXPECT_OK(udp_echo(relay->pod->ns, relay->peer->address, {1, 1422, 9000}, 2, 6000));
        WEFT_EXPECT_OK(udp_segmented_echo(relay->pod->ns, relay->peer->address, 56000, 1400, 2, 6000));
    }
}

INSTANTIATE_TEST_SUITE_P(Setups, Offload, kEverySetup, setup_name);

/// 9000 bytes on the uplink, 8950 in pods: in XDP a frame of several buffers.
class Jumbo : public ClusterTest {};

TEST_P(Jumbo, LongFramesCrossWhole) {
    WEFT_ASSERT_ASSIGN(auto *one, cluster_->add_node());
    WEFT_ASSERT_ASSIGN(auto *two, cluster_->add_node());
    for (const auto *node : {one, two}) WEFT_ASSERT_OK(node->netns().ip("link set eth0 mtu 9000"));
    for (const auto n : {0, 1, 2})
        WEFT_ASSERT_OK(cluster_->lan().netns().ip(fmt::format("link set {} mtu 9000", Segment::port(n))));
    WEFT_ASSERT_OK(cluster_->settle());
    for (const auto *node : {one, two}) {
        EXPECT_TRUE(wait_until([&] {
            const auto env = read_file(node->subnet_file());
            return env && env->find("FLANNEL_MTU=8950") != env->npos;
        })) << node->name();
    }
    WEFT_ASSERT_ASSIGN(auto *from, one->add_pod());
    WEFT_ASSERT_ASSIGN(auto *to, two->add_pod());
    WEFT_EXPECT_OK(ping(from->ns, to->address, 2, "-M do -s 8922"));
    WEFT_EXPECT_OK(udp_echo(from->ns, to->address, {1, 1422, 4000, 8000, 8922, 8923, 20000, 65507}, 5));
    WEFT_EXPECT_OK(udp_segmented_echo(from->ns, to->address, 62454, 8922, 3));
    for (const auto direction : {Direction::send, Direction::receive})
        WEFT_EXPECT_OK(tcp_transfer(from->ns, to->address, 64 * kMiB, {.direction = direction}));
    WEFT_ASSERT_ASSIGN(const auto counters, two->counters());
    EXPECT_GT(count(counters.all, pop_counter(GetParam())), 64 * kMiB / 9000) << to_string(counters.all);
    expect_no_drops(*one);
    expect_no_drops(*two);
}

INSTANTIATE_TEST_SUITE_P(Setups, Jumbo, kEverySetup, setup_name);

} // namespace
} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
// A weft node and a flannel node in one cluster.
#include <gtest/gtest.h>

#include <map>
#include <vector>

#include <fmt/format.h>

#include "capture.hpp"
#include "shared_cluster.hpp"

namespace weft::test {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

/// Flannel counts 50 bytes for headers that are 70 over IPv6, and its pods have 1450 where weft's have 1430; its host has 1500
/// where it sends without headers. They learn what fits by losing a packet, a whole one and one in fragments.
void learn_path(const Setup &setup, const Netns &from, const std::string &to) {
    if (!has_v6(setup.pods) || setup.backend == "host-gw") return;
    for (const std::size_t size : {1402, 1422, 1440, 9000})
        (void)udp_exchange(from, to, {.sizes = {size}, .answer_within = 100ms});
}

/// One node of each kind with a pod: members of a test, so to speak.
struct BothKinds {
    Status build(Cluster &cluster, const Setup &setup) {
        auto weft = cluster.add_node();
        auto flannel = cluster.add_flannel_node(setup.backend);
        if (!weft) return fail_as_is(std::move(weft));
        if (!flannel) return fail_as_is(std::move(flannel));
        if (auto settled = cluster.settle(); !settled) return settled;
        auto weft_pod = (*weft)->add_pod();
        auto flannel_pod = (*flannel)->add_pod();
        if (!weft_pod) return fail_as_is(std::move(weft_pod));
        if (!flannel_pod) return fail_as_is(std::move(flannel_pod));
        weft_ = *weft, flannel_ = *flannel, weft_pod_ = *weft_pod, flannel_pod_ = *flannel_pod;
        return {};
    }

    WeftNode *weft_ = nullptr;
    FlannelNode *flannel_ = nullptr;
    Pod *weft_pod_ = nullptr, *flannel_pod_ = nullptr;
};

class MixedCluster : public SharedClusterTest<BothKinds>, protected BothKinds {
protected:
    void SetUp() override {
        SharedClusterTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        BothKinds::operator=(nodes());
    }
    void TearDown() override {
        if (weft_) expect_no_drops(*weft_);
        SharedClusterTest::TearDown();
    }

    void expect_transfers(const Netns &from, const std::string &to, const std::string &seen_as, std::uint64_t bytes) {
        for (const auto direction : {Direction::send, Direction::receive}) {
            WEFT_ASSERT_ASSIGN(const auto transfer, tcp_transfer(from, to, bytes, {.direction = direction}));
            EXPECT_EQ(transfer.seen_as, seen_as) << from.name() << " to " << to;
        }
    }

    /// The flannel node's own address in the pod network; without a device of its backend's it has none, and is seen as itself.
    [[nodiscard]] std::string flannel_address(Family family) const {
        return GetParam().has_outer_headers() ? flannel_->base_address(family) : Cluster::node_address(2, family);
    }
    [[nodiscard]] std::vector<Family> families() const { return members(GetParam().pods); }
};

TEST_P(MixedCluster, PodsReachEachOther) {
    WEFT_ASSERT_ASSIGN(const auto before, weft_->counters());
    for (const auto family : families()) {
        const auto &weft = weft_pod_->at(family), &flannel = flannel_pod_->at(family);
        WEFT_EXPECT_OK(ping(weft_pod_->ns, flannel));
        WEFT_EXPECT_OK(ping(flannel_pod_->ns, weft));
        learn_path(GetParam(), flannel_pod_->ns, weft);
        const std::size_t full = GetParam().mtu() - header_size(family) - 8;
        for (const std::size_t size :
             {std::size_t{1}, std::size_t{64}, full, full + 1, std::size_t{9000}, std::size_t{60000}}) {
            WEFT_EXPECT_OK(udp_echo(weft_pod_->ns, flannel, {size}, 5));
            WEFT_EXPECT_OK(udp_echo(flannel_pod_->ns, weft, {size}, 5));
        }
        expect_transfers(weft_pod_->ns, flannel, weft, 32 * kMiB);
        expect_transfers(flannel_pod_->ns, weft, flannel, 32 * kMiB);
    }
    WEFT_ASSERT_ASSIGN(const auto after, weft_->counters());
    const auto counted = after.all - before.all;
    // What flannel gets over IPv6 needs a checksum, which the kernel's driver computes.
    EXPECT_GE(count(counted, "from_pod/encap") + count(counted, "from_pod/via_driver"),
              families().size() * 64 * kMiB / 1500)
        << to_string(counted);
    EXPECT_GE(count(counted, pop_counter(GetParam())), families().size() * 64 * kMiB / 1500) << to_string(counted);
}

TEST_P(MixedCluster, NodesReachEachOthersPods) {
    WEFT_ASSERT_ASSIGN(const auto weft_server, serve_traffic(weft_->netns()));
    WEFT_ASSERT_ASSIGN(const auto flannel_server, serve_traffic(flannel_->netns()));
    for (const auto family : families()) {
        WEFT_ASSERT_ASSIGN(const auto base, weft_->base_address(family));
        const auto &weft = weft_pod_->at(family), &flannel = flannel_pod_->at(family);
        WEFT_EXPECT_OK(ping(weft_->netns(), flannel));
        WEFT_EXPECT_OK(ping(flannel_->netns(), weft));
        learn_path(GetParam(), flannel_pod_->ns, base);
        learn_path(GetParam(), flannel_->netns(), weft);
        expect_transfers(weft_->netns(), flannel, base, 4 * kMiB);
        expect_transfers(flannel_->netns(), weft, flannel_address(family), 4 * kMiB);
        if (flannel_address(family) == flannel_->base_address(family)) // else nothing there has it
            expect_transfers(weft_pod_->ns, flannel_->base_address(family), weft, 4 * kMiB);
        expect_transfers(flannel_pod_->ns, base, flannel, 4 * kMiB);
        expect_transfers(flannel_->netns(), base, flannel_address(family), 4 * kMiB);
        WEFT_EXPECT_OK(udp_echo(weft_->netns(), flannel, {1, 1422, 9000}, 5));
        WEFT_EXPECT_OK(udp_echo(flannel_->netns(), weft, {1, 1422, 9000}, 5));
    }
}

TEST_P(MixedCluster, AFlannelNodeThatJoinsLaterIsReached) {
    WEFT_ASSERT_ASSIGN(auto *late, cluster().add_flannel_node(GetParam().backend));
    WEFT_ASSERT_OK(cluster().settle());
    WEFT_ASSERT_ASSIGN(auto *late_pod, late->add_pod());
    for (const auto family : families()) {
        WEFT_EXPECT_OK(ping(weft_pod_->ns, late_pod->at(family)));
        expect_transfers(late_pod->ns, weft_pod_->at(family), late_pod->at(family), 4 * kMiB);
    }
}

INSTANTIATE_TEST_SUITE_P(Setups, MixedCluster, kEverySetup, setup_name);
// This kernel has no ipip device to be the other side.
INSTANTIATE_TEST_SUITE_P(Backends, MixedCluster,
                         testing::ValuesIn(with_backends({"host-gw", "direct"},
                                                         {{"tc", WireMode::offload}, {"xdp", WireMode::bare}})),
                         setup_name);
// Not where the wire carries half-done checksums: a process that reads the inner packet from a socket gets it as it is, and no
// NIC ever delivers such a one.
INSTANTIATE_TEST_SUITE_P(Udp, MixedCluster,
                         testing::ValuesIn(with_backends({"udp"}, {{"tc", WireMode::bare}, {"xdp", WireMode::bare}})),
                         setup_name);

// Flannel carries IPv6 over IPv6 only, with a second device.
INSTANTIATE_TEST_SUITE_P(Ipv6, MixedCluster, testing::ValuesIn([] {
                             std::vector<Setup> setups;
                             for (const auto families : {Families::dual, Families::v6})
                                 for (auto setup :
                                      with_backends({"vxlan", "host-gw", "direct"},
                                                    {{"tc", WireMode::offload}, {"xdp", WireMode::bare}})) {
                                     setup.pods = setup.underlay = families;
                                     setups.push_back(std::move(setup));
                                 }
                             return setups;
                         }()),
                         setup_name);

/// EnableIPv6 in a cluster with a flannel that was started without it.
class Ipv4OnlyFlannel : public ClusterTest {};

TEST_P(Ipv4OnlyFlannel, SurvivesWeftAndKeepsNobodyFromIpv6AfterItsEnd) {
    WEFT_ASSERT_ASSIGN(auto *flannel, cluster_->add_flannel_node("vxlan", false, Families::v4));
    WEFT_ASSERT_ASSIGN(auto *one, cluster_->add_node());
    WEFT_ASSERT_ASSIGN(auto *two, cluster_->add_node());
    for (auto *node : {one, two}) WEFT_ASSERT_OK(node->wait_for_leases(2));
    WEFT_ASSERT_OK(flannel->sync(cluster_->etcd())); // an error if it ends
    WEFT_ASSERT_ASSIGN(auto *flannel_pod, flannel->add_pod());
    WEFT_ASSERT_ASSIGN(auto *pod_one, one->add_pod());
    WEFT_ASSERT_ASSIGN(auto *pod_two, two->add_pod());
    EXPECT_EQ(pod_one->address6, "");
    for (const auto *pod : {pod_one, pod_two}) {
        WEFT_EXPECT_OK(ping(flannel_pod->ns, pod->address));
        WEFT_EXPECT_OK(tcp_transfer(pod->ns, flannel_pod->address, kMiB));
    }

    WEFT_ASSERT_ASSIGN(auto running, SteadyFlow::start(pod_one->ns, pod_two->address));
    const auto base = flannel->base_address();
    WEFT_ASSERT_OK(cluster_->etcd().del(fmt::format("/coreos.com/network/subnets/{}-24", base)));
    for (const auto *node : {one, two})
        ASSERT_TRUE(wait_until([&] { return node->base_address(Family::v6).has_value(); })) << node->name();
    WEFT_ASSERT_ASSIGN(auto *new_one, one->add_pod());
    WEFT_ASSERT_ASSIGN(auto *new_two, two->add_pod());
    EXPECT_TRUE(wait_until([&] { return ping(new_one->ns, new_two->address6, 1).has_value(); }));
    WEFT_EXPECT_OK(tcp_transfer(new_two->ns, new_one->address6, kMiB));
    WEFT_EXPECT_OK(tcp_transfer(new_one->ns, pod_two->address, kMiB));
    WEFT_ASSERT_ASSIGN(const auto flow, running.report());
    EXPECT_EQ(flow.lost, 0u) << "of " << flow.sent << ", longest pause " << flow.longest_pause_ms << " ms";
}

INSTANTIATE_TEST_SUITE_P(Setups, Ipv4OnlyFlannel,
                         testing::Values(Setup{.datapath = "tc",
                                               .wire = WireMode::offload,
                                               .pods = Families::dual,
                                               .underlay = Families::dual}),
                         setup_name);

/// vxlan with DirectRouting: a weft and a flannel node on one segment, and one of each behind a router.
class MixedSegments : public ClusterTest {};

TEST_P(MixedSegments, EachPeerIsReachedAsItCanBe) {
    WEFT_ASSERT_ASSIGN(auto *near, cluster_->add_node());
    WEFT_ASSERT_ASSIGN(auto *far, cluster_->add_node(true));
    WEFT_ASSERT_ASSIGN(auto *flannel_near, cluster_->add_flannel_node("direct"));
    WEFT_ASSERT_ASSIGN(auto *flannel_far, cluster_->add_flannel_node("direct", true));
    WEFT_ASSERT_OK(cluster_->settle());
    std::vector<Pod *> weft_pods(2), flannel_pods(2);
    WEFT_ASSERT_ASSIGN(weft_pods[0], near->add_pod());
    WEFT_ASSERT_ASSIGN(weft_pods[1], far->add_pod());
    WEFT_ASSERT_ASSIGN(flannel_pods[0], flannel_near->add_pod());
    WEFT_ASSERT_ASSIGN(flannel_pods[1], flannel_far->add_pod());

    WEFT_ASSERT_ASSIGN(const auto leases, near->weftctl("leases"));
    std::map<std::string, std::string> ways, expected;
    for (const auto &lease : leases) ways[lease.value("node", "")] = lease.value("encap", "");
    for (const auto family : members(GetParam().pods)) {
        expected[Cluster::node_address(3, family)] = "direct";
        for (const auto n : {2U, 4U})
            expected[Cluster::node_address(n, family, true)] = family == Family::v4 ? "vxlan" : "vxlan6";
    }
    EXPECT_EQ(ways, expected) << leases;
    for (const auto family : members(GetParam().pods)) {
        for (auto *weft : weft_pods)
            for (auto *flannel : flannel_pods) {
                WEFT_EXPECT_OK(ping(weft->ns, flannel->at(family), 1));
                WEFT_EXPECT_OK(ping(flannel->ns, weft->at(family), 1));
                learn_path(GetParam(), flannel->ns, weft->at(family));
                WEFT_EXPECT_OK(udp_echo(weft->ns, flannel->at(family), {1, 1400, 9000}));
                for (const auto direction : {Direction::send, Direction::receive}) {
                    WEFT_ASSERT_ASSIGN(const auto transfer,
                                       tcp_transfer(weft->ns, flannel->at(family), 4 * kMiB, {.direction = direction}));
                    EXPECT_EQ(transfer.seen_as, weft->at(family));
                }
            }
        for (const auto *node : {flannel_near, flannel_far})
            for (const auto *pod : weft_pods) WEFT_EXPECT_OK(ping(node->netns(), pod->at(family), 1));
        for (const auto *node : {near, far})
            for (const auto *pod : flannel_pods) WEFT_EXPECT_OK(ping(node->netns(), pod->at(family), 1));
    }
    for (const auto *node : {near, far}) expect_no_drops(*node);
}

INSTANTIATE_TEST_SUITE_P(Backends, MixedSegments,
                         testing::ValuesIn(with_backends({"direct"},
                                                         {{"tc", WireMode::offload}, {"xdp", WireMode::bare}})),
                         setup_name);

INSTANTIATE_TEST_SUITE_P(Ipv6, MixedSegments,
                         testing::Values(Setup{.datapath = "tc",
                                               .wire = WireMode::bare,
                                               .backend = "direct",
                                               .pods = Families::dual,
                                               .underlay = Families::dual}),
                         setup_name);

/// On the bare wire, where a frame is what it would be on a cable.
class MixedWire : public MixedCluster {};

/// What may not differ between the two kinds of node. Identification and source port are each sender's own.
std::string outer_shape(const VxlanFrame &frame) {
    return fmt::format(
        "ttl {} tos {:#x} DF {} fragment {} port {} flags {:#x} reserved zero {} vni {} length {} inner ttl {}",
        frame.outer.ttl, frame.outer.tos, frame.outer.dont_fragment, frame.outer.fragment, frame.outer.destination_port,
        frame.flags, frame.reserved_zero, frame.vni,
        frame.outer.total_length - (frame.inner ? frame.inner->total_length : 0), frame.inner ? frame.inner->ttl : 0);
}

TEST_P(MixedWire, OuterHeadersAreAlike) {
    WEFT_ASSERT_ASSIGN(auto capture, Capture::start(cluster().lan().netns(), Segment::port(1), "udp port 8472"));
    expect_transfers(weft_pod_->ns, flannel_pod_->address, weft_pod_->address, kMiB);
    WEFT_EXPECT_OK(udp_echo(weft_pod_->ns, flannel_pod_->address, {1, 1422}, 3));
    WEFT_EXPECT_OK(ping(weft_pod_->ns, flannel_pod_->address, 1, "-Q 0x02"));
    WEFT_EXPECT_OK(ping(weft_pod_->ns, flannel_pod_->address, 1, "-Q 0xb8"));
    WEFT_ASSERT_ASSIGN(const auto frames, capture.vxlan_frames());
    std::map<std::string, std::string> shapes[2]; // by shape: an example; [0] weft's, [1] flannel's
    for (const auto &frame : frames) {
        const bool from_weft = frame.outer.source.to_string() == "192.0.2.1";
        EXPECT_TRUE(frame.outer.header_checksum_valid && frame.outer.length_valid && frame.outer.l4_length_valid &&
                    frame.outer.l4_checksum != Ip4View::Checksum::invalid)
            << frame.to_string();
        shapes[from_weft ? 0 : 1].emplace(outer_shape(frame), frame.to_string());
    }
    EXPECT_GE(shapes[0].size(), 2u);
    for (const auto &[shape, example] : shapes[0]) EXPECT_TRUE(shapes[1].contains(shape)) << "only weft: " << example;
    for (const auto &[shape, example] : shapes[1])
        EXPECT_TRUE(shapes[0].contains(shape)) << "only flannel: " << example;
}

INSTANTIATE_TEST_SUITE_P(Setups, MixedWire, kBareSetups, setup_name);

} // namespace
} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
// The programs as --fast-path=off loads them: they still judge who may send through the tunnel, and push what the host sends,
// and leave everything else to the stack. On a node of IPv4 and VXLAN alone, as most are.
#include "harness.hpp"

namespace weft::prog_run {
namespace {

using namespace world;

constexpr Context kOff{.fast_path = false};

Bytes sent(const Ip4 &to, const Tins::PDU &what = tcp()) {
    auto frame = eth(kPodHostMac, kPodMac) / ip(kPod, to);
    return bytes_of(frame /= what);
}
Outer from_node(const Ip4 &node) {
    Outer outer;
    outer.src = node;
    return outer;
}
Outer to_node(const Ip4 &node) {
    Outer outer;
    outer.dst = node;
    return outer;
}

class FromPodOff : public ::testing::TestWithParam<Row> {};
TEST_P(FromPodOff, Row) { expect_row(WEFT_HOOK_FROM_POD, GetParam()); }
INSTANTIATE_TEST_SUITE_P(
    Table, FromPodOff,
    ::testing::Values(Row{"to a pod of another node", sent(kPeerPod), "fast_path_off", {}, kOff},
                      Row{"to a pod on the same node", sent(kNeighbourPod), "fast_path_off", {}, kOff},
                      Row{"what this node takes for no tunnels", sent(kPeer, udp(8285)), "not_pod_network", {}, kOff},
                      Row{"nor this", sent(kPeer, ip(kPod, kPeerPod) / tcp()), "not_pod_network", {}, kOff},
                      Row{"but this", sent(kPeer, udp(8472)), "pod_tunnel", {}, kOff},
                      Row{"to the world outside", sent(kOutside), "not_pod_network", {}, kOff}),
    row_name);

class FromWireOff : public ::testing::TestWithParam<Row> {};
TEST_P(FromWireOff, Tc) { expect_row(WEFT_HOOK_FROM_WIRE, GetParam()); }
TEST_P(FromWireOff, Xdp) { expect_row(WEFT_HOOK_XDP_WIRE, GetParam()); }
INSTANTIATE_TEST_SUITE_P(
    Table, FromWireOff,
    ::testing::Values(
        Row{"to a pod of ours", tunnel(ip(kPeerPod, kPod, 63) / tcp()), "fast_path_off", {}, kOff},
        Row{"to the node itself", tunnel(ip(kPeerPod, kNoPod, 63) / tcp()), "no_pod", {}, kOff},
        Row{"to another node", tunnel(ip(kPeerPod, kPod) / tcp(), to_node(kStranger)), "not_overlay", {}, kOff},
        Row{"from a stranger",
            tunnel(ip(kPeerPod, kPod, 63) / tcp(), from_node(kStranger)),
            "unknown_sender",
            {},
            kOff}),
    row_name);

TEST(FromHostOff, StillPushesWhatTheHostSends) {
    auto &programs = Programs::instance();
    if (!programs.available()) GTEST_SKIP() << programs.why_not();
    WEFT_NEEDS_FEATURE(push_vxlan);
    const auto packet = bytes_of(eth(kPeerVtepMac, kVtepMac) / ip(kPod, kPeerPod, 63) / tcp());
    const auto out = programs.run(WEFT_HOOK_FROM_HOST, packet, kOff);
    EXPECT_EQ(out.reasons, (std::map<std::string, std::uint64_t>{{"encap", 1}}));
    EXPECT_EQ(out.packet.size(), packet.size() + kOverhead);
}

} // namespace
} // namespace weft::prog_run

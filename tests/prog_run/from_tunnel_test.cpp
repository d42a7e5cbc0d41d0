// SPDX-License-Identifier: Apache-2.0
// What the kernel's vxlan device has taken off: the same checks as on the uplink, for what that left to the kernel.
#include "harness.hpp"
#include "in_front.hpp"

namespace weft::prog_run {
namespace {

using namespace world;

Bytes frame(const Tins::PDU &packet, const Mac &to = kVtepMac) { return bytes_of(eth(to, kPeerVtepMac) / packet); }

Tins::IPv6 advertisement(std::uint8_t hops) {
    Tins::ICMPv6 message(Tins::ICMPv6::NEIGHBOUR_ADVERT);
    message.target_addr(Tins::IPv6Address(kNoPod6.to_string()));
    return ip6(kMixedPod6, kNoPod6, hops) / message;
}

struct TunnelRow {
    Row row;
    TunnelKey key{.sender = kPeer, .vni = 1};
};
void PrintTo(const TunnelRow &row, std::ostream *os) { PrintTo(row.row, os); }

const TunnelRow kRows[] = {
    {{"from a pod elsewhere", frame(ip(kPeerPod, kPod) / tcp()), "checked"}},
    {{"over IPv6", frame(ip6(kPeerPod6, kPod6) / tcp()), "checked"}, {.sender = kPeer6}},
    {{"to the nodes own address", frame(ip(kPeerPod, *parse_ip4("10.244.63.0")) / tcp()), "checked"}},
    {{"an IPv6 ping", frame(ip6(kMixedPod6, kNoPod6) / Tins::ICMPv6()), "checked"}},
    {{"another VNI", frame(ip(kPeerPod, kPod) / tcp()), "wrong_vni"}, {.sender = kPeer, .vni = 2}},
    {{"another inner MAC", frame(ip(kPeerPod, kPod) / tcp(), kPodMac), "wrong_inner_mac"}},
    {{"ARP", bytes_of(Tins::ARP::make_arp_request("192.0.2.2", "192.0.2.1")), "inner_other"}},
    {{"a sender without a lease", frame(ip(kPeerPod, kPod) / tcp()), "unknown_sender"}, {.sender = kStranger}},
    {{"a sender that is an IPv4 mapped address", frame(ip(kPeerPod, kPod) / tcp()), "unknown_sender"},
     {.sender = *parse_ip("::ffff:192.0.2.1")}},
    {{"a source of a third node", frame(ip(kNoLease, kPod) / tcp()), "spoofed_source"}},
    {{"a source of ours", frame(ip(kNeighbourPod, kPod) / tcp()), "own_source"}},
    {{"a destination elsewhere", frame(ip(kPeerPod, kOutside) / tcp()), "other_destination"}},
    {{"a destination of nobodys", frame(ip(kPeerPod, *parse_ip4("224.0.0.1")) / udp()), "martian_destination"}},
    {{"a neighbour advertisement", frame(advertisement(255)), "inner_discovery"}},
    {{"a neighbour advertisement that was forwarded", frame(advertisement(254)), "inner_discovery"}},
    {{"another inner MAC where that only counts",
      frame(ip(kPeerPod, kPod) / tcp(), kPodMac),
      "checked",
      nullptr,
      {.checks = WEFT_CHECK_COUNT}}},
    {{"a neighbour advertisement where nobody asks",
      frame(advertisement(255)),
      "checked",
      nullptr,
      {.checks = WEFT_CHECK_OFF}}},
    {{"a wrong header checksum", patched(frame(ip(kPeerPod, kPod) / tcp()), kEthLen + 10, {1, 2}), "bad_ip"}},
};

class FromTunnel : public ::testing::TestWithParam<TunnelRow> {};
TEST_P(FromTunnel, Row) {
    auto &programs = Programs::instance();
    if (!programs.available()) GTEST_SKIP() << programs.why_not();
    WEFT_NEEDS_FEATURE(tunnel_source);
    auto row = GetParam().row;
    auto behind = BehindTunnel::create(programs.program_fd(WEFT_HOOK_FROM_TUNNEL, row.context));
    ASSERT_TRUE(behind) << behind.error().sentence();
    ASSERT_TRUE(behind->set_key(GetParam().key));
    row.context.behind = behind->program_fd();
    expect_row(WEFT_HOOK_FROM_TUNNEL, row);
}
INSTANTIATE_TEST_SUITE_P(Table, FromTunnel, ::testing::ValuesIn(kRows), [](const auto &tested) {
    return row_name(::testing::TestParamInfo<Row>(tested.param.row, tested.index));
});

TEST(FromTunnelAlone, APacketWithoutTunnelMetadataIsDropped) {
    expect_row(WEFT_HOOK_FROM_TUNNEL, {"", frame(ip(kPeerPod, kPod) / tcp()), "no_tunnel_key"});
}

} // namespace
} // namespace weft::prog_run

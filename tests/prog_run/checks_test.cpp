// SPDX-License-Identifier: Apache-2.0
// What the checks refuse: dropped and counted where they are enforced; where they only count, told as tolerated, and gone on
// as where there are none.
#include <fmt/format.h>
#include <unistd.h>

#include "harness.hpp"
#include "pinned.hpp"

namespace weft::prog_run {
namespace {

using namespace world;

struct CheckRow {
    std::string sentence;
    Bytes packet;
    std::string check;     ///< that refuses it
    std::string otherwise; ///< the reason where the check only counts
    unsigned ifindex = kPodIfindex;
};
void PrintTo(const CheckRow &row, std::ostream *os) { *os << row.sentence; }
std::string check_row_name(const ::testing::TestParamInfo<CheckRow> &info) {
    return row_name(::testing::TestParamInfo<Row>(Row{info.param.sentence, {}, {}}, info.index));
}

const abi::ReasonInfo &reason_of(const std::string &label) {
    return *std::ranges::find(abi::kReasons, std::string_view(label), &abi::ReasonInfo::label);
}

void expect_refused(weft_hook hook, const CheckRow &row, weft_refused_key sender) {
    auto &programs = Programs::instance();
    if (!programs.available()) GTEST_SKIP() << programs.why_not();
    sender.hook = hook;
    sender.reason = static_cast<__u8>(reason_of(row.check).reason);
    for (const auto checks : {WEFT_CHECK_ENFORCE, WEFT_CHECK_COUNT, WEFT_CHECK_OFF}) {
        SCOPED_TRACE(checks);
        const bool enforce = checks == WEFT_CHECK_ENFORCE, count = checks == WEFT_CHECK_COUNT;
        sender.tolerated = enforce ? 0 : 1;
        const auto before = programs.refused(sender);
        const auto out = programs.run(hook, row.packet, {.ifindex = row.ifindex, .checks = checks});
        using Counts = std::map<std::string, std::uint64_t>;
        // Where conntrack cannot be asked the stack gets what may go on, whatever that is, and it may be looked at twice.
        const bool exact = enforce || programs.features().conntrack_lookup;
        const bool kept = !programs.features().pop_other_family && out.reasons.contains("other_family");
        const auto otherwise = kept ? "other_family" : row.otherwise;
        if (exact) {
            EXPECT_EQ(out.reasons, (Counts{{enforce ? row.check : otherwise, 1}}));
        }
        EXPECT_EQ(out.tolerated.contains(row.check), count);
        EXPECT_TRUE(count || out.tolerated.empty());
        const auto told = programs.refused(sender) - before;
        EXPECT_TRUE(checks == WEFT_CHECK_OFF ? told == 0 : exact ? told == 1 : told >= 1) << told;
        EXPECT_TRUE(!enforce || out.packet == row.packet) << "the packet must be left as it came";
    }
}

Tins::IP inner(const Ip4 &from = kPeerPod, const Ip4 &to = kPod) { return ip(from, to, 63); }
Outer outer(auto set) {
    Outer o;
    set(o);
    return o;
}
Outer from(const Ip4 &sender) {
    return outer([&](Outer &o) { o.src = sender; });
}
Bytes wire(const Tins::PDU &packet, const Mac &mac = kPeerLinkMac) { return bytes_of(eth(kPodHostMac, mac) / packet); }
Bytes from_source(const char *source) { return tunnel(inner(*parse_ip4(source)) / tcp()); }
Bytes to_destination(const char *destination) { return tunnel(inner(kPeerPod, *parse_ip4(destination)) / udp()); }
Bytes tunnelled6(const Ip6 &source, const Ip6 &destination) {
    return tunnel_raw(bytes_of(ip6(source, destination) / tcp()), 0x86dd);
}

const CheckRow kTunnelled[] = {
    {"another VNI", tunnel(inner() / tcp(), outer([](Outer &o) { o.vni = 2; })), "wrong_vni", "decap_to_pod"},
    {"another inner MAC", tunnel(inner() / tcp(), outer([](Outer &o) { o.inner_dst = kPodMac; })), "wrong_inner_mac",
     "decap_to_pod"},
    {"inner ARP", tunnel_raw(Bytes(28), 0x0806), "inner_other", "inner_not_ip"},
    {"an inner VLAN tag", tunnel_raw(Bytes(40), 0x8100), "inner_other", "inner_not_ip"},
    {"a node that speaks as a pod of a third", tunnel(inner(kNoLease) / tcp()), "spoofed_source", "decap_to_pod"},
    {"a node that speaks as our pod", tunnel(inner(kNeighbourPod) / tcp()), "own_source", "decap_to_pod"},
    {"a node that speaks as our gateway", from_source("10.244.63.1"), "own_source", "decap_to_pod"},
    {"a node that speaks as this node", tunnel(inner(kNode) / tcp()), "own_source", "source_outside"},
    {"a node that speaks as our IPv6 pod", tunnelled6(kNeighbourPod6, kPod6), "own_source", "decap_to_pod"},
    {"an unspecified source", patched_ip4(from_source("10.0.0.1"), kInnerIp, 12, {0, 0, 0, 0}), "martian_source",
     "source_outside"},
    {"a loopback source", from_source("127.0.0.1"), "martian_source", "source_outside"},
    {"a link local source", from_source("169.254.1.1"), "martian_source", "source_outside"},
    {"a multicast source", from_source("224.0.0.1"), "martian_source", "source_outside"},
    {"a broadcast source", from_source("255.255.255.255"), "martian_source", "source_outside"},
    {"a reserved source", from_source("240.0.0.1"), "martian_source", "source_outside"},
    {"an unspecified IPv6 source", tunnelled6(Ip6(), kPod6), "martian_source", "source_outside"},
    {"an IPv6 loopback source", tunnelled6(*parse_ip6("::1"), kPod6), "martian_source", "source_outside"},
    {"an IPv6 link local source", tunnelled6(*parse_ip6("fe80::1"), kPod6), "martian_source", "source_outside"},
    {"an IPv6 multicast source", tunnelled6(*parse_ip6("ff02::1"), kPod6), "martian_source", "source_outside"},
    {"an unspecified destination", to_destination("0.0.0.0"), "martian_destination", "no_pod"},
    {"a loopback destination", to_destination("127.0.0.1"), "martian_destination", "no_pod"},
    {"a link local destination", to_destination("169.254.169.254"), "martian_destination", "no_pod"},
    {"a multicast destination", to_destination("224.0.0.251"), "martian_destination", "no_pod"},
    {"a broadcast destination", to_destination("255.255.255.255"), "martian_destination", "no_pod"},
    {"a reserved destination", to_destination("240.0.0.1"), "martian_destination", "no_pod"},
    {"an IPv6 multicast destination", tunnelled6(kMixedPod6, *parse_ip6("ff02::1")), "martian_destination", "no_pod"},
    {"a destination outside", to_destination("198.51.100.7"), "other_destination", "no_pod"},
    {"a destination at another node", to_destination("10.244.91.2"), "other_destination", "no_pod"},
    {"a destination at the sender", to_destination("10.244.86.3"), "other_destination", "no_pod"},
    {"an IPv6 destination at another node", tunnelled6(kMixedPod6, kPeerPod6), "other_destination", "no_pod"},
};

class TunnelledCheck : public ::testing::TestWithParam<CheckRow> {};
TEST_P(TunnelledCheck, Tc) { expect_refused(WEFT_HOOK_FROM_WIRE, GetParam(), {.sender = abi::ip(kPeer)}); }
TEST_P(TunnelledCheck, Xdp) {
    auto row = GetParam();
    if (row.otherwise == "decap_to_pod") row.otherwise = "xdp_popped";
    expect_refused(WEFT_HOOK_XDP_WIRE, row, {.sender = abi::ip(kPeer)});
}
INSTANTIATE_TEST_SUITE_P(Table, TunnelledCheck, ::testing::ValuesIn(kTunnelled), check_row_name);

TEST(Checks, ASenderWithoutALease) {
    expect_refused(WEFT_HOOK_FROM_WIRE,
                   {"", tunnel(inner() / tcp(), from(kStranger)), "unknown_sender", "decap_to_pod"},
                   {.sender = abi::ip(kStranger)});
}

/// Taken and counted unless told otherwise.
TEST(Checks, AForeignSourceIsTakenAndCounted) {
    auto &programs = Programs::instance();
    if (!programs.available()) GTEST_SKIP() << programs.why_not();
    for (const char *source : {"198.51.100.7", "169.253.1.1"}) {
        const auto out = programs.run(WEFT_HOOK_FROM_WIRE, from_source(source));
        EXPECT_EQ(out.reasons, (std::map<std::string, std::uint64_t>{{"source_outside", 1}}));
        EXPECT_EQ(out.tolerated, (std::map<std::string, std::uint64_t>{{"foreign_source", 1}}));
    }
}

Tins::IP with_options(const Ip4 &to) {
    auto header = ip(kPod, to);
    header.add_option(Tins::IP::option(Tins::IP::option_identifier(Tins::IP::NOOP, Tins::IP::CONTROL, 0)));
    return header;
}

const Ip4 kDirectPod = *parse_ip4("10.244.86.9");
const CheckRow kBare[] = {
    {"our own pods address from the wire", wire(ip(kNeighbourPod, kPod) / tcp()), "own_source", "decap_to_pod"},
    {"our own pods address to the node", wire(ip(kPod, kNode) / tcp()), "own_source", "not_overlay"},
    {"our own pods address to outside", wire(ip(kPod, kOutside) / tcp()), "own_source", "not_overlay"},
    {"a pods address to a pod elsewhere", wire(ip(kDirectPod, kNoLease) / tcp()), "bare_source", "not_overlay"},
    {"a pods address from another MAC", wire(ip(kDirectPod, kPod) / tcp(), kPeerVtepMac), "wrong_link_mac",
     "decap_to_pod"},
    {"a pods fragment from another MAC",
     patched_ip4(wire(ip(kDirectPod, kPod) / udp() / Tins::RawPDU("12345678"), kPeerVtepMac), kEthLen, 6, {0x20, 0x00}),
     "wrong_link_mac", "decap_to_host"},
    {"our own pods address to the node in fragments",
     patched_ip4(wire(ip(kPod, kNode) / udp() / Tins::RawPDU("12345678")), kEthLen, 6, {0x20, 0x00}), "own_source",
     "outer_fragment"},
    {"our own pods address to the node behind options", wire(with_options(kNode) / udp()), "own_source", "ip_options"},
    {"an address of nobodys pod to the node", wire(ip(kNoLease, kNode) / tcp()), "spoofed_source", "not_overlay"},
    {"an IPv6 pods address from another MAC", wire(ip6(kDirectPod6, kPod6) / tcp(), kPeerVtepMac), "wrong_link_mac",
     "decap_to_pod"},
};
class BareCheck : public ::testing::TestWithParam<CheckRow> {};
TEST_P(BareCheck, Tc) {
    const auto &row = GetParam();
    const bool v4 = be16(row.packet, 12) == 0x0800;
    weft_refused_key sender{};
    Ip source = Ip4(static_cast<unsigned>(be16(row.packet, 26)) << 16 | be16(row.packet, 28));
    if (!v4) source = kDirectPod6;
    sender.sender = abi::ip(source);
    expect_refused(WEFT_HOOK_FROM_WIRE, row, sender);
}
INSTANTIATE_TEST_SUITE_P(Table, BareCheck, ::testing::ValuesIn(kBare), check_row_name);

/// `count` destination options in front of the rest of an IPv6 packet.
Bytes behind_options(Bytes packet, unsigned count) {
    const std::uint8_t proto = packet[kEthLen + 6];
    for (unsigned n = 0; n < count; ++n) {
        const std::uint8_t next = n == 0 ? proto : 60;
        const std::uint8_t option[8] = {next, 0, 1, 4, 0, 0, 0, 0};
        packet.insert(packet.begin() + kEthLen + 40, option, option + sizeof option);
    }
    packet[kEthLen + 6] = 60;
    const auto length = packet.size() - kEthLen - 40;
    return patched(std::move(packet), kEthLen + 4,
                   {static_cast<std::uint8_t>(length >> 8), static_cast<std::uint8_t>(length)});
}

/// From a pod elsewhere to our gateway, without a tunnel: what is in one never shows what it carries to from_wire.
TEST(Checks, NeighbourDiscoveryFromAnotherNode) {
    Tins::ICMPv6 message(Tins::ICMPv6::NEIGHBOUR_ADVERT);
    message.target_addr(Tins::IPv6Address(kNoPod6.to_string()));
    const auto advert = wire(ip6(kDirectPod6, kNoPod6, 255) / message);
    for (const auto &[sentence, packet] :
         {std::pair("plain", advert),
          {"behind options", behind_options(advert, 2)},
          {"hidden", behind_options(advert, 7)},
          {"cut off", patched(cut(behind_options(advert, 1), kEthLen + 40 + 2), kEthLen + 4, {0, 2})}}) {
        SCOPED_TRACE(sentence);
        expect_refused(WEFT_HOOK_FROM_WIRE, {"", packet, "inner_discovery", "decap_to_host"},
                       {.sender = abi::ip(kDirectPod6)});
    }
    const auto ping = Programs::instance().run(WEFT_HOOK_FROM_WIRE, wire(ip6(kDirectPod6, kNoPod6) / Tins::ICMPv6()));
    EXPECT_EQ(ping.reasons, (std::map<std::string, std::uint64_t>{{"decap_to_host", 1}}));
}

// --- from a pod -------------------------------------------------------------------------------------------------------

Bytes sent(const Tins::PDU &packet, const Mac &mac = kPodMac) { return bytes_of(eth(kPodHostMac, mac) / packet); }

Bytes arp(Tins::ARP::Flags operation, const char *sender, const Mac &said, const Mac &mac = kPodMac) {
    Tins::ARP packet("10.244.63.1", sender, Tins::HWAddress<6>(), Tins::HWAddress<6>(said.bytes.data()));
    packet.opcode(operation);
    return sent(packet, mac);
}

Bytes nd(Tins::ICMPv6::Types type, const Ip6 &source, const Ip6 &target, const Ip6 &to = *parse_ip6("ff02::1")) {
    Tins::ICMPv6 message(type);
    message.target_addr(Tins::IPv6Address(target.to_string()));
    return sent(ip6(source, to, 255) / message);
}

Bytes dhcp(const Ip4 &to) { return sent(ip(kPod, to) / udp(68, 67) / Tins::RawPDU("offer")); }

Bytes first_fragment(Bytes packet) { return patched_ip4(std::move(packet), kEthLen, 6, {0x20, 0x00}); }

const Ip6 kLinkLocal = *parse_ip6("fe80::2"), kAllNodes = *parse_ip6("ff02::1");
const auto kAdvert = Tins::ICMPv6::NEIGHBOUR_ADVERT;

const CheckRow kFromPod[] = {
    {"a neighbours address to a pod", sent(ip(kNeighbourPod, kPeerPod) / tcp()), "pod_source", "not_own_source"},
    {"a neighbours address to outside", sent(ip(kNeighbourPod, kOutside) / tcp()), "pod_source", "not_pod_network"},
    {"a neighbours address to this node", sent(ip(kNeighbourPod, kNode) / tcp()), "pod_source", "not_pod_network"},
    {"an address of nobody", sent(ip(kOutside, kPeerPod) / tcp()), "pod_source", "not_own_source"},
    {"a loopback address", sent(ip(*parse_ip4("127.0.0.1"), kNode) / udp()), "pod_source", "not_pod_network"},
    {"a link local address of IPv4", sent(ip(*parse_ip4("169.254.1.1"), kNode) / udp()), "pod_source",
     "not_pod_network"},
    {"no address to somebody", sent(ip(Ip4(), kPeerPod) / udp()), "pod_source", "not_own_source"},
    {"an IPv6 neighbours address", sent(ip6(kNeighbourPod6, kPeerPod6) / tcp()), "pod_source", "not_own_source"},
    {"no IPv6 address to somebody", sent(ip6(Ip6(), kPeerPod6) / tcp()), "pod_source", "not_own_source"},
    {"another MAC to a pod", sent(ip(kPod, kNeighbourPod) / tcp(), kPeerVtepMac), "pod_mac", "to_pod"},
    {"another MAC to outside", sent(ip(kPod, kOutside) / tcp(), kPeerVtepMac), "pod_mac", "not_pod_network"},
    {"the MAC of the host end", sent(ip(kPod, kOutside) / tcp(), kPodHostMac), "pod_mac", "not_pod_network"},
    {"an ARP answer for a neighbour", arp(Tins::ARP::REPLY, "10.244.63.3", kPodMac), "pod_arp", "not_ip"},
    {"an ARP request as a neighbour", arp(Tins::ARP::REQUEST, "10.244.63.3", kPodMac), "pod_arp", "not_ip"},
    {"an ARP answer for the gateway", arp(Tins::ARP::REPLY, "10.244.63.1", kPodMac), "pod_arp", "not_ip"},
    {"an ARP answer with a MAC that it does not come from", arp(Tins::ARP::REPLY, "10.244.63.2", kPeerVtepMac),
     "pod_arp", "not_ip"},
    {"an ARP answer with the MAC of the host end", arp(Tins::ARP::REPLY, "10.244.63.2", kPodHostMac, kPodHostMac),
     "pod_arp", "not_ip"},
    {"an ARP answer with the MAC of a group",
     arp(Tins::ARP::REPLY, "10.244.63.2", *parse_mac("01:00:5e:00:00:01"), *parse_mac("01:00:5e:00:00:01")), "pod_arp",
     "not_ip"},
    {"an advertisement for a neighbour", nd(kAdvert, kPod6, kNeighbourPod6), "pod_nd", "not_pod_network"},
    {"an advertisement from its link local address", nd(kAdvert, kLinkLocal, kNeighbourPod6), "pod_nd",
     "not_pod_network"},
    {"an advertisement behind options", behind_options(nd(kAdvert, kPod6, kNeighbourPod6), 2), "pod_nd",
     "not_pod_network"},
    {"a router advertisement", nd(Tins::ICMPv6::ROUTER_ADVERT, kLinkLocal, Ip6()), "pod_router", "not_pod_network"},
    {"an IPv6 redirect", nd(Tins::ICMPv6::REDIRECT, kPod6, kPod6, kPeerPod6), "pod_router", "l4_untracked"},
    {"a redirect", sent(ip(kPod, kPeerPod) / Tins::ICMP(Tins::ICMP::REDIRECT)), "pod_router", "l4_untracked"},
    {"a DHCP offer to all", dhcp(*parse_ip4("255.255.255.255")), "pod_dhcp", "not_pod_network"},
    {"a DHCP offer to a pod elsewhere", dhcp(kPeerPod), "pod_dhcp", "encap"},
    {"a DHCPv6 answer", sent(ip6(kPod6, kAllNodes) / udp(546, 547)), "pod_dhcp", "not_pod_network"},
    {"a tunnel packet to this node", sent(ip(kPod, kNode) / udp(8472)), "pod_tunnel", "not_pod_network"},
    {"a tunnel packet to another node", sent(ip(kPod, kPeer) / udp(8472)), "pod_tunnel", "not_pod_network"},
    {"a tunnel packet to the gateway", sent(ip(kPod, *parse_ip4("10.244.63.1")) / udp(8472)), "pod_tunnel", "no_pod"},
    {"a tunnel packet with options", sent(with_options(kPeer) / udp(8472)), "pod_tunnel", "not_pod_network"},
    {"a tunnel packet in fragments", first_fragment(sent(ip(kPod, kPeer) / udp(8472))), "pod_tunnel",
     "not_pod_network"},
    {"a packet of the udp backend", sent(ip(kPod, kPeer) / udp(8285)), "pod_tunnel", "not_pod_network"},
    {"a packet in a packet", sent(ip(kPod, kPeer) / ip(kPod, kPeerPod) / tcp()), "pod_tunnel", "not_pod_network"},
    {"a tunnel packet over IPv6", sent(ip6(kPod6, kPeer6) / udp(8472)), "pod_tunnel", "not_pod_network"},
    {"a tunnel packet over IPv6 behind options", behind_options(sent(ip6(kPod6, kPeer6) / udp(8472)), 3), "pod_tunnel",
     "not_pod_network"},
    {"more headers than anybody needs", behind_options(sent(ip6(kPod6, kPeer6) / udp(8472)), 7), "pod_headers",
     "not_pod_network"},
};

class PodCheck : public ::testing::TestWithParam<CheckRow> {};
TEST_P(PodCheck, Tc) { expect_refused(WEFT_HOOK_FROM_POD, GetParam(), {.sender = {}, .ifindex = kPodIfindex}); }
INSTANTIATE_TEST_SUITE_P(Table, PodCheck, ::testing::ValuesIn(kFromPod), check_row_name);

// What looks like one of these and is not.
const Row kHonest[] = {
    {"an ARP probe", arp(Tins::ARP::REQUEST, "0.0.0.0", kPodMac), "not_ip"},
    {"an ARP answer for itself", arp(Tins::ARP::REPLY, "10.244.63.2", kPodMac), "not_ip"},
    {"duplicate address detection", nd(Tins::ICMPv6::NEIGHBOUR_SOLICIT, Ip6(), kPod6), "not_pod_network"},
    {"an advertisement for itself", nd(kAdvert, kPod6, kPod6), "not_pod_network"},
    {"an advertisement for its link local address", nd(kAdvert, kLinkLocal, kLinkLocal), "not_pod_network"},
    {"an advertisement that ends in front of its target",
     patched(cut(nd(kAdvert, kPod6, kNeighbourPod6), kEthLen + 40 + 8), kEthLen + 4, {0, 8}), "not_pod_network"},
    {"a solicitation for the gateway", nd(Tins::ICMPv6::NEIGHBOUR_SOLICIT, kPod6, kNoPod6), "not_pod_network"},
    {"a router solicitation", nd(Tins::ICMPv6::ROUTER_SOLICIT, kLinkLocal, Ip6()), "not_pod_network"},
    {"a DHCP request", sent(ip(Ip4(), *parse_ip4("255.255.255.255")) / udp(67, 68)), "not_pod_network"},
    {"a DHCP answer to a relay", sent(ip(kPod, kOutside) / udp(67, 67)), "not_pod_network"},
    {"another service of a DHCPv6 server", sent(ip6(kPod6, kAllNodes) / udp(53, 547)), "not_pod_network"},
    {"an ICMP packet without a type", patched_ip4(cut(sent(ip(kPod, kOutside)), kEthLen + 20), kEthLen, 9, {1}),
     "not_pod_network"},
    {"a tunnel of the pods own to outside", sent(ip(kPod, kOutside) / udp(8472)), "not_pod_network"},
    {"another service of a node", sent(ip(kPod, kPeer) / udp(53)), "not_pod_network"},
    {"a later fragment to a node", patched_ip4(sent(ip(kPod, kPeer) / udp(8472)), kEthLen, 6, {0x00, 0x10}),
     "not_pod_network"},
    {"a few options", behind_options(sent(ip6(kPod6, kPeer6) / udp(53)), 2), "not_pod_network"},
};
class Honest : public ::testing::TestWithParam<Row> {};
TEST_P(Honest, FromPod) { expect_row(WEFT_HOOK_FROM_POD, GetParam()); }
INSTANTIATE_TEST_SUITE_P(Table, Honest, ::testing::ValuesIn(kHonest), row_name);

TEST(Checks, APodThatSaysItsNewMacMayUseIt) {
    auto &programs = Programs::instance();
    if (!programs.available()) GTEST_SKIP() << programs.why_not();
    const Mac fresh = *parse_mac("02:aa:00:00:00:05");
    const auto saved = (*programs.datapath().endpoints().get(abi::ip(kPod))).value();
    const auto packet = sent(ip(kPod, kOutside) / tcp(), fresh);
    expect_row(WEFT_HOOK_FROM_POD, {"", packet, "pod_mac"});
    expect_row(WEFT_HOOK_FROM_POD, {"", arp(Tins::ARP::REQUEST, "10.244.63.2", fresh, fresh), "not_ip"});
    expect_row(WEFT_HOOK_FROM_POD, {"", packet, "not_pod_network"});
    expect_row(WEFT_HOOK_FROM_POD, {"", sent(ip(kPod, kOutside) / tcp()), "pod_mac"});
    ASSERT_TRUE(programs.datapath().endpoints().put(abi::ip(kPod), saved));
}

TEST(Checks, APodMayUseTheSourcesThatItIsAllowed) {
    auto &programs = Programs::instance();
    if (!programs.available()) GTEST_SKIP() << programs.why_not();
    const auto pins = fmt::format("/sys/fs/bpf/weft-prog-run-{}", getpid());
    const auto allowed = maps::AllowedMap::open(pins, WEFT_PIN_ALLOWED);
    ASSERT_TRUE(allowed) << allowed.error().sentence();
    const Ip4 kGiven = *parse_ip4("203.0.113.9"), kBeside = *parse_ip4("203.0.114.9");
    const weft_allowed_key some{WEFT_ALLOWED_ANY + 96 + 24, kPodIfindex, abi::ip(Ip(*parse_ip4("203.0.113.0")))};
    const weft_allowed_key any{WEFT_ALLOWED_ANY, kPodIfindex, {}};
    ASSERT_TRUE((*allowed)->put(some, 1));
    expect_row(WEFT_HOOK_FROM_POD, {"", sent(ip(kGiven, kOutside) / tcp()), "not_pod_network"});
    expect_row(WEFT_HOOK_FROM_POD, {"", arp(Tins::ARP::REPLY, "203.0.113.9", kPodMac), "not_ip"});
    expect_row(WEFT_HOOK_FROM_POD, {"", sent(ip(kBeside, kOutside) / tcp()), "pod_source"});
    ASSERT_TRUE((*allowed)->put(any, 1));
    expect_row(WEFT_HOOK_FROM_POD, {"", sent(ip(kBeside, kOutside) / tcp()), "not_pod_network"});
    expect_row(WEFT_HOOK_FROM_POD, {"", nd(kAdvert, kPod6, kNeighbourPod6), "not_pod_network"});
    for (const auto &key : {some, any}) ASSERT_TRUE(*(*allowed)->erase(key));
}

} // namespace
} // namespace weft::prog_run

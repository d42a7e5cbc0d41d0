// SPDX-License-Identifier: Apache-2.0
// What a pod sends: the table of from_pod.
#include <sched.h>

#include <array>
#include <functional>
#include <map>
#include <set>
#include <thread>

#include "harness.hpp"

namespace weft::prog_run {
namespace {

using namespace world;

Bytes from_pod(const Tins::PDU &inner) { return bytes_of(eth(kPodHostMac, kPodMac) / inner); }

Bytes to_peer(std::uint8_t tos = 0) { return from_pod(ip(kPod, kPeerPod, 64, tos) / tcp() / Tins::RawPDU("payload")); }

/// The outer header that flannel's kernel would write, or better; the inner packet one hop older and otherwise the same.
void expect_pushed(const Bytes &in, const Outcome &out) {
    ASSERT_EQ(out.packet.size(), in.size() + kOverhead);
    const auto frame = Tins::EthernetII(out.packet.data(), static_cast<std::uint32_t>(out.packet.size()));
    const auto &outer = frame.rfind_pdu<Tins::IP>();
    const auto &datagram = frame.rfind_pdu<Tins::UDP>();
    EXPECT_EQ(outer.src_addr().to_string(), kNode.to_string());
    EXPECT_EQ(outer.dst_addr().to_string(), kPeer.to_string());
    EXPECT_EQ(outer.ttl(), 64);
    EXPECT_EQ(outer.tot_len(), out.packet.size() - kEthLen);
    EXPECT_EQ(outer.fragment_offset(), 0);
    EXPECT_EQ(static_cast<int>(outer.flags()), 0) << "DF as flannel: clear";
    EXPECT_EQ(outer.tos(), in[kEthLen + 1] & 3) << "ECN copied, DSCP not";
    EXPECT_TRUE(ip_checksum_ok(out.packet, kEthLen));
    EXPECT_EQ(datagram.dport(), WEFT_DEFAULT_PORT);
    EXPECT_GE(datagram.sport(), 32768);
    EXPECT_LE(datagram.sport(), 60999);
    EXPECT_EQ(datagram.length(), out.packet.size() - kEthLen - 20);
    EXPECT_EQ(be16(out.packet, 40), 0) << "UDP checksum";

    const Bytes vxlan_and_eth(out.packet.begin() + 42, out.packet.begin() + kInnerIp);
    const Bytes expected{0x08, 0,    0,    0,    0,    0,    1,    0, // flags, VNI 1
                         0x16, 0xd2, 0x3f, 0xdb, 0xe2, 0x37, 0x1e, 0x3a, 0x76, 0x11, 0x44, 0x7f, 0x08, 0x00};
    EXPECT_EQ(vxlan_and_eth, expected);

    Bytes inner(out.packet.begin() + kInnerIp, out.packet.end());
    EXPECT_EQ(inner[8], in[kEthLen + 8] - 1) << "TTL";
    EXPECT_TRUE(ip_checksum_ok(inner, 0));
    inner[8] = in[kEthLen + 8];
    inner[10] = in[kEthLen + 10], inner[11] = in[kEthLen + 11];
    EXPECT_EQ(inner, Bytes(in.begin() + kEthLen, in.end()));
    EXPECT_EQ(out.peer.tx_packets, 1U);
    EXPECT_EQ(out.peer.tx_bytes, out.packet.size());
    EXPECT_EQ(out.mark, 0U) << "a firewall mark must not leave the node";
}

void expect_handed_over(const Bytes &in, const Outcome &out) {
    ASSERT_EQ(out.packet.size(), in.size());
    EXPECT_EQ(Bytes(out.packet.begin(), out.packet.begin() + 6), Bytes(kPodMac.bytes.begin(), kPodMac.bytes.end()));
    EXPECT_EQ(Bytes(out.packet.begin() + 6, out.packet.begin() + 12),
              Bytes(kPodHostMac.bytes.begin(), kPodHostMac.bytes.end()));
    EXPECT_EQ(out.packet[kEthLen + 8], in[kEthLen + 8] - 1);
    EXPECT_TRUE(ip_checksum_ok(out.packet, kEthLen));
    EXPECT_EQ(Bytes(out.packet.begin() + kEthLen + 12, out.packet.end()), Bytes(in.begin() + kEthLen + 12, in.end()));
}

const Bytes kArp =
    bytes_of(Tins::ARP::make_arp_request("10.244.63.1", "10.244.63.2", Tins::HWAddress<6>(kPodMac.bytes.data())));
/// "Port unreachable" to the peer's pod, about a packet of this kind.
Bytes icmp_error(const Tins::IP &about) {
    return from_pod(ip(kPod, kPeerPod) / Tins::ICMP(Tins::ICMP::DEST_UNREACHABLE) / Tins::RawPDU(bytes_of(about)));
}
Bytes cut_error() {
    auto quoted = bytes_of(ip(kPeerPod, kPod) / udp());
    quoted.resize(20 + 2);
    return from_pod(ip(kPod, kPeerPod) / Tins::ICMP(Tins::ICMP::DEST_UNREACHABLE) / Tins::RawPDU(quoted));
}

const Bytes kFits = from_pod(ip(kPod, kPeerPod) / udp() / Tins::RawPDU(std::string(kMtu - 28, 'x')));
const Bytes kTooBig = from_pod(ip(kPod, kPeerPod) / udp() / Tins::RawPDU(std::string(kMtu - 27, 'x')));

Tins::IP with_options() {
    auto header = ip(kPod, kPeerPod);
    header.add_option(Tins::IP::option(Tins::IP::option_identifier(Tins::IP::NOOP, Tins::IP::CONTROL, 0)));
    return header;
}

Tins::IP fragment(std::uint16_t offset, bool more) {
    auto header = ip(kPod, kPeerPod);
    header.fragment_offset(offset);
    if (more) header.flags(Tins::IP::MORE_FRAGMENTS);
    return header;
}

const Row kRows[] = {
    {"TCP to a pod of another node is pushed", to_peer(), "encap", expect_pushed},
    {"UDP to a pod of another node is pushed", from_pod(ip(kPod, kPeerPod) / udp() / Tins::RawPDU("q")), "encap",
     expect_pushed},
    {"an empty UDP datagram is pushed", from_pod(ip(kPod, kPeerPod) / udp()), "encap", expect_pushed},
    {"ECT 0 is copied outwards", to_peer(0x02), "encap", expect_pushed},
    {"CE is copied outwards", to_peer(0x03), "encap", expect_pushed},
    {"DSCP is not copied outwards", to_peer(0xb8), "encap", expect_pushed},
    {"a mark is cleared on the way out", to_peer(), "encap", expect_pushed, {.mark = 0x4000}},
    {"a packet of exactly the MTU is pushed", kFits, "encap", expect_pushed},
    {"one byte over the MTU is the kernels to answer", kTooBig, "too_big"},
    {"TTL 2 is forwarded", from_pod(ip(kPod, kPeerPod, 2) / tcp()), "encap", expect_pushed},
    {"TTL 1 is the kernels to answer", from_pod(ip(kPod, kPeerPod, 1) / tcp()), "ttl_expiring"},
    {"TTL 0 is the kernels to judge", from_pod(ip(kPod, kPeerPod, 0) / tcp()), "ttl_expiring"},
    {"a pod on the same node gets it directly", from_pod(ip(kPod, kNeighbourPod) / tcp()), "to_pod",
     expect_handed_over},
    {"a pod whose qdisc must see packets gets them by the stack", from_pod(ip(kPod, kStackPod) / tcp()),
     "pod_prefers_stack"},
    {"a pod whose qdisc weftd has seen does too", from_pod(ip(kPod, kShapedPod) / tcp()), "pod_prefers_stack"},
    {"no such pod in our subnet", from_pod(ip(kPod, kNoPod) / tcp()), "no_pod"},
    {"a subnet nobody leases", from_pod(ip(kPod, kNoLease) / tcp()), "no_lease"},
    {"the world outside", from_pod(ip(kPod, kOutside) / tcp()), "not_pod_network"},
    {"ARP", kArp, "not_ip"},
    {"IPv6 to outside", from_pod(ip6(kPod6, kOutside6) / tcp()), "not_pod_network"},
    {"ICMP takes the stack", from_pod(ip(kPod, kPeerPod) / Tins::ICMP()), "l4_untracked"},
    {"an ICMP error goes the way of the flow it is about", icmp_error(ip(kPeerPod, kPod) / udp()), "encap",
     expect_pushed},
    {"an ICMP error said to be several, which no kernel makes",
     icmp_error(ip(kPeerPod, kPod) / udp()),
     "gso_unknown",
     {},
     {.gso_size = 1000, .gso_segs = 2}},
    {"an ICMP error about somebody elses flow", icmp_error(ip(kPeerPod, kNeighbourPod) / udp()), "l4_untracked"},
    {"an ICMP error to one who did not send what it quotes", icmp_error(ip(kOutside, kPod) / udp()), "l4_untracked"},
    {"an ICMP error about a ping", icmp_error(ip(kPeerPod, kPod) / Tins::ICMP()), "l4_untracked"},
    {"an ICMP error that quotes too little", cut_error(), "l4_untracked"},
    {"IP options take the stack", from_pod(with_options() / tcp()), "ip_options"},
    {"a first fragment takes the stack", from_pod(fragment(0, true) / udp() / Tins::RawPDU("12345678")), "fragment"},
    {"a later fragment takes the stack", from_pod(fragment(8, false) / Tins::RawPDU(std::string(32, 'x'))), "fragment"},
    {"somebody elses source address", from_pod(ip(kNeighbourPod, kPeerPod) / tcp()), "pod_source"},
    {"an unknown source address", from_pod(ip(kNoPod, kPeerPod) / tcp()), "pod_source"},
    {"a header length below the minimum", patched(to_peer(), kEthLen, {0x44}), "bad_ip"},
    {"version 5 in an IPv4 frame", patched(to_peer(), kEthLen, {0x55}), "bad_ip"},
    {"a total length beyond the frame", patched_ip4(to_peer(), kEthLen, 2, {0x7f, 0xff}), "bad_ip"},
    {"a total length below the header", patched_ip4(to_peer(), kEthLen, 2, {0x00, 0x13}), "bad_ip"},
    {"no total length", patched_ip4(to_peer(), kEthLen, 2, {0x00, 0x00}), "bad_ip"},
    {"a wrong header checksum", patched(to_peer(), kEthLen + 10, {0x12, 0x34}), "bad_ip"},
    {"a total length that ends in the TCP header", patched_ip4(to_peer(), kEthLen, 2, {0, 39}), "truncated"},
    {"a frame cut inside the TCP header", patched_ip4(cut(to_peer(), kEthLen + 20 + 10), kEthLen, 2, {0, 30}),
     "truncated"},
    {"GSO whose segments fit asks the kernel for its type",
     to_peer(),
     "push_refused",
     nullptr,
     {.gso_size = 1000, .gso_segs = 2}},
    {"UDP GSO likewise",
     from_pod(ip(kPod, kPeerPod) / udp() / Tins::RawPDU(std::string(2000, 'x'))),
     "push_refused",
     nullptr,
     {.gso_size = 1000, .gso_segs = 2}},
    {"GSO whose segments are too big", to_peer(), "too_big", nullptr, {.gso_size = 1411, .gso_segs = 2}},
};

class FromPod : public ::testing::TestWithParam<Row> {};
TEST_P(FromPod, Row) { expect_row(WEFT_HOOK_FROM_POD, GetParam()); }
INSTANTIATE_TEST_SUITE_P(Table, FromPod, ::testing::ValuesIn(kRows), row_name);

TEST(FromPodLeases, ALongerPrefixWins) {
    auto &programs = Programs::instance();
    if (!programs.available()) GTEST_SKIP() << programs.why_not();
    WEFT_NEEDS_FEATURE(conntrack_lookup);
    const auto leases = programs.datapath().leases();
    const auto narrow = abi::lease_key(*parse_net4("10.244.86.0/26"));
    auto lease = (*leases.get(abi::lease_key(*parse_net4("10.244.86.0/24")))).value();
    lease.node = abi::ip(*parse_ip4("192.0.2.9"));
    ASSERT_TRUE(leases.put(narrow, lease));
    const auto outer_dst = [&](const Ip4 &dst) {
        const auto out = programs.run(WEFT_HOOK_FROM_POD, from_pod(ip(kPod, dst) / tcp()));
        return Tins::EthernetII(out.packet.data(), static_cast<std::uint32_t>(out.packet.size()))
            .rfind_pdu<Tins::IP>()
            .dst_addr()
            .to_string();
    };
    EXPECT_EQ(outer_dst(*parse_ip4("10.244.86.63")), "192.0.2.9");
    EXPECT_EQ(outer_dst(*parse_ip4("10.244.86.64")), kPeer.to_string());
    ASSERT_TRUE(*leases.erase(narrow));
    EXPECT_EQ(outer_dst(*parse_ip4("10.244.86.63")), kPeer.to_string());
}

/// A network that chooses among 8 paths by the outer source port gets an even share for each, whichever field of the inner
/// header tells the flows apart. A packet that its socket gave no hash, as here, is hashed by the program.
TEST(FromPodLeases, TheSourcePortFollowsTheFlowAndSpreadsFlows) {
    auto &programs = Programs::instance();
    if (!programs.available()) GTEST_SKIP() << programs.why_not();
    WEFT_NEEDS_FEATURE(conntrack_lookup);
    constexpr unsigned kFlows = 256, kPaths = 8;
    const auto nth = [](const Ip4 &base, unsigned n) { return Ip4(base.to_uint() + n); };
    const std::map<std::string, std::function<Bytes(unsigned)>> kinds{
        {"TCP source ports", [](auto n) { return from_pod(ip(kPod, kPeerPod) / tcp(80, 1000 + n)); }},
        {"TCP destination ports", [](auto n) { return from_pod(ip(kPod, kPeerPod) / tcp(1000 + n)); }},
        {"UDP source ports", [](auto n) { return from_pod(ip(kPod, kPeerPod) / udp(53, 1000 + n)); }},
        {"destinations", [&](auto n) { return from_pod(ip(kPod, nth(kPeerPod, n % 128)) / tcp(80 + n / 128)); }}};
    for (const auto &[kind, flow] : kinds) {
        std::array<unsigned, kPaths> on_path{};
        for (unsigned n = 0; n < kFlows; ++n) {
            const auto packet = flow(n);
            const auto port = be16(programs.run(WEFT_HOOK_FROM_POD, packet).packet, 34);
            EXPECT_EQ(port, be16(programs.run(WEFT_HOOK_FROM_POD, packet).packet, 34)) << "one flow, one path";
            ++on_path[port % kPaths];
        }
        for (const auto flows : on_path) {
            EXPECT_GE(flows, kFlows / kPaths / 2) << kind;
            EXPECT_LE(flows, kFlows / kPaths * 2) << kind;
        }
    }
}

/// Runs `body` on one CPU.
void on_cpu(int cpu, const std::function<void()> &body) {
    std::thread([&] {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(static_cast<unsigned>(cpu), &one);
        ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
        body();
    }).join();
}

TEST(FromPodLeases, NoTwoCpusGivePacketsOneIdentification) {
    auto &programs = Programs::instance();
    if (!programs.available()) GTEST_SKIP() << programs.why_not();
    WEFT_NEEDS_FEATURE(conntrack_lookup);
    if (std::thread::hardware_concurrency() < 2) GTEST_SKIP() << "one CPU";
    std::set<std::uint16_t> of_cpu[2];
    for (const int cpu : {0, 1}) {
        on_cpu(cpu, [&] {
            int last = -1;
            for (int n = 0; n < 500; ++n) {
                const auto id = be16(programs.run(WEFT_HOOK_FROM_POD, to_peer()).packet, kEthLen + 4);
                EXPECT_TRUE(last < 0 || id < last || id == last + 1) << "GRO wants them to count up";
                last = id;
                of_cpu[cpu].insert(id);
            }
        });
    }
    EXPECT_EQ(of_cpu[0].size(), 500U);
    EXPECT_EQ(of_cpu[1].size(), 500U);
    for (const auto id : of_cpu[1]) EXPECT_FALSE(of_cpu[0].contains(id)) << id;
}

TEST(FromPodLeases, AnUnknownEncapsulationIsLeftToTheStack) {
    auto &programs = Programs::instance();
    if (!programs.available()) GTEST_SKIP() << programs.why_not();
    WEFT_NEEDS_FEATURE(conntrack_lookup);
    const auto key = abi::lease_key(*parse_net4("10.244.86.0/24"));
    const auto lease = (*programs.datapath().leases().get(key)).value();
    auto other = lease;
    for (const auto &[encap, from_host] :
         {std::pair<__u8, const char *>(WEFT_ENCAP_NONE, "no_route"), {99, "cannot_push"}}) {
        other.encap = encap;
        ASSERT_TRUE(programs.datapath().leases().put(key, other));
        expect_row(WEFT_HOOK_FROM_POD, {"", to_peer(), "encap_unsupported"});
        expect_row(WEFT_HOOK_FROM_HOST, {"", to_peer(), from_host});
    }
    ASSERT_TRUE(programs.datapath().leases().put(key, lease));
}

TEST(FromPodEndpoints, APodWhoseOwnQdiscMustSeePacketsSendsByTheStack) {
    auto &programs = Programs::instance();
    if (!programs.available()) GTEST_SKIP() << programs.why_not();
    const auto saved = (*programs.datapath().endpoints().get(abi::ip(kPod))).value();
    auto shaped = saved;
    shaped.flags = WEFT_EP_STACK;
    ASSERT_TRUE(programs.datapath().endpoints().put(abi::ip(kPod), shaped));
    expect_row(WEFT_HOOK_FROM_POD, {"", to_peer(), "pod_prefers_stack"});
    ASSERT_TRUE(programs.datapath().endpoints().put(abi::ip(kPod), saved));
}

} // namespace
} // namespace weft::prog_run

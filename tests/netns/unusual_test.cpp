// SPDX-License-Identifier: Apache-2.0
// What the programs do not forward themselves: everything is as on a node of flannel's, asked side by side.
#include <arpa/inet.h>
#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/if_ether.h>
#include <net/if.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <tins/dot1q.h>
#include <tins/ethernetII.h>
#include <tins/ip.h>
#include <tins/rawpdu.h>
#include <tins/udp.h>

#include "capture.hpp"
#include "datapath/tc_attach.hpp"
#include "pinned.hpp"
#include "raw_socket.hpp"
#include "side_by_side.hpp"

namespace weft::test {
namespace {

class Unusual : public SideBySide {
protected:
    void SetUp() override {
        WEFT_REQUIRES(requires_tools({"traceroute", "tracepath"}));
        SideBySide::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        build(false);
    }
};

/// What the host's stack does all alone, whatever the uplink's programs and the wire are.
class UnusualStack : public Unusual {};

/// Who answers on the way, one role a hop: "near-gateway far-vtep peer".
std::string hops(const Pair &pair, std::string_view from, std::string_view to, std::string_view how) {
    const auto out = pair.place(from).output(
        words(fmt::format("traceroute -n -q 1 -w 2 -m 6 -N 1 {} {}", how, pair.address_of(to))));
    if (!out) return out.error().sentence();
    std::istringstream lines(pair.named(out->out));
    std::string line, hops;
    std::getline(lines, line); // "traceroute to ..."
    while (std::getline(lines, line)) {
        std::istringstream fields(line);
        std::string number, who;
        fields >> number >> who;
        hops += (hops.empty() ? "" : " ") + who;
    }
    return hops + out->err;
}

struct Trace {
    const char *from, *to, *hops;
    const char *flannel_hops = nullptr; ///< where flannel's differ
};

TEST_P(Unusual, TracerouteShowsEachNode) {
    const Trace traces[] = {
        {"pod", "peer", "near-gateway far-vtep peer"},
        {"peer", "pod", "far-gateway near-vtep pod"},
        // flannel's bridge is no hop; weft routes
        {"pod", "neighbour", "near-gateway neighbour", "neighbour"},
        {"pod", "near-vtep", "near-vtep"},
        {"pod", "near-node", "near-node"},
        {"pod", "far-vtep", "near-gateway far-vtep"},
        {"pod", "far-node", "near-gateway far-node"},
        {"near node", "pod", "pod"},
        {"near node", "peer", "far-vtep peer"},
        {"far node", "pod", "near-vtep pod"},
    };
    for (const auto *how : {"-U", "-I", "-T -p 5000"}) {
        for (const auto &trace : traces) {
            SCOPED_TRACE(fmt::format("traceroute {} from {} to {}", how, trace.from, trace.to));
            EXPECT_EQ(hops(weft_, trace.from, trace.to, how), trace.hops);
            EXPECT_EQ(hops(flannel_, trace.from, trace.to, how), trace.flannel_hops ? trace.flannel_hops : trace.hops);
        }
    }
}

/// What ping says of one request: "answered", "<who>: <error>", or the sender's own refusal.
std::string ping_says(const Pair &pair, std::string_view from, const std::string &to, std::string_view options,
                      double patience_s = 1) {
    const auto out = pair.place(from).output(words(fmt::format("ping -n -c 1 -W {} {} {}", patience_s, options, to)));
    if (!out) return out.error().sentence();
    const auto text = pair.named(out->out + out->err);
    if (text.find(" 0% packet loss") != text.npos) return "answered";
    for (const std::string_view mark : {"local error: ", "From "}) {
        const auto at = text.find(mark);
        if (at == text.npos) continue;
        const auto line = text.substr(at + mark.size(), text.find('\n', at) - at - mark.size());
        const auto sequence = line.find(" icmp_seq=1 ");
        return sequence == line.npos ? line : line.substr(0, sequence) + ": " + line.substr(sequence + 12);
    }
    return "silence";
}

TEST_P(UnusualStack, PacketsAroundTheMtu) {
    struct Size {
        unsigned payload;
        const char *fragmentation, *answer;
    };
    constexpr const char *kOwnMtu = "message too long, mtu=1450";
    const Size sizes[] = {
        {56, "do", "answered"},     {1420, "do", "answered"},    {1421, "do", "answered"},
        {1422, "do", "answered"},   {1423, "do", kOwnMtu},       {1424, "do", kOwnMtu},
        {1425, "do", kOwnMtu},      {8000, "do", kOwnMtu},       {1422, "want", "answered"},
        {1423, "want", "answered"}, {8000, "want", "answered"},  {65507, "want", "answered"},
        {1423, "dont", "answered"}, {65507, "dont", "answered"},
    };
    for (const auto *pair : pairs()) {
        for (const auto *to : {&pair->peer->address, &pair->neighbour->address}) {
            for (const auto &[payload, fragmentation, answer] : sizes) {
                const auto options = fmt::format("-M {} -s {}", fragmentation, payload);
                SCOPED_TRACE(fmt::format("{}: ping {} {}", pair->kind, options, pair->named(*to)));
                EXPECT_EQ(ping_says(*pair, "pod", *to, options, answer == kOwnMtu ? 0.1 : 2), answer);
            }
        }
        EXPECT_EQ(ping_says(*pair, "near node", pair->peer->address, "-M do -s 1422"), "answered") << pair->kind;
        EXPECT_EQ(ping_says(*pair, "near node", pair->peer->address, "-M do -s 1423"), kOwnMtu) << pair->kind;
    }
}

/// The host's end and the pod's own of every pod on the near node.
Status set_pod_mtu(const Pair &pair, unsigned mtu) {
    const auto script =
        fmt::format("for link in $(ip -o link | grep -oE '(veth[0-9]+|weft[0-9a-f]{{8,}})@' | tr -d @); do "
                    "ip link set $link mtu {}; done",
                    mtu);
    if (auto set = pair.near_node->run({"sh", "-c", script}); !set) return fail_as_is(std::move(set));
    return pair.pod->ns.ip(fmt::format("link set eth0 mtu {}", mtu));
}

TEST_P(UnusualStack, APodThatThinksItsPathWiderIsTold) {
    for (const auto *pair : pairs()) {
        SCOPED_TRACE(pair->kind);
        WEFT_ASSERT_OK(set_pod_mtu(*pair, 1500));
        EXPECT_EQ(ping_says(*pair, "pod", pair->peer->address, "-M do -s 1423"),
                  "near-gateway: Frag needed and DF set (mtu = 1450)");
        EXPECT_EQ(ping_says(*pair, "pod", pair->peer->address, "-M do -s 1423"), "message too long, mtu=1450");
        WEFT_ASSERT_OK(pair->pod->ns.ip("route flush cache"));
        EXPECT_EQ(ping_says(*pair, "pod", pair->peer->address, "-M dont -s 1472"), "answered");
        // A datagram that is too long is lost, and the next one cut in two.
        const auto datagrams = [&] { return udp_echo(pair->pod->ns, pair->peer->address, {1422, 1472}); };
        EXPECT_FALSE(datagrams().has_value());
        WEFT_EXPECT_OK(datagrams());
        WEFT_EXPECT_OK(tcp_transfer(pair->pod->ns, pair->peer->address, 16 * 1024 * 1024));
    }
}

TEST_P(UnusualStack, ErrorsReachTheSender) {
    const auto absent = [](const std::string &pod) { return (*parse_ip4(pod) + 100).to_string(); };
    EXPECT_EQ(ping_says(weft_, "pod", absent(weft_.peer->address), ""), "far-vtep: Destination Host Unreachable");
    EXPECT_EQ(ping_says(weft_, "pod", absent(weft_.pod->address), ""), "near-gateway: Destination Host Unreachable");
    EXPECT_EQ(ping_says(weft_, "near node", absent(weft_.peer->address), ""), "far-vtep: Destination Host Unreachable");
    for (const auto *pair : pairs()) {
        EXPECT_EQ(ping_says(*pair, "pod", pair->peer->address, "-t 1"), "near-gateway: Time to live exceeded");
        EXPECT_EQ(ping_says(*pair, "pod", pair->peer->address, "-t 2"), "far-vtep: Time to live exceeded");
        EXPECT_EQ(ping_says(*pair, "pod", pair->peer->address, "-t 3"), "answered");
    }
}

/// The addresses that ping -R shows, as roles.
std::string recorded_route(const Pair &pair) {
    const auto out = pair.pod->ns.run("ping -n -R -c 1 -W 2 " + pair.peer->address);
    if (!out) return out.error().sentence();
    const auto text = pair.named(*out);
    std::istringstream lines(text.substr(std::min(text.find("RR:"), text.size())));
    std::string line, roles;
    while (std::getline(lines, line) && !line.empty()) {
        const auto role = line.substr(line.find_last_of(" \t") + 1);
        roles += (roles.empty() ? "" : " ") + role;
    }
    return roles;
}

TEST_P(UnusualStack, IpOptionsAreWorkedOn) {
    const auto flannel = recorded_route(flannel_);
    EXPECT_NE(flannel.find("peer"), flannel.npos) << flannel;
    EXPECT_EQ(recorded_route(weft_), flannel);
}

TEST_P(Unusual, FragmentsArriveWhole) {
    for (const auto &[from, to] :
         {std::pair{weft_.pod, weft_.peer}, std::pair{weft_.peer, weft_.pod}, std::pair{weft_.pod, weft_.neighbour},
          std::pair{weft_.pod, flannel_.peer}, std::pair{flannel_.pod, weft_.peer}}) {
        SCOPED_TRACE(from->ns.name() + " to " + to->ns.name());
        WEFT_EXPECT_OK(udp_echo(from->ns, to->address, {32, 1422, 1423, 1430, 2844, 2845, 9000, 65507}, 3));
    }
}

TEST_P(Unusual, TypeOfServiceAndUnsummedUdpArriveAsTheyWere) {
    for (const auto &[from, to] : {std::pair{weft_.pod, weft_.peer}, std::pair{weft_.pod, weft_.neighbour},
                                   std::pair{flannel_.pod, weft_.peer}}) {
        SCOPED_TRACE(from->ns.name() + " to " + to->ns.name());
        WEFT_ASSERT_ASSIGN(const auto receiver, RawSocket::open(to->ns, IPPROTO_UDP));
        WEFT_ASSERT_ASSIGN(const auto sender, RawSocket::open(from->ns, IPPROTO_UDP));
        for (const int tos : {0x00, 0x01, 0x02, 0x03, 0xb8, 0xba}) {
            // Ports 1000 and 1001, length 12, no checksum.
            const Bytes datagram{0x03, 0xe8, 0x03, 0xe9, 0, 12, 0, 0, 'w', 'e', 'f', static_cast<std::uint8_t>(tos)};
            WEFT_ASSERT_OK(sender.send(to->address, datagram, tos));
            WEFT_ASSERT_ASSIGN(const auto packet, receiver.receive([](const Bytes &p) { return p.size() == 32; }));
            EXPECT_EQ(packet[1], tos);
            EXPECT_EQ(Bytes(packet.begin() + 20, packet.end()), datagram);
        }
    }
}

TEST_P(UnusualStack, BroadcastAndMulticastStayWhereTheyBelong) {
    // Ports 1000 and 9, nobody's.
    const Bytes datagram{0x03, 0xe8, 0x00, 0x09, 0, 12, 0, 0, 'c', 'a', 's', 't'};
    for (const auto *pair : pairs()) {
        SCOPED_TRACE(pair->kind);
        const auto port = Segment::port(pair == &weft_ ? 1 : 3);
        WEFT_ASSERT_ASSIGN(auto capture, Capture::start(cluster_->lan().netns(), port, "udp port 8472"));
        WEFT_ASSERT_OK(pair->pod->ns.ip("route add 224.0.0.0/4 dev eth0"));
        for (const auto &from : {pair->pod->ns.path(), pair->near_node->path()}) {
            SCOPED_TRACE(from);
            const auto &ns = from == pair->pod->ns.path() ? pair->pod->ns : *pair->near_node;
            WEFT_ASSERT_ASSIGN(const auto sender, RawSocket::open(ns, IPPROTO_UDP));
            const auto own_broadcast = (*parse_ip4(pair->near_base) + 255).to_string();
            for (const auto *to : {"255.255.255.255", "224.0.0.251", own_broadcast.c_str()})
                (void)sender.send(to, datagram); // some have no way out, which is fine
        }
        WEFT_ASSERT_ASSIGN(const auto frames, capture.vxlan_frames());
        EXPECT_TRUE(frames.empty()) << frames.size() << " of them, the first " << frames.front().to_string();
    }
}

/// What IP protocols without a module on this host carry, between two raw sockets.
TEST_P(UnusualStack, EveryIpProtocolCrossesUnchanged) {
    struct Protocol {
        std::uint8_t number;
        const char *name;
    };
    for (const auto [number, name] : {Protocol{4, "IPIP"}, Protocol{47, "GRE"}, Protocol{50, "ESP"},
                                      Protocol{132, "SCTP"}, Protocol{253, "for experiments"}}) {
        for (const auto &[from, to] : {std::pair{weft_.pod, weft_.peer}, std::pair{weft_.peer, weft_.pod},
                                       std::pair{weft_.pod, weft_.neighbour}}) {
            SCOPED_TRACE(fmt::format("{} from {} to {}", name, from->ns.name(), to->ns.name()));
            WEFT_ASSERT_ASSIGN(const auto receiver, RawSocket::open(to->ns, number));
            WEFT_ASSERT_ASSIGN(const auto sender, RawSocket::open(from->ns, number));
            for (const std::size_t size : {1UL, 100UL, 1430UL, 4000UL}) {
                Bytes payload(size);
                for (std::size_t i = 0; i < size; ++i) payload[i] = static_cast<std::uint8_t>(i * 7 + size);
                WEFT_ASSERT_OK(sender.send(to->address, payload));
                WEFT_ASSERT_ASSIGN(const auto packet, receiver.receive([](const Bytes &) { return true; }));
                ASSERT_EQ(packet.size(), size + 20);
                EXPECT_EQ(Bytes(packet.begin() + 20, packet.end()), payload);
            }
        }
    }
}

/// A UDP datagram from the pod to its peer, in a frame as the pod's interface sends it.
Tins::EthernetII frame_from_pod(const Pair &pair, const std::string &to) {
    const auto mac = [&](std::string_view what) {
        const auto out = pair.pod->ns.run(what);
        const auto at = out ? out->find(what.starts_with("ip neigh") ? "lladdr " : "ether ") : std::string::npos;
        return at == std::string::npos ? "?" : out->substr(out->find(' ', at) + 1, 17);
    };
    return Tins::EthernetII(mac("ip neighbour show dev eth0"), mac("ip link show dev eth0")) /
           Tins::IP(to, pair.pod->address) / Tins::UDP(kTrafficPort, 4444) / Tins::RawPDU("tagged");
}

/// Puts VLAN 7 on what leaves the interface: beside the packet, where a veth's other end finds it.
Status tag_what_leaves(const Netns &ns, const std::string &interface) {
    const std::array insns{
        bpf_insn{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2, .imm = htons(ETH_P_8021Q)},
        bpf_insn{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .imm = 7},
        bpf_insn{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_skb_vlan_push},
        bpf_insn{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1},
        bpf_insn{.code = BPF_JMP | BPF_EXIT}};
    const UniqueFd program(bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "tag", "GPL", insns.data(), insns.size(), nullptr));
    if (!program) return fail_errno(errno, "load program");
    return ns.run_in([&]() -> Status {
        const auto index = static_cast<int>(::if_nametoindex(interface.c_str()));
        auto attached = datapath::attach_tc(program.get(), index, datapath::TcHook::egress);
        return attached ? Status() : fail_as_is(std::move(attached));
    });
}

TEST_P(Unusual, AVlanTagGoesNowhere) {
    // A pod's: beside the packet, as the kernel keeps it, the tag would be the uplink's once the packet is redirected there.
    WEFT_ASSERT_OK(ping(weft_.pod->ns, weft_.peer->address));
    WEFT_ASSERT_ASSIGN(auto capture, Capture::start(cluster_->lan().netns(), Segment::port(1), "greater 1"));
    const auto plain = frame_from_pod(weft_, weft_.peer->address);
    const auto ethernet = Tins::EthernetII(plain.dst_addr(), plain.src_addr());
    const auto tagged = ethernet / Tins::Dot1Q(7) / *plain.inner_pdu();
    // VLAN 0 is a priority and no VLAN; several of them are a way to hide what is behind.
    const auto nested = ethernet / Tins::Dot1Q(0) / Tins::Dot1Q(0) / Tins::Dot1Q(0) / *plain.inner_pdu();
    for (auto frame : {tagged, nested, plain}) WEFT_ASSERT_OK(send_frame(weft_.pod->ns, "eth0", frame.serialize()));
    WEFT_ASSERT_OK(capture.stop());
    const auto seen = [&](const char *filter) { return run_ok({"tcpdump", "-nnr", capture.file(), filter}); };
    WEFT_ASSERT_ASSIGN(const auto with_tag, seen("vlan"));
    EXPECT_EQ(with_tag, "");
    WEFT_ASSERT_ASSIGN(const auto without_tag, seen("udp port 8472 and src host 192.0.2.1"));
    EXPECT_NE(without_tag.find("4444 > "), std::string::npos) << without_tag;
    WEFT_ASSERT_ASSIGN(const auto counters, weft_near_->counters());
    EXPECT_EQ(count(counters.all, "from_pod/vlan"), 1u) << to_string(counters.all);
    EXPECT_EQ(count(counters.all, "from_pod/nested_tags"), 1u) << to_string(counters.all);

    // From another node: XDP cannot see a tag beside the packet, and has popped what is in the VLAN before tc sees that.
    WEFT_ASSERT_OK(tag_what_leaves(weft_far_->netns(), "eth0"));
    WEFT_ASSERT_ASSIGN(const auto before, weft_near_->counters());
    EXPECT_FALSE(udp_exchange(weft_.peer->ns, weft_.pod->address, {.answer_within = 200ms}));
    WEFT_ASSERT_ASSIGN(const auto after, weft_near_->counters());
    const auto counted = after.all - before.all;
    EXPECT_GE(count(counted, GetParam().datapath == "xdp" ? "from_wire/pop_failed" : "from_wire/vlan"), 1u)
        << to_string(counted);
    EXPECT_EQ(count(counted, "from_wire/decap_to_pod"), 0u) << to_string(counted);
}

/// The plugin, with more in its configuration than the node's conflist has.
Result<nlohmann::json> call_plugin(const WeftNode &node, const std::string &command, const Netns &pod,
                                   const nlohmann::json &more) {
    auto conf = nlohmann::json::parse(node.cni_config());
    conf.update(more);
    auto out =
        node.netns().run({binary("weft")}, {.env = {"CNI_COMMAND=" + command, "CNI_CONTAINERID=" + pod.name(),
                                                    "CNI_NETNS=" + pod.path(), "CNI_IFNAME=eth0", "CNI_PATH=/nowhere"},
                                            .input = conf.dump()});
    if (!out) return fail_in(std::move(out), command);
    return nlohmann::json::parse(*out, nullptr, false);
}

TEST_P(UnusualStack, APodSendsFromTheSourcesThatItsConfigurationAllows) {
    const auto &node = *weft_near_;
    const std::string other = "203.0.113.9", from_other = "ping -c 1 -W 2 -I " + other + " ";
    const auto try_from = [&](const Netns &pod) { return pod.run(words(from_other + weft_.neighbour->address)); };
    WEFT_ASSERT_OK(weft_.pod->ns.ip(fmt::format("address add {} dev lo", other)));
    EXPECT_FALSE(try_from(weft_.pod->ns));
    WEFT_ASSERT_ASSIGN(const auto refused, node.counters());
    EXPECT_GT(count(refused.dropped, "from_pod/pod_source"), 0u) << to_string(refused.dropped);
    WEFT_ASSERT_ASSIGN(const auto senders, node.weftctl("refused"));
    EXPECT_TRUE(std::ranges::any_of(senders, [&](const auto &row) {
        return row["sender"] == weft_.pod->address && row["reason"] == "pod_source" && row["verdict"] == "drop";
    })) << senders;
    for (const auto &allowed : {nlohmann::json{{"allowedAddresses", {"203.0.113.0/24"}}}, {{"anySource", true}}}) {
        SCOPED_TRACE(allowed.dump());
        WEFT_ASSERT_ASSIGN(const auto pod, Netns::create("allowed"));
        WEFT_ASSERT_ASSIGN(const auto added, call_plugin(node, "ADD", pod, allowed));
        WEFT_ASSERT_OK(pod.ip(fmt::format("address add {} dev lo", other)));
        const auto veth = added["interfaces"][0].value("name", "");
        WEFT_ASSERT_OK(node.netns().ip(fmt::format("route add {} dev {}", other, veth)));
        WEFT_EXPECT_OK(try_from(pod));
        auto with_result = allowed;
        with_result["prevResult"] = added;
        WEFT_EXPECT_OK(call_plugin(node, "CHECK", pod, with_result));
        EXPECT_FALSE(call_plugin(node, "CHECK", pod, {{"prevResult", added}}));
        WEFT_EXPECT_OK(call_plugin(node, "DEL", pod, allowed));
        WEFT_ASSERT_ASSIGN(const auto map, maps::AllowedMap::open(node.bpf_dir(), WEFT_PIN_ALLOWED));
        weft_allowed_key left{};
        EXPECT_EQ(bpf_map_get_next_key(map->fd(), nullptr, &left), -ENOENT);
    }
}

INSTANTIATE_TEST_SUITE_P(Setups, Unusual, testing::Values(Setup{"tc", WireMode::offload}, Setup{"xdp", WireMode::bare}),
                         setup_name);

INSTANTIATE_TEST_SUITE_P(Setups, UnusualStack, testing::Values(Setup{"tc", WireMode::offload}), setup_name);

} // namespace
} // namespace weft::test

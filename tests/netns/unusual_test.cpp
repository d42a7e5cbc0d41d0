// SPDX-License-Identifier: Apache-2.0
// What the programs do not forward themselves: everything is as on a node of flannel's, asked side by side.
#include <gtest/gtest.h>

#include <sstream>

#include <fmt/format.h>
#include <tins/tins.h>

#include "capture.hpp"
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

/// What IP protocols without a module on this host carry, between two raw sockets.
TEST_P(Unusual, EveryIpProtocolCrossesUnchanged) {
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

TEST_P(Unusual, APodsVlanTagGoesNowhere) {
    // Beside the packet, as the kernel keeps it, the tag would be the uplink's once the packet is redirected there.
    WEFT_ASSERT_OK(ping(weft_.pod->ns, weft_.peer->address));
    WEFT_ASSERT_ASSIGN(auto capture, Capture::start(cluster_->lan().netns(), Segment::port(1), "greater 1"));
    const auto plain = frame_from_pod(weft_, weft_.peer->address);
    auto tagged = Tins::EthernetII(plain.dst_addr(), plain.src_addr()) / Tins::Dot1Q(7) / *plain.inner_pdu();
    for (auto frame : {tagged, plain}) WEFT_ASSERT_OK(send_frame(weft_.pod->ns, "eth0", frame.serialize()));
    WEFT_ASSERT_OK(capture.stop());
    const auto seen = [&](const char *filter) { return run_ok({"tcpdump", "-nnr", capture.file(), filter}); };
    WEFT_ASSERT_ASSIGN(const auto with_tag, seen("vlan"));
    EXPECT_EQ(with_tag, "");
    WEFT_ASSERT_ASSIGN(const auto without_tag, seen("udp port 8472 and src host 192.0.2.1"));
    EXPECT_NE(without_tag.find("4444 > "), std::string::npos) << without_tag;
    WEFT_ASSERT_ASSIGN(const auto counters, weft_near_->counters());
    EXPECT_EQ(count(counters.all, "from_pod/vlan"), 1u) << to_string(counters.all);
}

INSTANTIATE_TEST_SUITE_P(Setups, Unusual, testing::Values(Setup{"tc", WireMode::offload}, Setup{"xdp", WireMode::bare}),
                         setup_name);

} // namespace
} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
// Flows that conntrack knows: who carries them, at which hook.
#include "harness.hpp"

#include <fmt/format.h>

#include <cstdlib>

namespace weft::prog_run {
namespace {

using namespace world;

const Ip4 kClusterIp = *parse_ip4("10.96.0.10");
constexpr std::uint16_t kPort = 80, kEphemeral = 40000;

struct Endpoint {
    Ip4 address;
    std::uint16_t port;
};

/// An entry in the conntrack table of this test's namespace, gone with the object. @param nat as conntrack(8) takes it:
/// the kernel works out the answering direction from it.
class ConntrackEntry {
public:
    ConntrackEntry(const std::string &protocol, const Endpoint &from, const Endpoint &to, const std::string &nat)
        : tuple_(fmt::format("-p {} -s {} --sport {} -d {} --dport {}", protocol, from.address.to_string(), from.port,
                             to.address.to_string(), to.port)) {
        made_ =
            run(fmt::format("-I {} {} --timeout 60 {}", tuple_, protocol == "tcp" ? "--state ESTABLISHED" : "", nat));
    }
    ConntrackEntry(const ConntrackEntry &) = delete;
    ~ConntrackEntry() { run("-D " + tuple_); }
    [[nodiscard]] bool made() const { return made_; }

private:
    static bool run(const std::string &arguments) {
        return std::system(fmt::format("conntrack {} >/dev/null 2>&1", arguments).c_str()) == 0;
    }
    std::string tuple_;
    bool made_ = false;
};

class Nat : public ::testing::TestWithParam<std::string> {
protected:
    void SetUp() override {
        if (!Programs::instance().available()) GTEST_SKIP() << Programs::instance().why_not();
        WEFT_NEEDS_FEATURE(conntrack_lookup);
    }

    static Tins::IP packet(const Endpoint &from, const Endpoint &to, bool opening = false) {
        if (GetParam() == "udp") return ip(from.address, to.address) / udp(to.port, from.port);
        auto segment = tcp(to.port, from.port);
        if (opening) segment.flags(Tins::TCP::SYN);
        return ip(from.address, to.address) / segment;
    }
    static Bytes sent(const Tins::IP &inner) { return bytes_of(eth(kPodHostMac, kPodMac) / inner); }

    static void expect(weft_hook hook, const Bytes &bytes, const std::string &reason) {
        const std::map<std::string, std::uint64_t> expected{{reason, 1}};
        EXPECT_EQ(Programs::instance().run(hook, bytes).reasons, expected) << "hook " << hook;
    }
    static void expect_received(const Tins::IP &inner, bool nated) {
        expect(WEFT_HOOK_FROM_WIRE, tunnel(inner), nated ? "nated" : "decap_to_pod");
        expect(WEFT_HOOK_XDP_WIRE, tunnel(inner), nated ? "nated" : "xdp_popped");
    }
};

TEST_P(Nat, AFlowWithoutNatIsFastBothWays) {
    const Endpoint pod{kPod, kEphemeral}, server{kPeerPod, kPort};
    const ConntrackEntry entry(GetParam(), pod, server, "");
    ASSERT_TRUE(entry.made());
    expect(WEFT_HOOK_FROM_POD, sent(packet(pod, server)), "encap");
    expect_received(packet(server, pod), false);
}

TEST_P(Nat, TheAnswerOfAServiceIsTheStacks) {
    // The pod asked the service; the backend's answer must become the service's again.
    const Endpoint pod{kPod, kEphemeral}, backend{kPeerPod, kPort};
    const ConntrackEntry entry(GetParam(), pod, {kClusterIp, kPort}, "--dst-nat " + kPeerPod.to_string());
    ASSERT_TRUE(entry.made());
    expect_received(packet(backend, pod), true);
    // And what the backend's host has to say about the question.
    expect_received(ip(kPeerPod, kPod) / Tins::ICMP(Tins::ICMP::DEST_UNREACHABLE) /
                        Tins::RawPDU(bytes_of(packet(pod, backend))),
                    true);
    // Another port of the same pair has nothing to do with it.
    expect_received(packet({kPeerPod, kPort}, {kPod, 40001}), false);
}

TEST_P(Nat, AServicesPortReusedToTheBackendDirectlyStartsInTheStack) {
    const Endpoint pod{kPod, kEphemeral}, backend{kPeerPod, kPort};
    const ConntrackEntry entry(GetParam(), pod, {kClusterIp, kPort}, "--dst-nat " + kPeerPod.to_string());
    ASSERT_TRUE(entry.made());
    expect(WEFT_HOOK_FROM_POD, sent(packet(pod, backend, true)), "nated");
    // What does not begin a flow belongs to one that began before the service was asked.
    if (GetParam() == "tcp") expect(WEFT_HOOK_FROM_POD, sent(packet(pod, backend)), "encap");
}

TEST_P(Nat, TheAnswerOfALocalBackendIsTheStacks) {
    // A pod elsewhere came through a service port of this node.
    const Endpoint client{kPeerPod, kEphemeral}, backend{kPod, kPort};
    const ConntrackEntry entry(GetParam(), client, {kNode, kPort}, "--dst-nat " + kPod.to_string());
    ASSERT_TRUE(entry.made());
    expect(WEFT_HOOK_FROM_POD, sent(packet(backend, client)), "nated");
}

TEST_P(Nat, AMasqueradedFlowIsTheStacks) {
    const Endpoint pod{kPod, kEphemeral}, server{kPeerPod, kPort};
    const ConntrackEntry entry(GetParam(), pod, server, "--src-nat " + kNode.to_string());
    ASSERT_TRUE(entry.made());
    expect(WEFT_HOOK_FROM_POD, sent(packet(pod, server)), "nated");
}

INSTANTIATE_TEST_SUITE_P(Table, Nat, ::testing::Values("tcp", "udp"),
                         [](const auto &param_info) { return param_info.param; });

} // namespace
} // namespace weft::prog_run

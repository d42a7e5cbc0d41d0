// SPDX-License-Identifier: Apache-2.0
// Two nodes over uplinks and wires as hosts have them, in both places of the pop, and what they say of this kernel.
#include <gmock/gmock.h>

#include <set>
#include <string>
#include <tuple>

#include "datapath/features.hpp"
#include "net/link.hpp"
#include "two_nodes.hpp"

namespace weft::kernels {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

/// What weftd should say that it does otherwise here.
nlohmann::json probed() {
    auto all = nlohmann::json::object();
    for (const auto &[feature, cost] : datapath::lacks(datapath::probe_features())) all[feature] = cost;
    return all;
}

class Uplinks : public TwoNodes, public testing::WithParamInterface<std::tuple<Uplink, std::string>> {};

TEST_P(Uplinks, CarryPodsPacketsUnchanged) {
    const auto &[uplink, datapath] = GetParam();
    ASSERT_NO_FATAL_FAILURE(wire_and_start(uplink, datapath));
    if (IsSkipped()) return;
    ASSERT_NO_FATAL_FAILURE(expect_transfers(kMiB / 2));
    // Through a wire that is not the node's uplink packets come to weft.1 by the kernel's own tunnel socket.
    if (uplink != Uplink::dummy) expect_fast_path(kMiB / 2 / 65536);
    const bool xdp = datapath == "xdp" && !lacks(1, "native_xdp");
    WEFT_ASSERT_ASSIGN(const auto status, node(1).weftctl("status"));
    EXPECT_EQ(status.at("daemon").at("datapath"), xdp ? "xdp" : "tc");
    WEFT_ASSERT_ASSIGN(const auto counters, node(1).counters());
    EXPECT_EQ(test::count(counters.all, "xdp_wire/xdp_popped") > 0, xdp && !lacks(1, "conntrack_lookup"))
        << test::to_string(counters.all);
    for (const std::size_t n : {0, 1}) test::expect_no_drops(node(n));
    EXPECT_TRUE(xdp || datapath == "tc" || uplink != Uplink::veth) << "every kernel's veth runs XDP programs";
    auto said = lacks(1);
    for (const auto *of_the_uplink : {"native_xdp", "xdp_dispatcher"}) said.erase(of_the_uplink);
    EXPECT_EQ(said, probed());
}

INSTANTIATE_TEST_SUITE_P(Kernels, Uplinks,
                         testing::Values(std::tuple(Uplink::veth, "xdp"), std::tuple(Uplink::vlan, "xdp"),
                                         std::tuple(Uplink::bond, "xdp"), std::tuple(Uplink::dummy, "xdp"),
                                         std::tuple(Uplink::netkit, "xdp")),
                         [](const auto &param) {
                             return std::string(name_of(std::get<0>(param.param))) + "_" + std::get<1>(param.param);
                         });

class PodDevices : public TwoNodes {
protected:
    /// Of the pods on a node, as the kernel names them.
    std::set<std::string> kinds(std::size_t n) {
        std::set<std::string> found;
        const auto listed = node(n).netns().run_in([&]() -> Status {
            auto sock = net::NlSocket::open();
            if (!sock) return fail_as_is(std::move(sock));
            const auto links = net::list_links(*sock);
            for (const auto &link : links.value_or(std::vector<net::Link>()))
                if (link.alias.starts_with("weft:")) found.insert(link.kind);
            return {};
        });
        EXPECT_TRUE(listed) << listed.error().sentence();
        return found;
    }
};

/// With the node's other pods, with other nodes' and the host, under the same checks; by veth where the kernel has no netkit.
TEST_F(PodDevices, NetkitCarriesWhatVethDoes) {
    ASSERT_NO_FATAL_FAILURE(wire(Uplink::veth));
    for (const std::size_t n : {0, 1}) node(n).set_pod_device("netkit");
    ASSERT_NO_FATAL_FAILURE(start("tc"));
    EXPECT_THAT(kinds(0), testing::ElementsAre(lacks(0, "netkit") ? "veth" : "netkit"));
    ASSERT_NO_FATAL_FAILURE(expect_transfers(kMiB / 2));
    expect_fast_path(kMiB / 2 / 65536);

    WEFT_ASSERT_ASSIGN(auto *neighbour, node(0).add_pod());
    WEFT_ASSERT_ASSIGN(const auto transfer, test::tcp_transfer(pod(0).ns, neighbour->address, kMiB / 2));
    EXPECT_EQ(transfer.seen_as, pod(0).address);
    WEFT_EXPECT_OK(test::ping(node(0).netns(), neighbour->address));
    for (const std::size_t n : {0, 1}) test::expect_no_drops(node(n));

    WEFT_ASSERT_OK(pod(0).ns.ip("addr add 10.244.77.77/32 dev eth0"));
    EXPECT_FALSE(pod(0).ns.run(fmt::format("ping -c 1 -W 1 -I 10.244.77.77 {}", pod(1).address)));
    WEFT_ASSERT_ASSIGN(const auto counters, node(0).counters());
    EXPECT_EQ(test::count(counters.dropped, "from_pod/pod_source"), 1U) << test::to_string(counters.dropped);
    for (auto *one : {&pod(0), neighbour}) WEFT_ASSERT_OK(node(0).del_pod(*one));
    EXPECT_THAT(kinds(0), testing::IsEmpty());
}

class Wires : public TwoNodes {};

/// An active link that fails is replaced by the one that waits, under the same programs.
TEST_F(Wires, ABondGoesOnWithItsOtherLink) {
    ASSERT_NO_FATAL_FAILURE(wire_and_start(Uplink::bond, "tc"));
    if (IsSkipped()) return;
    ASSERT_NO_FATAL_FAILURE(expect_transfers(64 * 1024));
    for (const std::size_t n : {0, 1}) WEFT_ASSERT_OK(node(n).netns().ip("link set wire0 down"));
    // The kernel looks after its links ten times a second.
    for (const std::size_t n : {0, 1})
        EXPECT_TRUE(test::wait_until(
            [&] {
                const auto bond = node(n).netns().run("cat /proc/net/bonding/eth0");
                return bond && bond->contains("Currently Active Slave: wire1");
            },
            std::chrono::seconds(10)));
    ASSERT_NO_FATAL_FAILURE(expect_transfers(64 * 1024));
}

TEST_F(Wires, LossDelayAndReorderingCostTimeAndNothingElse) {
    ASSERT_NO_FATAL_FAILURE(wire_and_start(Uplink::veth, "tc"));
    if (IsSkipped()) return;
    for (const std::size_t n : {0, 1}) {
        const auto added =
            node(n).netns().run("tc qdisc add dev eth0 root netem delay 3ms 1ms loss 0.5% reorder 20% 50% limit 10000");
        if (!added) GTEST_SKIP() << "this kernel has no netem";
    }
    for (const auto direction : {test::Direction::send, test::Direction::receive}) {
        WEFT_ASSERT_ASSIGN(const auto transfer,
                           test::tcp_transfer(pod(0).ns, pod(1).address, kMiB, {.direction = direction}));
        EXPECT_EQ(transfer.bytes, kMiB);
    }
    for (const std::size_t n : {0, 1}) test::expect_no_drops(node(n));
}

} // namespace
} // namespace weft::kernels

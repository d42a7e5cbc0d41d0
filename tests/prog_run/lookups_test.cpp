// SPDX-License-Identifier: Apache-2.0
// What the programs find where another node's leases are of other lengths, or its MAC is the kernel's alone to know.
#include <fcntl.h>

#include <fstream>

#include "base/unique_fd.hpp"
#include "harness.hpp"
#include "net/addr.hpp"
#include "net/link.hpp"
#include "net/neigh.hpp"

namespace weft::prog_run {
namespace {

using namespace world;

class Lookups : public ::testing::Test {
protected:
    void SetUp() override {
        auto &programs = Programs::instance();
        if (!programs.available()) GTEST_SKIP() << programs.why_not();
    }
    /// Of the packet's destination, kPeerPod: its lease is 10.244.86.0/24.
    static std::map<std::string, std::uint64_t> sent_with(const abi::PrefixLens &lens) {
        auto &programs = Programs::instance();
        const auto saved = (*programs.datapath().state().get(0)).value();
        EXPECT_TRUE(programs.datapath().state().put(0, abi::state(lens)));
        auto out =
            programs.run(WEFT_HOOK_FROM_HOST, bytes_of(eth(kPeerVtepMac, kVtepMac) / ip(kPod, kPeerPod, 63) / tcp()));
        EXPECT_TRUE(programs.datapath().state().put(0, saved));
        return out.reasons;
    }
    using Counts = std::map<std::string, std::uint64_t>;
};

TEST_F(Lookups, EachPrefixLengthInUseIsTried) {
    WEFT_NEEDS_FEATURE(push_vxlan);
    EXPECT_EQ(sent_with({{{{24}, {64}}}}), (Counts{{"encap", 1}})) << "the only one";
    EXPECT_EQ(sent_with({{{{30, 29, 28, 27, 26, 25, 24, 23}, {64}}}}), (Counts{{"encap", 1}}))
        << "as many as there may be";
    EXPECT_EQ(sent_with({{{{30, 29, 28, 27, 26, 25, 22, 21}, {64}}}}), (Counts{{"no_route", 1}})) << "none of them";
    EXPECT_EQ(sent_with({{{{25}, {64}}}}), (Counts{{"no_route", 1}}));
    EXPECT_EQ(sent_with({}), (Counts{{"no_route", 1}})) << "no lease at all";
}

/// An uplink that knows 192.0.2.1 by its MAC.
Status add_uplink(net::NlSocket &sock) {
    const UniqueFd here(::open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
    if (auto made = net::create_pair(sock, {.name = "up0",
                                            .mac = *parse_mac("02:00:00:00:01:00"),
                                            .peer_name = "up1",
                                            .peer_mac = *parse_mac("02:00:00:00:01:01"),
                                            .peer_netns_fd = here.get()});
        !made)
        return made;
    int index = 0;
    for (const char *name : {"lo", "up1", "up0"}) {
        auto link = net::find_link(sock, name);
        if (!link || !*link) return link ? fail(std::string("no ") + name) : fail_as_is(std::move(link));
        index = (*link)->index;
        if (auto opened = net::change_link(sock, index, {.up = true}); !opened) return opened;
    }
    if (auto set = net::set_address(sock, index, *parse_net("192.0.2.2/24")); !set) return set;
    return net::set_permanent_neighbour(sock, index, *parse_ip("192.0.2.1"), *parse_mac("02:00:00:00:00:55"));
}

/// A node that is its own next hop, and sends from a MAC that no lease names: the kernel's neighbour table says whose it is.
TEST_F(Lookups, AMacThatTheKernelKnowsIsTheNodes) {
    WEFT_NEEDS_FEATURE(conntrack_lookup);
    auto &programs = Programs::instance();
    auto sock = net::NlSocket::open();
    ASSERT_TRUE(sock);
    const auto added = add_uplink(*sock);
    ASSERT_TRUE(added) << added.error().sentence();
    std::ofstream("/proc/sys/net/ipv4/conf/all/forwarding") << "1\n";
    const auto key = abi::lease_key(*parse_net("10.244.86.0/24"));
    const auto saved = (*programs.datapath().leases().get(key)).value();
    auto lease = saved;
    lease.next_hop = lease.node;
    lease.link_mac = {};
    const auto from_mac = [&](const char *mac, const Ip4 &to, weft_check_mode checks = WEFT_CHECK_ENFORCE) {
        const auto packet = bytes_of(eth(kVtepMac, *parse_mac(mac)) / ip(kPeerPod, to, 63) / tcp());
        return programs.run(WEFT_HOOK_FROM_WIRE, packet, {.checks = checks}).reasons;
    };
    const char *its = "02:00:00:00:00:55", *other = "02:00:00:00:00:56";
    ASSERT_TRUE(programs.datapath().leases().put(key, lease));
    EXPECT_EQ(from_mac(its, kPod), (Counts{{"decap_to_pod", 1}}));
    EXPECT_EQ(from_mac(other, kPod), (Counts{{"wrong_link_mac", 1}}));
    EXPECT_EQ(from_mac(other, kNode), (Counts{{"wrong_link_mac", 1}}));
    EXPECT_EQ(from_mac(other, kNode, WEFT_CHECK_OFF), (Counts{{"not_overlay", 1}}));
    for (const char *stranger : {"192.0.2.77", "2001:db8::77"}) { // whom nobody has asked for yet
        lease.node = lease.next_hop = abi::ip(*parse_ip(stranger));
        ASSERT_TRUE(programs.datapath().leases().put(key, lease));
        EXPECT_EQ(from_mac(its, kPod), (Counts{{"wrong_link_mac", 1}})) << stranger;
        EXPECT_EQ(from_mac(its, kNode), (Counts{{"not_overlay", 1}})) << stranger << ", to the node itself";
    }
    EXPECT_TRUE(programs.datapath().leases().put(key, saved));
    EXPECT_TRUE(net::delete_link(*sock, (*net::find_link(*sock, "up0"))->index));
}

/// Another IPAM plugin gave it an address outside of the node's subnet.
TEST_F(Lookups, APodWithAnAddressFromElsewhereIsOursToo) {
    auto endpoints = Programs::instance().datapath().endpoints();
    const Ip4 kGuest = *parse_ip4("10.244.200.5");
    ASSERT_TRUE(endpoints.put(abi::ip(kGuest), (*endpoints.get(abi::ip(kNeighbourPod))).value()));
    expect_row(WEFT_HOOK_FROM_WIRE, {"", tunnel(ip(kGuest, kPod, 63) / tcp()), "own_source"});
    expect_row(WEFT_HOOK_FROM_WIRE,
               {"", bytes_of(eth(kPodHostMac, kPeerLinkMac) / ip(kGuest, kPod, 63) / tcp()), "own_source"});
    ASSERT_TRUE(*endpoints.erase(abi::ip(kGuest)));
}

} // namespace
} // namespace weft::prog_run

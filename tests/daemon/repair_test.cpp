// SPDX-License-Identifier: Apache-2.0
// What somebody takes away from a running node comes back by itself.
#include <set>
#include <sstream>

#include "daemon_fixture.hpp"

namespace weft::test {
namespace {

using testing::HasSubstr;

class RepairTest : public DaemonTest {
protected:
    void SetUp() override {
        DaemonTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        WEFT_ASSERT_OK(put_lease("10.244.77.0-24", "192.0.2.77"));
        start();
        WEFT_ASSERT_OK(node_->wait_for_leases(1));
        before_ = host_state();
    }

    /// What `ip` tells of everything that is ours, without what may change (ifindex).
    [[nodiscard]] std::string host_state() const {
        const auto quiet = [this](std::string_view line) {
            const auto out = node_->netns().output(words(line));
            return out ? out->out : std::string();
        };
        auto link = quiet("ip -o -d link show weft.1");
        link = link.substr(std::min(link.size(), link.find("weft.1")));
        // An address that was taken away comes back behind the other: their order is nothing to compare.
        std::multiset<std::string> addresses;
        std::istringstream lines(quiet("ip -o -4 addr show dev weft.1"));
        for (std::string line; std::getline(lines, line);)
            addresses.insert(line.substr(std::min(line.size(), line.find("inet "))));
        std::string sorted;
        for (const auto &line : addresses) sorted += line + "\n";
        return link + sorted + quiet("ip route show proto 119") + quiet("ip neighbour show dev weft.1");
    }
    [[nodiscard]] bool repaired() const {
        return wait_until([&] { return host_state() == before_; });
    }

    std::string before_;
};

TEST_F(RepairTest, RoutesAddressesNeighbourAndAttributesOfTheDevice) {
    WEFT_ASSERT_ASSIGN(const auto base, node_->base_address());
    const std::string damage[] = {
        "route del 10.244.0.0/16",
        "route del unreachable " + base + "/24",
        "addr del " + base + "/32 dev weft.1", // takes the overlay route with it
        "neighbour del 169.254.1.1 dev weft.1",
        "link set weft.1 mtu 1300",
        "link set weft.1 address 02:00:00:00:00:99",
        "link set weft.1 down",
        "link set weft.1 arp on",
    };
    for (const auto &command : damage) {
        WEFT_ASSERT_OK(node_->netns().ip(command));
        EXPECT_TRUE(repaired()) << command << "\nwas:\n" << before_ << "\nis:\n" << host_state() << log();
    }
}

TEST_F(RepairTest, TheDeviceItself) {
    const auto first = ifindex_of_vtep();
    WEFT_ASSERT_OK(node_->netns().ip("link del weft.1"));
    EXPECT_TRUE(repaired()) << host_state() << log();
    EXPECT_NE(ifindex_of_vtep(), first);
    EXPECT_EQ(leases().size(), 1U);
    EXPECT_TRUE(wait_until([&] { return status()["state"] == "synced"; })) << status();
}

TEST_F(RepairTest, ADeviceOfAnotherKindIsReplaced) {
    for (const std::string kind : {"bridge", "vxlan id 1 dstport 4789 dev eth0"}) {
        WEFT_ASSERT_OK(node_->daemon()->signal(SIGSTOP)); // else weft.1 may be back before the other one is made
        const auto replaced = node_->netns().ip("link del weft.1\nlink add weft.1 type " + kind);
        WEFT_ASSERT_OK(node_->daemon()->signal(SIGCONT));
        WEFT_ASSERT_OK(replaced);
        EXPECT_TRUE(repaired()) << host_state() << log();
    }
}

TEST_F(RepairTest, TheUplinksMtuIsFollowed) {
    WEFT_ASSERT_OK(node_->netns().ip("link set eth0 mtu 1400"));
    EXPECT_TRUE(wait_until([&] { return sh("ip link show weft.1").contains("mtu 1350"); })) << log();
    EXPECT_TRUE(wait_until([&] { return lease_field("10.244.77.0/24", "mtu") == "1350"; })) << log();
    EXPECT_TRUE(wait_until([&] { return read_file(node_->subnet_file()).value_or("").contains("FLANNEL_MTU=1350\n"); }))
        << log();
}

TEST_F(RepairTest, ForeignThingsAreLeftAlone) {
    WEFT_ASSERT_OK(node_->netns().ip("addr add 203.0.113.5/32 dev weft.1\nroute add 203.0.113.0/24 via 192.0.2.254\n"
                                     "link add other type bridge"));
    WEFT_ASSERT_OK(node_->netns().ip("route del 10.244.0.0/16"));
    EXPECT_TRUE(wait_until([&] { return sh("ip route").contains("10.244.0.0/16 via 169.254.1.1"); })) << log();
    EXPECT_THAT(sh("ip -4 -o addr show dev weft.1"), HasSubstr("203.0.113.5/32"));
    EXPECT_THAT(sh("ip route"), HasSubstr("203.0.113.0/24 via 192.0.2.254"));
    EXPECT_THAT(sh("ip link"), HasSubstr("other"));
}

} // namespace
} // namespace weft::test

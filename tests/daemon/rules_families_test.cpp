// SPDX-License-Identifier: Apache-2.0
// weft's firewall rules for IPv4 and IPv6 on one host, without a daemon: a pod, its host, the world, and who is seen by whom.
#include "firewall/firewall.hpp"
#include "rules_fixture.hpp"

#include <fmt/ranges.h>

namespace weft::test {
namespace {

using testing::IsEmpty;
using testing::Not;

constexpr const char *kHostRules6 = R"(*filter
:FORWARD DROP [0:0]
COMMIT
*nat
:POSTROUTING ACCEPT [0:0]
COMMIT
)";

FirewallConfig both() {
    return {.ipv4 = PodPrefixes{*parse_net("10.244.0.0/16"), *parse_net("10.244.3.0/24")},
            .ipv6 = PodPrefixes{*parse_net("fd00:10::/48"), *parse_net("fd00:10:0:5::/64")},
            .masquerade = true,
            .random_ports = true,
            .forward = true};
}

/// The host has Docker's rules in both families where it has iptables.
class RulesOfFamilies : public testing::TestWithParam<Host> {
protected:
    void SetUp() override {
        WEFT_REQUIRES(requires_netns());
        WEFT_REQUIRES(requires_tools({"nft", "iptables-nft-restore", "iptables-legacy-restore", "tcpdump", "ping"}));
        WEFT_ASSERT_ASSIGN(host_, Netns::create("host"));
        WEFT_ASSERT_ASSIGN(pod_, Netns::create("pod"));
        WEFT_ASSERT_ASSIGN(world_, Netns::create("world"));
        // Until an interface's link-local address is known to be unique its host can ask nobody for what it forwards.
        for (const auto *netns : {&*host_, &*pod_, &*world_})
            WEFT_ASSERT_OK(netns->sysctl("net.ipv6.conf.default.accept_dad", "0"));
        WEFT_ASSERT_OK(connect(*host_, "pod", *pod_, "eth0"));
        WEFT_ASSERT_OK(connect(*host_, "eth0", *world_, "eth0"));
        WEFT_ASSERT_OK(host_->ip("address add 10.244.3.1/24 dev pod\naddress add fd00:10:0:5::1/64 dev pod nodad\n"
                                 "address add 192.0.2.1/24 dev eth0\naddress add 2001:db8::1/64 dev eth0 nodad"));
        WEFT_ASSERT_OK(pod_->ip("address add 10.244.3.2/24 dev eth0\naddress add fd00:10:0:5::2/64 dev eth0 nodad\n"
                                "route add default via 10.244.3.1\nroute add default via fd00:10:0:5::1"));
        WEFT_ASSERT_OK(world_->ip("address add 192.0.2.2/24 dev eth0\naddress add 2001:db8::2/64 dev eth0 nodad"));
        for (const auto *setting : {"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"})
            WEFT_ASSERT_OK(host_->sysctl(setting, "1"));
        if (GetParam() == Host::nftables) {
            WEFT_ASSERT_OK(host_->run("nft add table ip6 others"));
        } else {
            WEFT_ASSERT_OK(host_->run({command(4) + "-restore"}, {.input = kDockerRules}));
            WEFT_ASSERT_OK(host_->run({command(6) + "-restore"}, {.input = kHostRules6}));
        }
        foreign_ = everything();
        WEFT_ASSERT_OK(host_->run_in([this]() -> Status {
            auto opened = Firewall::open();
            if (!opened) return fail_as_is(std::move(opened));
            firewall_.emplace(std::move(*opened));
            return {};
        }));
    }

    [[nodiscard]] static std::string command(int version) {
        return fmt::format("{}tables-{}", version == 4 ? "ip" : "ip6",
                           GetParam() == Host::iptables_legacy ? "legacy" : "nft");
    }
    /// Every rule of the host, without counters.
    [[nodiscard]] std::string everything() const {
        std::string all;
        for (const auto *look : {"nft -s list ruleset", "iptables-legacy-save", "ip6tables-legacy-save"}) {
            if (GetParam() != Host::iptables_legacy && std::string_view(look).contains("legacy"))
                continue; // to look would make them
            const auto out = host_->run(look);
            std::istringstream lines(out.value_or("failed"));
            for (std::string line; std::getline(lines, line);)
                if (!line.starts_with('#')) all += line.substr(0, line.find(" [")) + "\n";
        }
        return all;
    }
    /// @return what was done.
    std::vector<std::string> ensure(const FirewallConfig &config) {
        std::vector<std::string> done;
        const auto status = host_->run_in([&]() -> Status {
            auto outcome = firewall_->ensure(config, FirewallChoice::automatic);
            if (!outcome) return fail_as_is(std::move(outcome));
            done = std::move(*outcome);
            return {};
        });
        WEFT_EXPECT_OK(status);
        return done;
    }
    /// As whom the world sees a ping of the pod's; "" where it does not see it.
    [[nodiscard]] std::string seen_by_world(int version) const {
        auto capture = world_->spawn(words(
            fmt::format("tcpdump -n -l -c 1 -i eth0 {}", version == 4 ? "icmp[0] == 8" : "icmp6 and ip6[40] == 128")));
        if (!capture || !capture->wait_for_output("listening on")) return "no capture";
        const std::string to = version == 4 ? "192.0.2.2" : "2001:db8::2";
        (void)pod_->output(words("ping -n -c 5 -i 0.2 -W 1 " + to));
        if (!capture->wait(200ms)) return "";
        const auto line = capture->out(); // "12:00:00.000000 IP 192.0.2.1 > 192.0.2.2: ICMP echo request, ..."
        const auto begin = line.find(' ', line.find(" IP") + 1) + 1;
        return line.substr(begin, line.find(" > ") - begin);
    }

    std::optional<Netns> host_, pod_, world_;
    std::optional<Firewall> firewall_;
    std::string foreign_;
};

TEST_P(RulesOfFamilies, MasqueradeAndForwardInBoth) {
    EXPECT_THAT(ensure(both()), Not(IsEmpty()));
    EXPECT_THAT(ensure(both()), IsEmpty());
    EXPECT_EQ(seen_by_world(4), "192.0.2.1");
    EXPECT_EQ(seen_by_world(6), "2001:db8::1");
    // A flushed family comes back, and is the only one that is written.
    const auto written = everything();
    WEFT_ASSERT_OK(host_->run(GetParam() == Host::nftables ? "nft delete table ip6 weft" : command(6) + " -t nat -F"));
    EXPECT_THAT(ensure(both()), Not(IsEmpty()));
    EXPECT_EQ(everything(), written);
}

TEST_P(RulesOfFamilies, OnlyThoseThatAreOnHaveAny) {
    auto config = both();
    config.ipv6.reset();
    ASSERT_THAT(ensure(config), Not(IsEmpty()));
    EXPECT_EQ(seen_by_world(4), "192.0.2.1");
    EXPECT_EQ(seen_by_world(6), GetParam() == Host::nftables ? "fd00:10:0:5::2" : "") << "as if weft were not there";
    EXPECT_EQ(everything().find("ip6 weft"), std::string::npos);
    ASSERT_THAT(ensure(both()), Not(IsEmpty()));
    EXPECT_EQ(seen_by_world(6), "2001:db8::1");
    config = both();
    config.ipv4.reset();
    ASSERT_THAT(ensure(config), Not(IsEmpty()));
    EXPECT_EQ(seen_by_world(6), "2001:db8::1");
    EXPECT_EQ(seen_by_world(4), GetParam() == Host::nftables ? "10.244.3.2" : "");
}

TEST_P(RulesOfFamilies, GoTogetherAndLeaveForeignOnes) {
    ASSERT_THAT(ensure(both()), Not(IsEmpty()));
    std::vector<std::string> before, after;
    WEFT_ASSERT_OK(host_->run_in([&]() -> Status {
        before = list_firewall_rules();
        auto removed = remove_firewall_rules();
        after = list_firewall_rules();
        return removed;
    }));
    EXPECT_EQ(before.size(), GetParam() == Host::nftables ? 2U : 24U) << fmt::format("{}", fmt::join(before, "\n"));
    EXPECT_THAT(after, IsEmpty());
    EXPECT_EQ(everything(), foreign_);
}

INSTANTIATE_TEST_SUITE_P(Hosts, RulesOfFamilies, testing::ValuesIn(kHosts), host_name);

} // namespace
} // namespace weft::test

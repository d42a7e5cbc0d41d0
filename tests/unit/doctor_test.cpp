// SPDX-License-Identifier: Apache-2.0
// The pure parts of `weftctl doctor`: chains of all kinds of firewalls, and hosts that a test cannot make.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <span>

#include "ctl/doctor/doctor.hpp"
#include "ctl/doctor/facts.hpp"
#include "ctl/doctor/judge.hpp"
#include "firewall/obstacles.hpp"

namespace weft::ctl {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr const char *kNetwork = "10.244.0.0/16";

HostChain iptables(const char *listing, const char *name = "FORWARD") {
    return parse_iptables_chain(RuleSystem::iptables_nft, RuleFamily::ipv4, name, listing);
}
HostChain nft(const char *name, const char *listing) { return parse_nft_chain(RuleFamily::ipv4, name, listing); }

TEST(HostChains, AreReadFromIptables) {
    const auto chain = iptables("-P FORWARD DROP\n"
                                "-A FORWARD -m comment --comment \"a \\\"b\\\" -j DROP\" -j DOCKER-USER\n"
                                "-A FORWARD -m comment --comment plain -j REJECT --reject-with icmp-host-prohibited\n");
    EXPECT_TRUE(chain.drops_by_default);
    EXPECT_THAT(chain.rules, ElementsAre("-j DOCKER-USER", "-j REJECT --reject-with icmp-host-prohibited"));
}

TEST(HostChains, AreReadFromNftables) {
    const auto chain = nft("inet filter forward", R"(table inet filter {
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state { established, related } counter accept
		iifname "lo" accept comment "home } sweet"
		counter packets 3 bytes 180 log prefix "no: " level info drop
	}
}
)");
    EXPECT_TRUE(chain.drops_by_default);
    EXPECT_THAT(chain.rules, ElementsAre("ct state { established, related } accept", "iifname \"lo\" accept", "drop"));
}

struct ForwardCase {
    const char *what;
    HostChain chain;
    const char *why; ///< nullptr: no obstacle
};

TEST(ForwardObstacle, IsAChainThatDropsWhatItHasNotAccepted) {
    const ForwardCase table[] = {
        {"an empty host", iptables("-P FORWARD ACCEPT\n"), nullptr},
        {"Docker, and our jump",
         iptables("-P FORWARD DROP\n-A FORWARD -j DOCKER-USER\n-A FORWARD -m comment --comment "
                  "\"weft forward\" -j WEFT-FWD\n"),
         nullptr},
        {"Docker without our jump", iptables("-P FORWARD DROP\n-A FORWARD -j DOCKER-USER\n"), "its policy is DROP"},
        {"a drop before our jump",
         iptables(
             "-P FORWARD ACCEPT\n-A FORWARD -j REJECT --reject-with icmp-port-unreachable\n-A FORWARD -j WEFT-FWD\n"),
         "-j REJECT"},
        {"a drop after our jump", iptables("-P FORWARD ACCEPT\n-A FORWARD -j WEFT-FWD\n-A FORWARD -j DROP\n"), nullptr},
        {"a drop of some packets", iptables("-P FORWARD ACCEPT\n-A FORWARD -i eth1 -j DROP\n"), nullptr},
        {"an operator's accept", iptables("-P FORWARD DROP\n-A FORWARD -s 10.244.0.0/16 -j ACCEPT\n"), nullptr},
        {"an accept of everything", iptables("-P FORWARD DROP\n-A FORWARD -j ACCEPT\n"), nullptr},
        {"hand-made nftables", nft("inet filter forward", "type filter hook forward priority 0; policy drop;\n}\n"),
         "its policy is DROP"},
        {"told of the pods",
         nft("inet filter forward",
             "type filter hook forward priority 0; policy drop;\nip saddr 10.244.0.0/16 accept\n}\n"),
         nullptr},
        {"firewalld",
         nft("inet firewalld filter_FORWARD", "type filter hook forward priority filter + 10; policy accept;\n"
                                              "ct state { established, related } accept\njump filter_FORWARD_ZONES\n"
                                              "reject with icmpx admin-prohibited\n}\n"),
         "reject with icmpx"},
    };
    for (const auto &c : table) {
        const auto found = forward_obstacle(c.chain, kNetwork);
        ASSERT_EQ(found.has_value(), c.why != nullptr) << c.what << (found ? ": " + found->why : "");
        if (c.why) {
            EXPECT_THAT(found->why, HasSubstr(c.why)) << c.what;
        }
    }
}

TEST(ForwardObstacle, AdviceIsInTheWordsOfTheTool) {
    EXPECT_EQ(forward_obstacle(iptables("-P FORWARD DROP\n"), kNetwork)->advice,
              "iptables-nft -I FORWARD -s 10.244.0.0/16 -j ACCEPT; iptables-nft -I FORWARD -d 10.244.0.0/16 -j ACCEPT");
    EXPECT_EQ(forward_obstacle(iptables("-P FORWARD DROP\n", "-t mangle FORWARD"), kNetwork)->chain,
              "iptables-nft -t mangle FORWARD");
    EXPECT_THAT(forward_obstacle(iptables("-P FORWARD DROP\n", "-t mangle FORWARD"), kNetwork)->advice,
                HasSubstr("iptables-nft -t mangle -I FORWARD -s"));
    const char *drop = "type filter hook forward priority 0; policy drop;\n}\n";
    EXPECT_THAT(forward_obstacle(nft("inet filter forward", drop), kNetwork)->advice,
                HasSubstr("nft insert rule inet filter forward ip saddr 10.244.0.0/16 accept"));
    EXPECT_THAT(forward_obstacle(nft("inet firewalld filter_FORWARD", drop), kNetwork)->advice,
                HasSubstr("firewall-cmd --permanent --zone=trusted --add-source=10.244.0.0/16"));
}

TEST(ForwardObstacle, OfIpv6IsToldInItsWords) {
    const std::string network = "fd00:10::/48";
    const auto chain = parse_iptables_chain(RuleSystem::iptables_nft, RuleFamily::ipv6, "FORWARD", "-P FORWARD DROP\n");
    const auto found = forward_obstacle(chain, network);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->chain, "ip6tables-nft FORWARD");
    EXPECT_THAT(found->advice, HasSubstr("ip6tables-nft -I FORWARD -s fd00:10::/48 -j ACCEPT"));
    const auto inet =
        parse_nft_chain(RuleFamily::ipv6, "inet filter forward",
                        "type filter hook forward priority 0; policy drop;\nip saddr 10.244.0.0/16 accept\n}\n");
    EXPECT_THAT(forward_obstacle(inet, network)->advice,
                HasSubstr("nft insert rule inet filter forward ip6 saddr fd00:10::/48 accept"));
}

TEST(PortObstacle, IsCertainWhereARuleNamesThePort) {
    const auto named =
        port_obstacle(iptables("-P INPUT ACCEPT\n-A INPUT -p udp -m udp --dport 8472 -j DROP\n", "INPUT"), 8472);
    ASSERT_TRUE(named);
    EXPECT_TRUE(named->certain);
    const auto closed =
        port_obstacle(iptables("-P INPUT DROP\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n", "INPUT"), 8472);
    ASSERT_TRUE(closed);
    EXPECT_FALSE(closed->certain);
    EXPECT_THAT(closed->advice, HasSubstr("iptables-nft -I INPUT -p udp --dport 8472 -j ACCEPT"));
    EXPECT_FALSE(port_obstacle(iptables("-P INPUT DROP\n-A INPUT -p udp --dport 8472 -j ACCEPT\n", "INPUT"), 8472));
    EXPECT_FALSE(port_obstacle(iptables("-P INPUT ACCEPT\n-A INPUT -p udp --dport 84720 -j DROP\n", "INPUT"), 8472));
    EXPECT_FALSE(port_obstacle(
        nft("inet filter input", "type filter hook input priority 0; policy drop;\nudp dport { 53, 8472 } accept\n}\n"),
        8472));
}

TEST(Judge, AConntrackTableThatIsFullOrNearlySo) {
    EXPECT_EQ(judge_conntrack("10", "262144").state, CheckState::ok);
    EXPECT_EQ(judge_conntrack("236000", "262144").state, CheckState::warn);
    const auto full = judge_conntrack("262144", "262144");
    EXPECT_EQ(full.state, CheckState::fail);
    EXPECT_THAT(full.advice, HasSubstr("nf_conntrack_max=524288"));
    EXPECT_EQ(judge_conntrack("-", "-").state, CheckState::ok) << "a kernel without conntrack";
}

TEST(Judge, SizesThatDoNotFit) {
    EXPECT_EQ(judge_mtu(1450, 50, "eth0", 1500).state, CheckState::ok);
    EXPECT_EQ(judge_mtu(1450, 50, "eth0", 1499).state, CheckState::fail);
    EXPECT_EQ(judge_mtu(1500, 0, "eth0", 1500).state, CheckState::ok) << "host-gw";
}

TEST(Judge, DropsWithAdviceForThoseThatOthersCause) {
    EXPECT_EQ(judge_drops({}).state, CheckState::ok);
    const auto found = judge_drops({{"from_wire/unknown_sender", 7}, {"from_wire/spoofed_source", 1}});
    EXPECT_EQ(found.state, CheckState::warn);
    EXPECT_THAT(found.found, HasSubstr("7 from_wire/unknown_sender"));
    EXPECT_THAT(found.advice, HasSubstr("a node without a lease"));
    EXPECT_THAT(found.advice, HasSubstr("not in its lease"));
    EXPECT_FALSE(judge_drops({{"from_wire/bad_ip", 1}}).advice.empty());
}

Finding look(std::span<const Check> checks, std::string_view name, const NodeFacts &facts) {
    const auto check = std::ranges::find(checks, name, &Check::name);
    return check == checks.end() ? Finding{CheckState::fail, "no such check", {}} : check->look(facts);
}

TEST(SubnetFile, OfAnotherDaemonIsFound) {
    NodeFacts facts;
    facts.subnet_file = "/run/flannel/subnet.env";
    facts.daemon = {{"subnet", "10.244.1.0/24"}, {"mtu", 1450}};
    facts.env = SubnetEnv{.subnet = parse_net4("10.244.1.1/24").value(), .mtu = 1450};
    EXPECT_EQ(look(daemon_checks(), "subnet.env", facts).state, CheckState::ok);
    facts.env->mtu = 1400;
    const auto of_another_mtu = look(daemon_checks(), "subnet.env", facts);
    EXPECT_EQ(of_another_mtu.state, CheckState::fail);
    EXPECT_EQ(of_another_mtu.found, "/run/flannel/subnet.env says MTU 1400, weftd says 1450");
    facts.env->subnet = parse_net4("10.244.9.1/24").value();
    const auto of_another_subnet = look(daemon_checks(), "subnet.env", facts);
    EXPECT_EQ(of_another_subnet.state, CheckState::fail);
    EXPECT_EQ(of_another_subnet.found, "/run/flannel/subnet.env says 10.244.9.0/24, the lease is 10.244.1.0/24");
    EXPECT_THAT(of_another_subnet.advice, HasSubstr("flanneld"));
}

TEST(Certificates, ThatCannotBeReadAreNamed) {
    NodeFacts facts;
    facts.daemon = nlohmann::json::object();
    EXPECT_EQ(look(access_checks(), "certificates", facts).state, CheckState::ok) << "none are configured";
    (*facts.daemon)["etcd"]["files"] = {{"ca", "/nonexistent/ca.pem"}};
    const auto found = look(access_checks(), "certificates", facts);
    EXPECT_EQ(found.state, CheckState::fail);
    EXPECT_THAT(found.found, HasSubstr("/nonexistent/ca.pem"));
}

TEST(DoctorReport, ShowsAdviceBelowWhatItIsAbout) {
    const Findings findings{{"mtu", {CheckState::ok, "pods 1450, eth0 1500", ""}},
                            {"forwarding", {CheckState::fail, "net.ipv4.ip_forward=0", "sysctl -w ..."}}};
    EXPECT_EQ(doctor_text(findings), "ok    mtu         pods 1450, eth0 1500\n"
                                     "fail  forwarding  net.ipv4.ip_forward=0\n"
                                     "                  -> sysctl -w ...\n");
    const auto json = doctor_json(findings);
    EXPECT_EQ(json[1].dump(),
              R"({"name":"forwarding","state":"fail","found":"net.ipv4.ip_forward=0","advice":"sysctl -w ..."})");
    EXPECT_TRUE(json[0]["advice"].is_null());
}

TEST(Validity, IsJudgedAWeekAhead) {
    using namespace std::chrono;
    const etcd::Validity file{.file = "/x.pem", .from = sys_days(2026y / 1 / 1), .until = sys_days(2026y / 12 / 31)};
    const auto at = [&](sys_days day) { return judge_validity(file, day); };
    EXPECT_EQ(at(2026y / 12 / 23).state, CheckState::ok);
    EXPECT_EQ(at(2026y / 12 / 25).state, CheckState::warn);
    EXPECT_EQ(at(2026y / 12 / 25).found, "/x.pem expires soon, on 2026-12-31");
    EXPECT_EQ(at(2027y / 1 / 1).state, CheckState::fail);
    EXPECT_EQ(at(2027y / 1 / 1).found, "/x.pem has expired on 2026-12-31 00:00:00 UTC");
    EXPECT_EQ(at(2025y / 12 / 31).found, "/x.pem is not valid before 2026-01-01 00:00:00 UTC");
}

} // namespace
} // namespace weft::ctl

// SPDX-License-Identifier: Apache-2.0
// Firewall rules of dual-stack nodes as they are and as packets meet them, and what weftctl doctor says of IPv6.
#include "rules_fixture.hpp"

namespace weft::test {
namespace {

using testing::HasSubstr;

constexpr auto kSoon = 3s;

class Ip6Rules : public RulesTest {
protected:
    [[nodiscard]] std::string net_conf() const override {
        return R"({"EnableIPv6": true, "Network": "10.244.0.0/16", "IPv6Network": "fd00:244::/48",
                   "Backend": {"Type": "vxlan"}})";
    }
    void SetUp() override {
        RulesTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        if (!sh("ls /proc/sys/net").contains("ipv6")) GTEST_SKIP() << "the kernel has no IPv6";
        WEFT_ASSERT_OK(node_->netns().ip("addr add 2001:db8::1/64 dev eth0 nodad"));
    }
    /// weft's rules for IPv6 as that system lists them.
    [[nodiscard]] std::string our_rules6(Host host) const {
        if (host == Host::nftables) {
            const auto out = node_->netns().output(words("nft list table ip6 weft"));
            return out ? out->out : "";
        }
        return lines_with(sh(ip6_rules_of(host) + "-save"), "WEFT-", true);
    }
    [[nodiscard]] static std::string ip6_rules_of(Host host) {
        return host == Host::iptables_nft ? "ip6tables-nft" : "ip6tables-legacy";
    }
    /// "ok: what was found" of one check.
    [[nodiscard]] std::string doctor(std::string_view check) const {
        const auto out = node_->netns().output(
            {binary("weftctl"), "doctor", "--json", "--run-dir=" + node_->run_dir().string(),
             "--bpf-dir=" + node_->bpf_dir().string(), "--subnet-file=" + node_->subnet_file().string()});
        const auto list = nlohmann::json::parse(out ? out->out : "", nullptr, false);
        for (const auto &finding : list.is_array() ? list : nlohmann::json::array())
            if (finding.value("name", "") == check)
                return fmt::format("{}: {}", finding.value("state", ""), finding.value("found", ""));
        return out ? out->err : out.error().sentence();
    }
};

class Ip6RulesOn : public Ip6Rules, public testing::WithParamInterface<Host> {};

TEST_P(Ip6RulesOn, AreKeptBesideThoseOfIpv4AndGoWithTheFamily) {
    furnish(*node_, GetParam());
    WEFT_ASSERT_OK(node_->start(masquerading()));
    EXPECT_EQ(rules_in_use(), rules_of(GetParam()));
    EXPECT_THAT(our_rules(GetParam()), HasSubstr("10.244.0.0/16"));
    const auto before = our_rules6(GetParam());
    EXPECT_THAT(before, HasSubstr(GetParam() == Host::nftables
                                      ? "ip6 saddr fd00:244::/48 ip6 daddr != ff00::/8 masquerade fully-random"
                                      : "-A WEFT-POSTRTG -s fd00:244::/48 ! -d ff00::/8 -m comment --comment \"weft "
                                        "masq\" -j MASQUERADE --random-fully"));
    EXPECT_EQ(doctor("masquerade"),
              GetParam() == Host::nftables
                  ? "ok: in place, in nftables"
                  : fmt::format("ok: in place, in {}, {}", rules_of(GetParam()), ip6_rules_of(GetParam())));
    EXPECT_THAT(doctor("forward chains"), HasSubstr("none drops fd00:244::/48 by default"));

    (void)sh(GetParam() == Host::nftables ? "nft delete table ip6 weft" : ip6_rules_of(GetParam()) + " -t nat -F");
    EXPECT_TRUE(wait_until([&] { return our_rules6(GetParam()) == before; }, kSoon)) << our_rules6(GetParam()) << log();

    WEFT_ASSERT_OK(node_->stop());
    WEFT_ASSERT_OK(cluster_->etcd().put("/coreos.com/network/config",
                                        R"({"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}})"));
    WEFT_ASSERT_OK(node_->start(masquerading()));
    EXPECT_EQ(our_rules6(GetParam()), "");
    EXPECT_THAT(our_rules(GetParam()), HasSubstr("10.244.0.0/16"));
}

INSTANTIATE_TEST_SUITE_P(Hosts, Ip6RulesOn, testing::ValuesIn(kHosts), host_name);

TEST_F(Ip6Rules, TheDoctorSeesWhatIsWrongWithIpv6) {
    furnish(*node_, Host::iptables_nft);
    WEFT_ASSERT_OK(node_->start(masquerading()));
    const auto sound = node_->netns().output({binary("weftctl"), "doctor", "--run-dir=" + node_->run_dir().string(),
                                              "--bpf-dir=" + node_->bpf_dir().string()});
    ASSERT_TRUE(sound);
    EXPECT_EQ(sound->code, 0);
    EXPECT_EQ(times(sound->out, "ok    "), times(sound->out, "\n")) << sound->out;
    EXPECT_EQ(doctor("forwarding"), "ok: net.ipv4.ip_forward=1, net.ipv6.conf.all.forwarding=1");
    EXPECT_EQ(doctor("ipv6"), "ok: net.ipv6.conf.{all,eth0,weft.1}.disable_ipv6=0");
    WEFT_ASSERT_OK(node_->stop());
    WEFT_ASSERT_OK(node_->netns().sysctl("net.ipv6.conf.all.forwarding", "0"));
    EXPECT_THAT(doctor("forwarding"), HasSubstr("fail: net.ipv6.conf.all.forwarding=0"));
    (void)sh("ip6tables-nft -t nat -F");
    EXPECT_EQ(doctor("masquerade"), "fail: the rules for IPv6 are not there: pods do not reach the world");
    (void)sh("ip6tables-nft -F FORWARD");
    (void)sh("ip6tables-nft -P FORWARD DROP");
    EXPECT_THAT(doctor("forward chains"), HasSubstr("fail: ip6tables-nft FORWARD: its policy is DROP"));
    WEFT_ASSERT_OK(node_->netns().sysctl("net.ipv6.conf.eth0.disable_ipv6", "1"));
    EXPECT_THAT(doctor("ipv6"), HasSubstr("fail: net.ipv6.conf.eth0.disable_ipv6=1"));
}

/// Two nodes with a pod each, both hosts with a FORWARD policy of DROP in both families, and the world beside them.
class Ip6Packets : public Ip6Rules {
protected:
    void SetUp() override {
        Ip6Rules::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        WEFT_ASSERT_OK(cluster_->world().ip("addr add 2001:db8::250/64 dev eth0 nodad"));
        WEFT_ASSERT_ASSIGN(other_, cluster_->add_stopped_node());
        WEFT_ASSERT_OK(other_->netns().ip("addr add 2001:db8::2/64 dev eth0 nodad"));
        for (auto *node : {node_, other_}) {
            furnish(*node, Host::iptables_nft);
            WEFT_ASSERT_OK(node->netns().run("ip6tables-nft -P FORWARD DROP"));
            WEFT_ASSERT_OK(node->start(masquerading()));
        }
        WEFT_ASSERT_OK(node_->wait_for_leases(2)); // one a family
        WEFT_ASSERT_OK(other_->wait_for_leases(2));
        WEFT_ASSERT_ASSIGN(pod_, node_->add_pod());
        WEFT_ASSERT_ASSIGN(remote_, other_->add_pod());
    }
    [[nodiscard]] static std::string address6(const Pod &pod) {
        const auto out =
            pod.ns.run("ip -6 -o addr show dev eth0 scope global"); // "2: eth0    inet6 fd00::2/128 scope ..."
        const auto begin = out ? out->find("inet6 ") + 6 : 0;
        return out ? out->substr(begin, out->find('/', begin) - begin) : "";
    }
    /// The source of the first echo request that arrives in `at` while `from` pings `to`; "" when none does.
    [[nodiscard]] static std::string seen_by(const Netns &at, const Netns &from, const std::string &to) {
        auto capture = at.spawn(words("tcpdump -n -l -c 1 -i eth0 icmp6 and ip6[40] == 128"));
        if (!capture || !capture->wait_for_output("listening on")) return "no capture";
        (void)from.output(words("ping -n -c 5 -i 0.2 -W 1 " + to));
        if (!capture->wait(200ms)) return "";
        const auto line = capture->out(); // "12:00:00.000000 IP6 2001:db8::1 > 2001:db8::250: ICMP6, ..."
        const auto begin = line.find("IP6 ") + 4;
        return line.substr(begin, line.find(" > ") - begin);
    }

    WeftNode *other_ = nullptr;
    Pod *pod_ = nullptr, *remote_ = nullptr;
};

TEST_F(Ip6Packets, AreForwardedAndSeenAsThoseOfIpv4) {
    const auto pod = address6(*pod_), remote = address6(*remote_);
    WEFT_EXPECT_OK(ping(pod_->ns, remote));
    EXPECT_EQ(seen_by(remote_->ns, pod_->ns, remote), pod) << "pods meet under their own addresses";
    WEFT_EXPECT_OK(ping(pod_->ns, "2001:db8::250"));
    EXPECT_EQ(seen_by(cluster_->world(), pod_->ns, "2001:db8::250"), "2001:db8::1") << "the world knows nodes only";
    WEFT_ASSERT_OK(cluster_->world().ip(fmt::format("route add {} via 2001:db8::1", pod)));
    WEFT_EXPECT_OK(ping(cluster_->world(), pod));
    EXPECT_EQ(seen_by(pod_->ns, cluster_->world(), pod), "2001:db8::250") << "pods see who really calls them";
    WEFT_ASSERT_OK(node_->stop());
    WEFT_ASSERT_OK(node_->netns().run("ip6tables-nft -F WEFT-FWD"));
    EXPECT_FALSE(ping(pod_->ns, remote, 1, "-W 1")) << "FORWARD is what it passed";
}

} // namespace
} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
// Firewall rules of a dual-stack node, and what weftctl doctor says of its IPv6.
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

} // namespace
} // namespace weft::test

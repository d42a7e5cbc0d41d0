// SPDX-License-Identifier: Apache-2.0
// weft's firewall rules among a host's own: written where the host keeps its rules, kept there, removed without a trace.
#include "firewall/firewall.hpp"
#include "rules_fixture.hpp"

namespace weft::test {
namespace {

using testing::HasSubstr;
using testing::Not;

/// weftd sees it at once (nftables) or at the next poll (legacy: a second here).
constexpr auto kSoon = 2s;

class RulesOn : public RulesTest, public testing::WithParamInterface<Host> {
protected:
    void SetUp() override {
        RulesTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        furnish(*node_, GetParam());
        foreign_ = rules(GetParam());
    }
    std::string foreign_; ///< the host's own rules before weft
};

TEST_P(RulesOn, AreFlannelsInFlannelsOrder) {
    WEFT_ASSERT_OK(node_->start(masquerading()));
    EXPECT_EQ(rules_in_use(), rules_of(GetParam()));
    WEFT_ASSERT_ASSIGN(const auto base, node_->base_address());
    const auto own = base + "/24", all = std::string("10.244.0.0/16"), text = our_rules(GetParam());
    const std::vector<std::string> nft{
        "type nat hook postrouting priority srcnat",
        "meta mark & 0x00004000 == 0x00004000 return",
        fmt::format("ip saddr {} ip daddr {} return", own, all),
        fmt::format("ip saddr {} ip daddr {} return", all, own),
        fmt::format("ip saddr != {} ip daddr {} return", all, own),
        fmt::format("ip saddr {} ip daddr != 224.0.0.0/4 masquerade fully-random", all),
        fmt::format("ip saddr != {0} ip daddr {0} masquerade fully-random", all),
    };
    const std::string masq = R"( -m comment --comment "weft masq" -j )";
    const std::vector<std::string> iptables{
        "-A POSTROUTING" + masq + "WEFT-POSTRTG",
        "-A WEFT-POSTRTG -m mark --mark 0x4000/0x4000" + masq + "RETURN",
        fmt::format("-A WEFT-POSTRTG -s {} -d {}{}RETURN", own, all, masq),
        fmt::format("-A WEFT-POSTRTG -s {} -d {}{}RETURN", all, own, masq),
        fmt::format("-A WEFT-POSTRTG ! -s {} -d {}{}RETURN", all, own, masq),
        fmt::format("-A WEFT-POSTRTG -s {} ! -d 224.0.0.0/4{}MASQUERADE --random-fully", all, masq),
        fmt::format("-A WEFT-POSTRTG ! -s {0} -d {0}{1}MASQUERADE --random-fully", all, masq),
    };
    std::size_t at = 0;
    for (const auto &rule : GetParam() == Host::nftables ? nft : iptables) {
        at = text.find(rule, at);
        ASSERT_NE(at, text.npos) << rule << "\n" << text;
    }
    EXPECT_TRUE(read_file(node_->subnet_file()).value_or("").contains("FLANNEL_IPMASQ=true\n"));
}

TEST_P(RulesOn, LeaveForeignOnesByteForByteAndGoWithTheFlags) {
    WEFT_ASSERT_OK(node_->start(masquerading()));
    ASSERT_NE(our_rules(GetParam()), "");
    if (GetParam() != Host::nftables) {
        EXPECT_EQ(lines_with(rules(GetParam()), "WEFT-", false), foreign_);
    }
    WEFT_ASSERT_OK(node_->stop());
    EXPECT_NE(our_rules(GetParam()), "") << "a stopped daemon leaves its rules";
    start({"--iptables-forward-rules=false"}); // and no --ip-masq
    EXPECT_EQ(rules(GetParam()), foreign_) << "as if we had never been here";
    EXPECT_EQ(rules_in_use(), "none");
}

TEST_P(RulesOn, CanBeListedAndRemovedWithoutADaemon) {
    WEFT_ASSERT_OK(node_->start(masquerading()));
    WEFT_ASSERT_OK(node_->stop());
    std::vector<std::string> before, after;
    const auto body = [&]() -> Status {
        before = list_firewall_rules();
        auto removed = remove_firewall_rules();
        after = list_firewall_rules();
        return removed;
    };
    WEFT_ASSERT_OK(node_->netns().run_in(body));
    // The guard's table, and ours: one, or two jumps, eight rules and two chains.
    EXPECT_EQ(before.size(), 1U + (GetParam() == Host::nftables ? 1U : 12U));
    EXPECT_TRUE(after.empty());
    EXPECT_EQ(rules(GetParam()), foreign_);
    WEFT_ASSERT_OK(node_->netns().run_in([] { return remove_firewall_rules(); })); // nothing to do is no failure
    EXPECT_EQ(rules(GetParam()), foreign_);
}

TEST_P(RulesOn, ComeBackWhateverIsDoneToThem) {
    WEFT_ASSERT_OK(node_->start(masquerading()));
    const auto before = our_rules(GetParam());
    ASSERT_NE(before, "");
    const auto iptables = rules_of(GetParam());
    const std::vector<std::string> on_nft{
        "nft delete table ip weft",
        "nft flush chain ip weft postrouting",
        "nft flush ruleset",
        "nft insert rule ip weft postrouting accept",
    };
    const std::vector<std::string> on_iptables{
        iptables + " -t nat -F",
        iptables + " -F",
        iptables + " -t nat -D POSTROUTING -m comment --comment weft\\ masq -j WEFT-POSTRTG",
        iptables + " -t nat -I WEFT-POSTRTG -j ACCEPT",
        iptables + " -F WEFT-FWD",
        iptables + "-restore <<<$'*nat\\n:POSTROUTING ACCEPT\\nCOMMIT\\n*filter\\n:FORWARD DROP\\nCOMMIT'",
    };
    for (const auto &deed : GetParam() == Host::nftables ? on_nft : on_iptables) {
        WEFT_ASSERT_OK(node_->netns().run(std::vector<std::string>{"bash", "-c", deed}));
        EXPECT_TRUE(wait_until([&] { return our_rules(GetParam()) == before; }, kSoon))
            << deed << "\n"
            << our_rules(GetParam()) << "expected\n"
            << before << log();
    }
    const auto said = times(log(), "again, somebody had changed them");
    EXPECT_GE(said, 1U) << log();
    // "flush ruleset" takes the guard's table too.
    EXPECT_LE(said, GetParam() == Host::nftables ? on_nft.size() + 1 : on_iptables.size()) << log();
}

// weftd may be faster than the question: then it is asked again, after new damage.
TEST_P(RulesOn, AreAudited) {
    WEFT_ASSERT_OK(node_->start(masquerading()));
    const auto before = our_rules(GetParam());
    const auto audit = [&](std::vector<std::string> more = {}) {
        more.insert(more.begin(), {binary("weftctl"), "audit", "--run-dir=" + node_->run_dir().string()});
        return node_->netns().output(more).value_or(Output{});
    };
    EXPECT_TRUE(wait_until([&] { return audit().out == "everything is as it should be\n"; })) << audit().out;
    const std::string deed = GetParam() == Host::nftables ? "nft insert rule ip weft postrouting accept"
                                                          : rules_of(GetParam()) + " -t nat -I WEFT-POSTRTG -j ACCEPT";
    const std::string said =
        GetParam() == Host::nftables
            ? "firewall rules: nftables: table ip weft: not as weft makes it"
            : "firewall rules: " + rules_of(GetParam()) + " -t nat: WEFT-POSTRTG: not as weft makes it";
    Output shown;
    EXPECT_TRUE(wait_until([&] {
        WEFT_EXPECT_OK(node_->netns().run(deed));
        shown = audit();
        return shown.code == 1 && shown.out.contains(said);
    })) << shown.out;
    EXPECT_TRUE(wait_until([&] {
        WEFT_EXPECT_OK(node_->netns().run(deed));
        shown = audit({"--repair"});
        return shown.code == 0 && shown.out.contains(said);
    })) << shown.out;
    EXPECT_FALSE(shown.out.contains("still")) << shown.out;
    EXPECT_EQ(our_rules(GetParam()), before);
}

// The guard is nobody's rule system's: whatever the host's rules are in, it is there, and kept.
TEST_F(RulesTest, TheSocketsGuardComesBackAndIsAudited) {
    start({"--iptables-forward-rules=false"}); // and no --ip-masq: there is nothing but the guard
    const auto guard = [&] {
        const auto out = node_->netns().output(words("nft -s list table inet weft"));
        return out ? out->out : "";
    };
    const auto audit = [&] {
        return node_->netns().output({binary("weftctl"), "audit", "--run-dir=" + node_->run_dir().string()})->out;
    };
    const auto before = guard();
    ASSERT_THAT(before, HasSubstr("udp dport 8472 counter drop"));
    ASSERT_TRUE(wait_until([&] { return audit() == "everything is as it should be\n"; })) << audit();
    const std::pair<const char *, const char *> deeds[] = {
        {"nft delete table inet weft", "missing"},
        {"nft flush chain inet weft input", "not as weft makes it"},
        {"nft insert rule inet weft input udp dport 8472 accept", "not as weft makes it"}};
    for (const auto &[deed, what] : deeds) {
        const auto said = fmt::format("firewall rules: nftables: table inet weft: {}\n", what);
        EXPECT_TRUE(wait_until([&] { // weftd may be faster than the question
            WEFT_EXPECT_OK(node_->netns().run(deed));
            return audit().contains(said);
        })) << said
            << audit();
        EXPECT_TRUE(wait_until([&] { return guard() == before; }, kSoon)) << deed << "\n" << guard() << log();
    }
    EXPECT_GE(times(log(), "the tunnel's socket is guarded again, somebody had changed them"), std::size(deeds));
}

INSTANTIATE_TEST_SUITE_P(Hosts, RulesOn, testing::ValuesIn(kHosts), host_name);

class RulesThatMove : public RulesTest {};

TEST_F(RulesThatMove, FollowTheHostWithoutAMomentBetween) {
    WEFT_ASSERT_OK(node_->start(masquerading()));
    EXPECT_EQ(rules_in_use(), "nftables");
    WEFT_ASSERT_ASSIGN(auto monitor, node_->netns().spawn(words("nft monitor")));
    // The monitor listens when it has told of something.
    ASSERT_TRUE(wait_until([&] {
        (void)node_->netns().run("nft add table ip6 probe");
        (void)node_->netns().run("nft delete table ip6 probe");
        return monitor.out().contains("probe");
    }));
    furnish(*node_, Host::iptables_nft);
    ASSERT_TRUE(wait_until([&] { return rules_in_use() == "iptables-nft"; }, kSoon)) << log();
    EXPECT_EQ(our_rules(Host::nftables), "");
    ASSERT_TRUE(wait_until([&] { return monitor.out().contains("delete table ip weft"); }, kSoon)) << monitor.out();
    const auto told = monitor.out();
    EXPECT_LT(told.find("WEFT-POSTRTG ip saddr != 10.244.0.0/16 ip daddr 10.244.0.0/16"),
              told.find("delete table ip weft"))
        << "the new ones are there before the old ones go\n"
        << told;
    WEFT_ASSERT_OK(node_->netns().run("nft flush ruleset"));
    ASSERT_TRUE(wait_until([&] { return rules_in_use() == "nftables"; }, kSoon)) << log();
    EXPECT_THAT(our_rules(Host::nftables), HasSubstr("masquerade"));
    // The older kernel tables tell nobody: the poll finds them.
    furnish(*node_, Host::iptables_legacy);
    ASSERT_TRUE(wait_until([&] { return rules_in_use() == "iptables-legacy"; }, 3s)) << log();
    EXPECT_EQ(our_rules(Host::nftables), "");
}

TEST_F(RulesThatMove, ForwardWithoutMasquerading) {
    furnish(*node_, Host::iptables_nft);
    start();
    EXPECT_THAT(our_rules(Host::iptables_nft), HasSubstr("WEFT-FWD"));
    EXPECT_THAT(our_rules(Host::iptables_nft), Not(HasSubstr("WEFT-POSTRTG")));
    EXPECT_TRUE(read_file(node_->subnet_file()).value_or("").contains("FLANNEL_IPMASQ=false\n"));
}

TEST_F(RulesThatMove, OfAnEarlierSubnetAreGone) {
    furnish(*node_, Host::iptables_nft);
    WEFT_ASSERT_OK(node_->start(masquerading()));
    WEFT_ASSERT_OK(node_->stop());
    const auto before = our_rules(Host::iptables_nft);
    WEFT_ASSERT_OK(cluster_->etcd().put("/coreos.com/network/config",
                                        R"({"Network": "10.99.0.0/16", "Backend": {"Type": "vxlan"}})"));
    WEFT_ASSERT_OK(node_->start(masquerading()));
    const auto after = our_rules(Host::iptables_nft);
    EXPECT_THAT(after, HasSubstr("10.99.0.0/16"));
    EXPECT_THAT(after, Not(HasSubstr("10.244.")));
    EXPECT_EQ(times(after, "\n"), times(before, "\n"));
}

TEST_F(RulesThatMove, GoWhereTheyAreTold) {
    furnish(*node_, Host::iptables_nft);
    WEFT_ASSERT_OK(node_->start(masquerading({"--firewall=nftables"})));
    EXPECT_EQ(rules_in_use(), "nftables");
    EXPECT_EQ(our_rules(Host::iptables_nft), "");
    EXPECT_NE(our_rules(Host::nftables), "");
}

TEST_F(RulesThatMove, GoToNftablesWhereIptablesIsNotInstalled) {
    furnish(*node_, Host::iptables_nft);
    auto with = masquerading();
    with.env = {"PATH=/nonexistent"};
    WEFT_ASSERT_OK(node_->start(with));
    EXPECT_EQ(rules_in_use(), "nftables");
    EXPECT_THAT(status().value("/firewall/said"_json_pointer, ""), HasSubstr("iptables-nft is not installed"));
    EXPECT_EQ(times(log(), "iptables-nft is not installed"), 1U) << log();
    EXPECT_THAT(our_rules(Host::nftables), HasSubstr("masquerade"));
}

TEST_F(RulesThatMove, GoToNftablesWhereIptablesIsRefused) {
    // Somebody's own table with iptables' names: iptables can neither use nor show it.
    WEFT_ASSERT_OK(node_->netns().run(std::vector<std::string>{
        "nft",
        "add table ip filter; add chain ip filter FORWARD { type filter hook forward priority 5; policy drop; }"}));
    const auto before = rules(Host::nftables);
    WEFT_ASSERT_OK(node_->start(masquerading()));
    EXPECT_EQ(rules_in_use(), "nftables");
    EXPECT_THAT(status().value("/firewall/said"_json_pointer, ""), HasSubstr("chain FORWARD: nftables is used"));
    EXPECT_THAT(our_rules(Host::nftables), HasSubstr("masquerade"));
    EXPECT_THAT(rules(Host::nftables), HasSubstr(before));
    EXPECT_TRUE(wait_until([&] { return lines_with(rules(Host::nftables), "WEFT-", true).empty(); }, kSoon))
        << "nothing is left of the attempt\n"
        << rules(Host::nftables);
    const auto doctor = node_->netns().output({binary("weftctl"), "doctor", "--run-dir=" + node_->run_dir().string(),
                                               "--bpf-dir=" + node_->bpf_dir().string()});
    EXPECT_THAT(doctor ? doctor->out : "", HasSubstr("nftables ip filter FORWARD: its policy is DROP"));
}

class RulesWithNftablesInTheConfig : public RulesTest {
    [[nodiscard]] std::string net_conf() const override {
        return R"({"Network": "10.244.0.0/16", "EnableNFTables": true, "Backend": {"Type": "vxlan"}})";
    }
};

TEST_F(RulesWithNftablesInTheConfig, AreNftables) {
    furnish(*node_, Host::iptables_nft);
    WEFT_ASSERT_OK(node_->start(masquerading()));
    EXPECT_EQ(rules_in_use(), "nftables");
}

} // namespace
} // namespace weft::test

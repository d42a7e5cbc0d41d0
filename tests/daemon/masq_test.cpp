// SPDX-License-Identifier: Apache-2.0
// --ip-masq: what the world sees as the sender.
#include "daemon_fixture.hpp"

namespace weft::test {
namespace {

using testing::HasSubstr;

class MasqTest : public DaemonTest {
protected:
    void start_masquerading() {
        auto with = options({});
        with.ip_masq = true;
        WEFT_ASSERT_OK(node_->start(with));
    }
    [[nodiscard]] std::string table() const {
        const auto out = node_->netns().output(words("nft list table ip weft"));
        return out ? out->out : "";
    }
};

TEST_F(MasqTest, RulesAreFlannelsInFlannelsOrder) {
    start_masquerading();
    WEFT_ASSERT_ASSIGN(const auto base, node_->base_address());
    const auto own = base + "/24", all = std::string("10.244.0.0/16"), rules = table();
    const std::string in_order[] = {
        "type nat hook postrouting priority srcnat",
        "meta mark & 0x00004000 == 0x00004000 return",
        fmt::format("ip saddr {} ip daddr {} return", own, all),
        fmt::format("ip saddr {} ip daddr {} return", all, own),
        fmt::format("ip saddr != {} ip daddr {} return", all, own),
        fmt::format("ip saddr {} ip daddr != 224.0.0.0/4 masquerade fully-random", all),
        fmt::format("ip saddr != {0} ip daddr {0} masquerade fully-random", all),
    };
    std::size_t at = 0;
    for (const auto &rule : in_order) {
        at = rules.find(rule, at);
        ASSERT_NE(at, rules.npos) << rule << "\n" << rules;
    }
    EXPECT_EQ(read_file(node_->subnet_file()).value_or("").contains("FLANNEL_IPMASQ=true\n"), true);
}

TEST_F(MasqTest, LostRulesComeBackAndForeignOnesStay) {
    start_masquerading();
    const auto before = table();
    ASSERT_FALSE(before.empty());
    WEFT_ASSERT_OK(node_->netns().run("nft add table ip others"));
    WEFT_ASSERT_OK(node_->netns().run("nft delete table ip weft"));
    EXPECT_TRUE(wait_until([&] { return table() == before; }, 20s)) << log();
    EXPECT_THAT(sh("nft list tables"), HasSubstr("table ip others"));
}

TEST_F(MasqTest, WithoutTheFlagNoRuleOfOursIsThere) {
    start_masquerading();
    WEFT_ASSERT_OK(node_->stop());
    EXPECT_FALSE(table().empty()) << "a stopped daemon leaves its rules";
    start();
    EXPECT_TRUE(table().empty());
}

TEST_F(MasqTest, APodReachesTheWorldAsItsNode) {
    start_masquerading();
    WEFT_ASSERT_ASSIGN(auto *pod, node_->add_pod());
    // The world has no route to pods: an answer can only come if the sender was this node.
    WEFT_EXPECT_OK(ping(pod->ns, Cluster::kWorld));
}

} // namespace
} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
// The bandwidth plugin behind weft: its limits hold on every path, or nobody could rely on them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <filesystem>

#include "chain.hpp"
#include "cluster_fixture.hpp"

namespace weft::test {
namespace {

using testing::HasSubstr;

constexpr double kLimit = 60e6;             // bits per second
constexpr std::uint64_t kBytes = 4'000'000; // half a second at that rate

json limits(bool ingress, bool egress) {
    json limits;
    if (ingress) limits.update({{"ingressRate", kLimit}, {"ingressBurst", 600000}});
    if (egress) limits.update({{"egressRate", kLimit}, {"egressBurst", 600000}});
    for (auto &number : limits) number = static_cast<std::uint64_t>(number.get<double>());
    return limits;
}

class Shaping : public ClusterTest {
protected:
    void SetUp() override {
        if (!std::filesystem::exists(fmt::format("{}/bandwidth", kPluginDir)))
            GTEST_SKIP() << "no bandwidth plugin (containernetworking-plugins)";
        WEFT_REQUIRES(requires_tools({"tc"}));
        ClusterTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        WEFT_ASSERT_ASSIGN(one_, cluster_->add_node());
        WEFT_ASSERT_ASSIGN(two_, cluster_->add_node());
        WEFT_ASSERT_OK(cluster_->settle());
        WEFT_ASSERT_ASSIGN(beside_, one_->add_pod());
        WEFT_ASSERT_ASSIGN(remote_, two_->add_pod());
    }

    /// One transfer, and how fast it was. Far below the limit means that something is wrong too.
    void expect_limited(const Netns &from, const std::string &to, Direction direction = Direction::send) {
        WEFT_ASSERT_ASSIGN(const auto got, tcp_transfer(from, to, kBytes, {.direction = direction}));
        EXPECT_LT(got.gbit_s * 1e9, kLimit * 1.25) << "from " << from.name() << " to " << to;
        EXPECT_GT(got.gbit_s * 1e9, kLimit * 0.5) << "from " << from.name() << " to " << to;
    }
    void expect_unlimited(const Netns &from, const std::string &to) {
        WEFT_ASSERT_ASSIGN(const auto got, tcp_transfer(from, to, kBytes));
        EXPECT_GT(got.gbit_s * 1e9, kLimit * 1.5) << "from " << from.name() << " to " << to;
    }
    [[nodiscard]] bool via_stack(const std::string &address) const {
        const auto all = one_->weftctl("endpoints");
        if (all)
            for (const auto &one : *all)
                if (one["address"] == address) return one["via_stack"].get<bool>();
        return false;
    }
    [[nodiscard]] std::string veth_of(const std::string &address) const {
        const auto all = one_->weftctl("endpoints");
        if (all)
            for (const auto &one : *all)
                if (one["address"] == address) return one["ifname"].get<std::string>();
        return "";
    }

    WeftNode *one_ = nullptr, *two_ = nullptr;
    Pod *beside_ = nullptr, *remote_ = nullptr;
};

TEST_P(Shaping, LimitsTheRuntimePassesHoldInBothDirectionsOnEveryPath) {
    Chain chain(*one_, {{{"type", "weft"}, {"capabilities", {{"bandwidth", true}}}},
                        {{"type", "bandwidth"}, {"capabilities", {{"bandwidth", true}}}}});
    WEFT_ASSERT_ASSIGN(auto *pod, chain.add_pod("shaped", {{"bandwidth", limits(true, true)}}));
    EXPECT_TRUE(via_stack(pod->address));
    WEFT_EXPECT_OK(chain.check(*pod));
    for (const auto *other : {beside_, remote_}) {
        expect_limited(other->ns, pod->address);
        expect_limited(pod->ns, other->address);
    }
    expect_limited(one_->netns(), pod->address);
    expect_limited(pod->ns, Cluster::kWorld);
    expect_limited(pod->ns, Cluster::kWorld, Direction::receive);
    expect_unlimited(remote_->ns, beside_->address);
    const auto address = pod->address;
    WEFT_EXPECT_OK(chain.del(*pod));
    WEFT_ASSERT_ASSIGN(const auto links, one_->netns().run("ip -o link"));
    EXPECT_THAT(links, testing::Not(HasSubstr("bwp")));
    EXPECT_FALSE(via_stack(address));
}

TEST_P(Shaping, LimitsOnlyThePluginKnowsAreFoundOnTheVeth) {
    json bandwidth = limits(true, false);
    bandwidth["type"] = "bandwidth";
    Chain chain(*one_, {{{"type", "weft"}}, bandwidth});
    WEFT_ASSERT_ASSIGN(auto *pod, chain.add_pod("limited"));
    EXPECT_TRUE(wait_until([&] { return via_stack(pod->address); }, 2s));
    expect_limited(beside_->ns, pod->address);
    expect_limited(remote_->ns, pod->address);

    WEFT_ASSERT_OK(one_->netns().run(fmt::format("tc qdisc delete dev {} root", veth_of(pod->address))));
    EXPECT_TRUE(wait_until([&] { return !via_stack(pod->address); }, 2s)) << "and back on the fast path";
    expect_unlimited(beside_->ns, pod->address);
    expect_unlimited(remote_->ns, pod->address);
    WEFT_EXPECT_OK(chain.del(*pod));
}

TEST_P(Shaping, LimitsOfWhatAPodSendsNeedAWordInTheList) {
    json bandwidth = limits(true, true);
    bandwidth["type"] = "bandwidth";
    Chain silent(*one_, {{{"type", "weft"}}, bandwidth});
    WEFT_ASSERT_ASSIGN(const auto refused, Netns::create("refused"));
    const auto added = silent.add("refused", refused.path());
    ASSERT_FALSE(added) << "the plugin finds no room for its ingress qdisc, and says so";
    EXPECT_THAT(added.error().sentence(), HasSubstr("bandwidth ADD"));
    WEFT_EXPECT_OK(silent.del("refused", refused.path()));

    Chain chain(*one_, {{{"type", "weft"}, {"shaped", true}}, bandwidth});
    WEFT_ASSERT_ASSIGN(auto *pod, chain.add_pod("declared"));
    for (const auto *other : {beside_, remote_}) expect_limited(pod->ns, other->address);
    expect_limited(remote_->ns, pod->address);
    WEFT_EXPECT_OK(chain.del(*pod));
}

INSTANTIATE_TEST_SUITE_P(Setups, Shaping, testing::Values(Setup{"tc", WireMode::offload}, Setup{"xdp", WireMode::bare}),
                         setup_name);

} // namespace
} // namespace weft::test

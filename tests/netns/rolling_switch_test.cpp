// SPDX-License-Identifier: Apache-2.0
// Another Backend.Type in etcd, and the nodes restarted one after the other: docs/switching-backends.md, step by step.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <future>

#include <fmt/format.h>

#include "cluster_fixture.hpp"

namespace weft::test {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

class RollingSwitch : public ClusterTest {
protected:
    void start(const std::vector<std::string> &flags) {
        options_ = cluster_->node_options();
        options_.flags = flags;
        for (std::size_t n = 0; n < nodes_.size(); ++n) {
            WEFT_ASSERT_ASSIGN(nodes_[n], cluster_->add_stopped_node());
            WEFT_ASSERT_OK(nodes_[n]->start(options_));
        }
        WEFT_ASSERT_OK(cluster_->settle());
        for (std::size_t n = 0; n < nodes_.size(); ++n) {
            WEFT_ASSERT_ASSIGN(pods_[n], nodes_[n]->add_pod());
        }
    }

    void configure(std::string_view backend) {
        WEFT_ASSERT_OK(cluster_->etcd().put(
            "/coreos.com/network/config",
            fmt::format(R"({{"Network": "10.244.0.0/16", "Backend": {{"Type": "{}"}}}})", backend)));
    }

    void restart(std::size_t n) {
        WEFT_ASSERT_OK(nodes_[n]->stop());
        WEFT_ASSERT_OK(nodes_[n]->start(options_));
    }

    /// Waits until the n-th node reaches so many others, all of them this way.
    void expect_ways(std::size_t n, std::size_t count, const std::string &encap) {
        WEFT_ASSERT_OK(nodes_[n]->wait_for_leases(count));
        const auto all = [&] {
            const auto leases = nodes_[n]->weftctl("leases");
            return leases &&
                   std::ranges::all_of(*leases, [&](const auto &row) { return row.value("encap", "") == encap; });
        };
        EXPECT_TRUE(wait_until(all)) << nodes_[n]->name() << " does not reach all by " << encap;
    }

    /// A transfer that outlasts the switch.
    std::future<Result<Transfer>> start_transfer(std::size_t from, std::size_t to) {
        return std::async(std::launch::async, [this, from, to] {
            return tcp_transfer(pods_[from]->ns, pods_[to]->address, 48 * kMiB, {.rate = 6 * kMiB});
        });
    }

    static void print(std::string_view step, const FlowReport &report) {
        fmt::print("{}: longest pause of 1,000 datagrams/s {:.1f} ms, {} of {} lost\n", step, report.longest_pause_ms,
                   report.lost, report.sent);
    }

    WeftNode::Options options_;
    std::array<WeftNode *, 3> nodes_{};
    std::array<Pod *, 3> pods_{};
};

/// How an encapsulation is called by weftctl.
std::string label(const std::string &backend) { return backend == "host-gw" ? "direct" : backend; }

TEST_P(RollingSwitch, NothingIsLostWhereBothBackendsAreSpoken) {
    start({"--peer-backends=vxlan,host-gw"});
    if (HasFatalFailure()) return;
    std::string old = "vxlan";
    for (const std::string backend : {"host-gw", "vxlan"}) {
        configure(backend);
        auto transfer = start_transfer(0, 1);
        for (std::size_t n = 0; n < nodes_.size(); ++n) {
            const auto peer = (n + 1) % nodes_.size();
            WEFT_ASSERT_ASSIGN(auto flow, SteadyFlow::start(pods_[n]->ns, pods_[peer]->address));
            restart(n);
            ASSERT_FALSE(HasFatalFailure());
            for (std::size_t other = 0; other < nodes_.size(); ++other)
                if (other != n) WEFT_EXPECT_OK(ping(pods_[n]->ns, pods_[other]->address, 1));
            WEFT_ASSERT_ASSIGN(const auto report, flow.report());
            EXPECT_EQ(report.lost, 0u);
            print(fmt::format("{} to {}, node {} restarted", old, backend, n + 1), report);
        }
        for (std::size_t n = 0; n < nodes_.size(); ++n) expect_ways(n, nodes_.size() - 1, label(backend));
        EXPECT_EQ(transfer.wait_for(0s), std::future_status::timeout) << "it was over before the last restart";
        WEFT_ASSERT_ASSIGN(const auto done, transfer.get());
        EXPECT_LT(done.longest_pause_s, 1);
        old = backend;
    }
    for (const auto *node : nodes_) expect_no_drops(*node);
}

INSTANTIATE_TEST_SUITE_P(Setups, RollingSwitch, testing::Values(Setup{"tc", WireMode::offload}), setup_name);

class PlainSwitch : public RollingSwitch {};

TEST_P(PlainSwitch, NodesOfEitherKindReachTheirOwnKind) {
    start({});
    if (HasFatalFailure()) return;
    const auto old = GetParam().backend;
    const std::string backend = old == "vxlan" ? "host-gw" : "vxlan";
    configure(backend);
    auto transfer = start_transfer(0, 1);
    WEFT_ASSERT_ASSIGN(auto flow, SteadyFlow::start(pods_[0]->ns, pods_[1]->address));

    restart(0);
    ASSERT_FALSE(HasFatalFailure());
    expect_ways(0, 0, "");
    expect_ways(1, 1, label(old));
    WEFT_EXPECT_OK(ping(pods_[1]->ns, pods_[2]->address, 1));
    WEFT_ASSERT_ASSIGN(const auto base, nodes_[0]->base_address());
    const auto said = fmt::format("its BackendType is \"{}\", this node speaks \"{}\"", backend, old);
    WEFT_ASSERT_ASSIGN(const auto status, nodes_[1]->weftctl("status"));
    EXPECT_EQ(status["daemon"]["leases"]["unusable"].value(base + "/24", ""), said) << status;
    const auto log = nodes_[1]->daemon()->err();
    const auto first = log.find(said);
    EXPECT_NE(first, log.npos);
    EXPECT_EQ(log.find(said, first + 1), log.npos) << "said once";

    restart(1);
    ASSERT_FALSE(HasFatalFailure());
    expect_ways(0, 1, label(backend));
    expect_ways(1, 1, label(backend));
    WEFT_ASSERT_ASSIGN(const auto report, flow.report());
    print(fmt::format("{} to {}, nodes 1 and 2 restarted, one after the other", old, backend), report);
    restart(2);
    for (std::size_t n = 0; n < nodes_.size(); ++n) expect_ways(n, nodes_.size() - 1, label(backend));
    for (std::size_t n = 0; n < nodes_.size(); ++n)
        WEFT_EXPECT_OK(ping(pods_[n]->ns, pods_[(n + 1) % nodes_.size()]->address, 1));
    WEFT_ASSERT_ASSIGN(const auto done, transfer.get());
    fmt::print("the TCP transfer went on after {:.1f} s\n", done.longest_pause_s);
}

INSTANTIATE_TEST_SUITE_P(Setups, PlainSwitch,
                         testing::ValuesIn(with_backends({"vxlan", "host-gw"}, {{"tc", WireMode::offload}})),
                         setup_name);

} // namespace
} // namespace weft::test

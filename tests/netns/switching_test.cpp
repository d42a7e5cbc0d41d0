// SPDX-License-Identifier: Apache-2.0
// A lease's encapsulation changes while traffic runs: the traffic follows, and nothing of it is lost.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <future>
#include <vector>

#include <fmt/format.h>

#include "cluster_fixture.hpp"

namespace weft::test {
namespace {

constexpr std::uint64_t kBytes = 128 * 1024 * 1024;

class Switching : public ClusterTest {
protected:
    void SetUp() override {
        ClusterTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        auto options = cluster_->node_options();
        options.flags = {family() == Family::v6 ? "--peer-backends=vxlan,host-gw"
                                                : "--peer-backends=vxlan,host-gw,udp,ipip"};
        for (auto &node : nodes_) {
            WEFT_ASSERT_ASSIGN(node, cluster_->add_stopped_node());
            WEFT_ASSERT_OK(node->start(options));
        }
        WEFT_ASSERT_OK(cluster_->settle());
        for (std::size_t n = 0; n < nodes_.size(); ++n) {
            WEFT_ASSERT_ASSIGN(pods_[n], nodes_[n]->add_pod());
            WEFT_ASSERT_ASSIGN(const auto base, nodes_[n]->base_address());
            WEFT_ASSERT_ASSIGN(const auto key, cluster_->etcd().get_prefix("/coreos.com/network/subnets/" + base));
            ASSERT_EQ(key.size(), 1u);
            keys_[n] = key.begin()->first;
        }
    }
    void TearDown() override {
        for (const auto *node : nodes_)
            if (node) expect_no_drops(*node);
    }

    /// Of the traffic.
    [[nodiscard]] static Family family() { return has_v6(GetParam().pods) ? Family::v6 : Family::v4; }
    [[nodiscard]] const std::string &pod(std::size_t n) const { return pods_[n]->at(family()); }

    /// A node publishes its lease a second time some seconds after it got it; what is changed by hand before then is undone.
    void await_second_publication() {
        for (const auto &key : keys_)
            ASSERT_TRUE(wait_until(
                [&] {
                    const auto out = cluster_->etcd().ctl({"get", key, "-w", "json"});
                    const auto json = out ? nlohmann::json::parse(*out, nullptr, false) : nlohmann::json();
                    return json.is_object() && json.value("/kvs/0/version"_json_pointer, 0) >= 2;
                },
                20s, 200ms))
                << key;
    }

    /// Rewrites the n-th node's lease as a node of that backend has it.
    Status set_backend(std::size_t n, const std::string &backend) {
        nlohmann::ordered_json value{
            {"PublicIP", Cluster::node_address(n + 1, Family::v4)}, {"PublicIPv6", nullptr}, {"BackendType", backend}};
        const nlohmann::ordered_json vxlan{{"VNI", 1}, {"VtepMAC", fmt::format("02:77:c0:00:02:{:02x}", n + 1)}};
        if (backend == "vxlan") value["BackendData"] = vxlan;
        if (family() == Family::v6) {
            value["PublicIPv6"] = Cluster::node_address(n + 1, Family::v6);
            if (backend == "vxlan") value["BackendV6Data"] = vxlan;
        }
        auto put = cluster_->etcd().ctl({"put", "--ignore-lease", keys_[n], value.dump()});
        if (!put) return fail_as_is(std::move(put));
        return {};
    }

    /// What goes from the other node's pod to the n-th node's, on the wire.
    [[nodiscard]] std::string filter(std::size_t n, std::string_view backend) const {
        const auto from = 1 - n;
        if (backend == "host-gw") return fmt::format("src host {} and dst host {}", pod(from), pod(n));
        return fmt::format("src host {} and {}", Cluster::node_address(from + 1, family()),
                           backend == "vxlan" ? "udp dst port 8472"
                           : backend == "udp" ? "udp dst port 8285"
                                              : "ip proto 4");
    }

    /// Changes a lease, and expects packets on the new way, and nothing but them, within a second.
    void expect_change(std::size_t n, const std::string &backend, SteadyFlow &flow) {
        SCOPED_TRACE(fmt::format("node {} by {}", n + 1, backend));
        const auto port = Segment::port(n + 1); // the world's is the first
        WEFT_ASSERT_ASSIGN(auto seen, cluster_->lan().netns().spawn(
                                          words(fmt::format("tcpdump -n -c 20 -i {} {}", port, filter(n, backend)))));
        ASSERT_TRUE(seen.wait_for_output("listening on"));
        WEFT_ASSERT_OK(flow.report());
        const auto begin = std::chrono::steady_clock::now();
        WEFT_ASSERT_OK(set_backend(n, backend));
        EXPECT_EQ(seen.wait(1s), 0) << seen.describe();
        const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
        WEFT_ASSERT_ASSIGN(const auto report, flow.report());
        EXPECT_EQ(report.lost, 0u);
        fmt::print(
            "node {} by {}: {:.0f} ms after the change in etcd; longest pause of 1,000 datagrams/s {:.1f} ms, {} of {} "
            "lost, {} out of order\n",
            n + 1, backend, took.count(), report.longest_pause_ms, report.lost, report.sent, report.reordered);
        WEFT_ASSERT_ASSIGN(const auto leases, nodes_[1 - n]->weftctl("leases"));
        const auto expected = backend == "host-gw" ? "direct" : family() == Family::v6 ? "vxlan6" : backend;
        const bool there = std::ranges::any_of(leases, [&](const auto &lease) {
            return lease.value("subnet", "").contains(family() == Family::v6 ? ':' : '.') &&
                   lease.value("encap", "") == expected;
        });
        EXPECT_TRUE(there) << leases;
    }

    std::array<WeftNode *, 2> nodes_{};
    std::array<Pod *, 2> pods_{};
    std::array<std::string, 2> keys_;
};

TEST_P(Switching, TrafficFollowsALeasesEncapsulation) {
    await_second_publication();
    WEFT_ASSERT_ASSIGN(auto flow, SteadyFlow::start(pods_[0]->ns, pod(1)));
    std::array<std::future<Result<Transfer>>, 2> transfers;
    for (const auto direction : {Direction::send, Direction::receive})
        transfers[static_cast<std::size_t>(direction)] = std::async(std::launch::async, [this, direction] {
            return tcp_transfer(pods_[0]->ns, pod(1), kBytes, {.direction = direction, .rate = kBytes / 8});
        });
    const auto backends = family() == Family::v6 ? std::vector<std::string>{"host-gw", "vxlan"}
                                                 : std::vector<std::string>{"host-gw", "udp", "ipip", "vxlan"};
    for (const auto &backend : backends) {
        for (const std::size_t n : {0, 1}) { // one direction at a time: the two nodes need not agree
            expect_change(n, backend, flow);
            if (HasFatalFailure()) return;
        }
        // What takes the host's stack changes ways too.
        WEFT_EXPECT_OK(udp_echo(pods_[0]->ns, pod(1), {5000}));
        WEFT_EXPECT_OK(ping(nodes_[1]->netns(), pod(0), 1));
    }
    for (auto &transfer : transfers)
        EXPECT_EQ(transfer.wait_for(0s), std::future_status::timeout) << "it was over before the last change";
    for (auto &transfer : transfers) {
        WEFT_ASSERT_ASSIGN(const auto done, transfer.get());
        EXPECT_EQ(done.bytes, kBytes);
        EXPECT_LT(done.longest_pause_s, 1);
    }
}

INSTANTIATE_TEST_SUITE_P(Setups, Switching,
                         testing::Values(Setup{"tc", WireMode::offload}, Setup{"xdp", WireMode::bare},
                                         Setup{"tc", WireMode::bare, "vxlan", Families::dual, Families::dual}),
                         setup_name);

} // namespace
} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
// 50,000 datagrams a second and a TCP stream of checked content go on while weftd is killed, restarted, replaced by another
// build and by one with another layout of its maps, and while etcd is away or has another leader. Not one is
// lost.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <future>
#include <map>

#include <fmt/format.h>

#include "cluster_fixture.hpp"

namespace weft::test {
namespace {

constexpr std::uint64_t kMiB = 1024 * 1024;

class Hitless : public ClusterTest {
protected:
    void SetUp() override {
        ClusterTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        WEFT_ASSERT_ASSIGN(one_, cluster_->add_node());
        WEFT_ASSERT_ASSIGN(two_, cluster_->add_node());
        WEFT_ASSERT_OK(cluster_->settle());
        WEFT_ASSERT_ASSIGN(pod_one_, one_->add_pod());
        WEFT_ASSERT_ASSIGN(pod_two_, two_->add_pod());
        WEFT_ASSERT_OK(ping(pod_one_->ns, pod_two_->address, 1));
    }

    /// What weft has on the hooks of a node: program ids.
    static nlohmann::json programs(const WeftNode &node) {
        auto ids = nlohmann::json::array();
        if (const auto status = node.weftctl("status"))
            for (const auto &program : (*status)["datapath"]["programs"]) ids.push_back(program["id"]);
        return ids;
    }

    /// Traffic both ways, and `deed` in the midst of it.
    void expect_no_loss(const std::function<void()> &deed) {
        WEFT_ASSERT_ASSIGN(auto flood, Flood::start(pod_one_->ns, pod_two_->ns, pod_two_->address));
        auto transfer = std::async(std::launch::async, [&] {
            return tcp_transfer(pod_two_->ns, pod_one_->address, 45 * kMiB, {.rate = 15 * kMiB});
        });
        deed();
        WEFT_ASSERT_ASSIGN(const auto done, transfer.get());
        WEFT_ASSERT_ASSIGN(const auto sent, flood.finish());
        fmt::print("{} datagrams, none lost; TCP paused {:.3f} s at most\n", sent, done.longest_pause_s);
        EXPECT_LT(done.longest_pause_s, 1.0);
    }

    /// Starts a node's weftd anew, and waits until it has put its own programs in place of those in `before`.
    void start_in_place_of(const nlohmann::json &before, WeftNode &node, std::vector<std::string> flags = {}) {
        auto options = cluster_->node_options();
        options.flags = std::move(flags);
        WEFT_ASSERT_OK(node.start(options));
        const auto all_new = [&] {
            const auto now = programs(node);
            return now.size() == before.size() && std::ranges::none_of(now, [&](const auto &id) {
                       return std::ranges::find(before, id) != before.end();
                   });
        };
        EXPECT_TRUE(wait_until(all_new)) << before << " -> " << programs(node) << node.daemon()->describe();
    }
    void start_again(WeftNode &node, std::vector<std::string> flags = {}) {
        start_in_place_of(programs(node), node, std::move(flags));
    }

    WeftNode *one_ = nullptr, *two_ = nullptr;
    Pod *pod_one_ = nullptr, *pod_two_ = nullptr;
};

TEST_P(Hitless, KilledAndRestarted) {
    expect_no_loss([&] {
        for (auto *node : {one_, two_}) {
            node->kill();
            start_again(*node);
            WEFT_ASSERT_OK(node->stop());
            start_again(*node);
        }
    });
}

// Other instructions, not only another load of the same: what the verifier leaves of the programs follows their constants.
TEST_P(Hitless, UpgradedToOtherProgramsAndBack) {
    expect_no_loss([&] {
        for (auto *node : {one_, two_}) {
            WEFT_ASSERT_OK(node->stop());
            start_again(*node, {"--fast-path=false"});
            WEFT_ASSERT_OK(node->stop());
            start_again(*node);
        }
    });
}

// Maps of another layout have another number in their names. Programs go on with them until the new ones are filled, with the
// pods too, of which nothing but the kernel's own objects can be read.
TEST_P(Hitless, MapsOfAnotherLayout) {
    const auto endpoints = [](const WeftNode &node) { return node.weftctl("endpoints").value_or(nlohmann::json()); };
    const auto before = endpoints(*two_);
    ASSERT_EQ(before.size(), 1U);
    expect_no_loss([&] {
        for (const auto &[node, version] : {std::pair(one_, "_v1"), std::pair(two_, "_v99")}) {
            WEFT_ASSERT_OK(node->stop());
            const auto old_programs = programs(*node);
            std::vector<std::filesystem::path> pins;
            for (const auto &pin : std::filesystem::directory_iterator(node->bpf_dir())) pins.push_back(pin.path());
            EXPECT_EQ(pins.size(), 11U);
            for (const auto &pin : pins) {
                const auto name = pin.filename().string();
                std::filesystem::rename(pin, pin.parent_path() / (name.substr(0, name.rfind("_v")) + version));
            }
            start_in_place_of(old_programs, *node);
            EXPECT_TRUE(
                wait_until([&] { return node->daemon()->err().contains("instead of another version of weft"); }));
            for (const auto &pin : std::filesystem::directory_iterator(node->bpf_dir()))
                EXPECT_TRUE(pin.path().filename().string().ends_with("_v2")) << pin.path();
        }
    });
    EXPECT_EQ(endpoints(*two_), before);
    WEFT_EXPECT_OK(one_->wait_for_leases(1));
    WEFT_EXPECT_OK(tcp_transfer(one_->netns(), pod_two_->address, kMiB));
}

TEST_P(Hitless, PodsComeAndGoWhileTheDaemonRestarts) {
    std::vector<Pod *> pods;
    expect_no_loss([&] {
        for (int round = 0; round < 3; ++round) {
            one_->kill();
            auto options = cluster_->node_options();
            WEFT_ASSERT_OK(one_->launch(options));
            for (int i = 0; i < 5; ++i) {
                WEFT_ASSERT_ASSIGN(auto *pod, one_->add_pod());
                pods.push_back(pod);
            }
            EXPECT_TRUE(wait_until([&] { return one_->daemon()->err().contains("ready: pods"); }));
        }
    });
    for (auto *pod : pods) WEFT_EXPECT_OK(ping(pod_two_->ns, pod->address, 1));
}

TEST_P(Hitless, WithoutEtcdAndWithItAgain) {
    auto &etcd = cluster_->etcd();
    expect_no_loss([&] {
        WEFT_ASSERT_OK(etcd.kill());
        for (auto *node : {one_, two_}) EXPECT_TRUE(node->daemon()->wait_for_output("warning etcd:"));
        WEFT_ASSERT_OK(etcd.restart());
        WEFT_ASSERT_OK(etcd.put("/coreos.com/network/subnets/10.244.200.0-24",
                                R"({"PublicIP":"192.0.2.99","BackendType":"vxlan",)"
                                R"("BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:63"}})"));
        for (auto *node : {one_, two_}) WEFT_EXPECT_OK(node->wait_for_leases(2));
    });
}

/// Joins one more member to the cluster's etcd. @param members of the cluster so far: name to peer URL; the new one is added.
Result<EtcdServer> join_etcd(Cluster &cluster, std::map<std::string, std::string> &members) {
    auto port = free_port(Cluster::kWorld, cluster.world().path());
    if (!port) return fail_as_is(std::move(port));
    const auto name = fmt::format("m{}", members.size());
    const auto peer = fmt::format("http://{}:{}", Cluster::kWorld, *port);
    // etcd takes no other one as long as the last has not been there for a few seconds.
    Result<std::string> added;
    if (!wait_until(
            [&] { return (added = cluster.etcd().ctl({"member", "add", name, "--peer-urls=" + peer})).has_value(); },
            20s))
        return fail_as_is(std::move(added));
    members[name] = peer;
    std::string all;
    for (const auto &[member, url] : members) all += (all.empty() ? "" : ",") + member + "=" + url;
    return EtcdServer::start(
        {.netns = cluster.world().path(),
         .address = Cluster::kWorld,
         .extra_args = {"--name=" + name, "--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer,
                        "--initial-cluster=" + all, "--initial-cluster-state=existing"}});
}

TEST_P(Hitless, AnotherLeaderOfEtcd) {
    auto &etcd = cluster_->etcd();
    WEFT_ASSERT_ASSIGN(const auto listed, etcd.ctl({"member", "list", "--write-out=json"}));
    const auto first = nlohmann::json::parse(listed)["members"][0];
    std::map<std::string, std::string> members{{"test", first["peerURLs"][0]}};
    WEFT_ASSERT_ASSIGN(auto second, join_etcd(*cluster_, members));
    WEFT_ASSERT_ASSIGN(auto third, join_etcd(*cluster_, members));
    const auto leads = [](EtcdServer &server) {
        const auto said = server.ctl({"endpoint", "status", "--write-out=json"}).value_or("[{}]");
        const auto status = nlohmann::json::parse(said)[0].value("Status", nlohmann::json::object());
        return status.contains("leader") && status["leader"] == status["header"]["member_id"];
    };
    ASSERT_TRUE(leads(etcd));
    expect_no_loss([&] {
        WEFT_ASSERT_ASSIGN(const auto status, second.ctl({"endpoint", "status", "--write-out=json"}));
        const auto id = nlohmann::json::parse(status)[0]["Status"]["header"]["member_id"].get<std::uint64_t>();
        WEFT_ASSERT_OK(etcd.ctl({"move-leader", fmt::format("{:x}", id)}));
        EXPECT_TRUE(wait_until([&] { return leads(second); }));
        WEFT_ASSERT_OK(second.kill());
        EXPECT_TRUE(wait_until([&] { return leads(etcd) || leads(third); }));
        WEFT_ASSERT_OK(third.put("/coreos.com/network/subnets/10.244.200.0-24",
                                 R"({"PublicIP":"192.0.2.99","BackendType":"vxlan",)"
                                 R"("BackendData":{"VNI":1,"VtepMAC":"02:00:00:00:00:63"}})"));
        for (auto *node : {one_, two_}) WEFT_EXPECT_OK(node->wait_for_leases(2));
    });
}

INSTANTIATE_TEST_SUITE_P(Setups, Hitless, kBareSetups, setup_name);

} // namespace
} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
// weftd dies at each of its crash points, on a node that it sets up and on one that carries traffic: the next one brings it to
// where it should be, and what ran goes on running.
#include <csignal>

#include "daemon_fixture.hpp"

namespace weft::test {
namespace {

class Crash : public DaemonTest, public testing::WithParamInterface<const char *> {
protected:
    [[nodiscard]] WeftNode::Options with_datapath() const {
        auto all = options({});
        all.datapath = GetParam() == std::string("xdp-swapped") ? "xdp" : "tc";
        return all;
    }
    /// Runs weftd until it dies at the point. @return false if it came up without meeting it
    bool crash() {
        auto all = with_datapath();
        all.program = "weftd-testhooks";
        all.env.push_back(fmt::format("WEFT_TEST_CRASH_AT={}", GetParam()));
        const auto launched = node_->launch(all);
        EXPECT_TRUE(launched);
        if (!launched) return false;
        EXPECT_TRUE(wait_until([&] {
            return !node_->daemon()->running() || node_->daemon()->err().contains("ready: pods can be wired");
        })) << log();
        return node_->daemon()->wait(0ms) == 128 + SIGKILL;
    }
    void expect_all_well() {
        WEFT_ASSERT_OK(node_->start(with_datapath()));
        EXPECT_TRUE(wait_until([&] { return status()["state"] == "synced"; })) << status() << log();
        WEFT_EXPECT_OK(node_->wait_for_leases(1));
        const auto audit =
            node_->netns().output({binary("weftctl"), "audit", "--run-dir=" + node_->run_dir().string()});
        EXPECT_EQ(audit.value_or(Output{}).out, "everything is as it should be\n");
        const auto keys = cluster_->etcd().get_prefix("/coreos.com/network/subnets/");
        EXPECT_EQ(keys.value_or(std::map<std::string, std::string>()).size(), 2U)
            << "one lease of ours, one of the other's";
        std::set<std::string> beside;
        for (const auto &file : std::filesystem::directory_iterator(node_->subnet_file().parent_path()))
            beside.insert(file.path().filename());
        EXPECT_EQ(beside, std::set{node_->subnet_file().filename().string()}) << "nothing half-written is left";
        for (const auto &pin : std::filesystem::directory_iterator(node_->bpf_dir()))
            EXPECT_TRUE(pin.path().filename().string().ends_with("_v2")) << pin.path();
    }
};

TEST_P(Crash, IsMadeGoodByTheNext) {
    WEFT_ASSERT_OK(put_lease("10.244.77.0-24", "192.0.2.77"));
    EXPECT_TRUE(crash()) << "the point is not on the way: " << log();
    expect_all_well();
    WEFT_ASSERT_ASSIGN(const auto base, node_->base_address());
    WEFT_ASSERT_ASSIGN(const auto *pod, node_->add_pod());
    WEFT_EXPECT_OK(ping(node_->netns(), pod->address, 1));

    node_->kill();
    std::filesystem::remove(node_->subnet_file());
    (void)crash(); // a point of setting up is not met again
    WEFT_EXPECT_OK(ping(node_->netns(), pod->address, 1));
    node_->kill();
    expect_all_well();
    EXPECT_EQ(node_->base_address().value_or(""), base);
    WEFT_EXPECT_OK(ping(node_->netns(), pod->address, 1));
}

INSTANTIATE_TEST_SUITE_P(At, Crash,
                         testing::Values("lease-listed", "lease-granted", "lease-written", "file-written",
                                         "file-renamed", "device-made", "programs-loaded", "maps-filled", "pins-set",
                                         "hook-swapped", "xdp-swapped", "hooks-swapped"),
                         [](const auto &point) {
                             std::string name = point.param;
                             std::erase(name, '-');
                             return name;
                         });

} // namespace
} // namespace weft::test

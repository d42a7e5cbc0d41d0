// SPDX-License-Identifier: Apache-2.0
// A pod that forges, while its honest traffic goes on.
//
//   WEFT_UPDATE_DOCS=1 build/tests/pod_attack_test      writes into docs/security.md what got through flannel's node
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <thread>

#include <fmt/format.h>

#include "field.hpp"
#include "table.hpp"

namespace weft::attack {
namespace {

/// TCP, UDP and ICMP of a pod to these addresses, one after the other, again and again. Ends with the object.
class HonestTraffic {
public:
    HonestTraffic(const test::Netns &pod, std::vector<std::string> to)
        : thread_([this, &pod, addresses = std::move(to)] { go(pod, addresses); }) {}
    ~HonestTraffic() { stop(); }

    /// @return how many rounds there were; an error tells what did not arrive
    Result<unsigned> stop() {
        stopped_ = true;
        if (thread_.joinable()) thread_.join();
        if (!outcome_) return std::unexpected(outcome_.error());
        return rounds_;
    }
    [[nodiscard]] unsigned rounds() const { return rounds_; }

private:
    void go(const test::Netns &pod, const std::vector<std::string> &addresses) {
        for (; !stopped_ && outcome_; ++rounds_) {
            for (const auto &to : addresses) {
                if (outcome_) outcome_ = test::ping(pod, to, 5);
                if (outcome_) outcome_ = test::udp_echo(pod, to, {1, 1000, 4000}, 5);
                auto transfer = test::tcp_transfer(pod, to, 256 * 1024);
                if (outcome_ && !transfer) outcome_ = fail_in(std::move(transfer), "to " + to);
            }
        }
    }

    std::atomic<bool> stopped_ = false;
    std::atomic<unsigned> rounds_ = 0;
    Status outcome_; ///< the thread's until it has ended
    std::thread thread_;
};

class PodAttack : public Field {
protected:
    /// Every kind from the victim's pod. `judge` is told what was seen of each.
    void forge(const test::Pod &pod, const Scene &scene,
               const std::function<void(const Kind &, const Sightings &)> &judge) {
        WEFT_ASSERT_ASSIGN(const auto sender, FrameSender::open(pod.ns, "eth0"));
        for (std::uint16_t i = 0; i < pod_kinds().size(); ++i) {
            const auto &kind = pod_kinds()[i];
            SCOPED_TRACE(fmt::format("{}: {}", kind.name, kind.text));
            const auto honest = honest_from_pod(scene, honest_sent_);
            honest_sent_ += static_cast<std::uint32_t>(honest.frames.size());
            WEFT_ASSERT_ASSIGN(
                const auto seen,
                attack(sender, scene, kind, static_cast<std::uint16_t>(kFirstPodKind + i), kPacketsAPodKind, honest));
            judge(kind, seen);
        }
    }
};

TEST_P(PodAttack, ReachesNobodyAndHonestTrafficGoesOn) {
    WEFT_ASSERT_ASSIGN(const auto scene, scene_against(false));
    WEFT_ASSERT_ASSIGN(const auto node_server, serve_traffic(victim_->netns()));
    HonestTraffic traffic(victim_pod_->ns,
                          {neighbour_->address, neighbour_->address6, peer_pod_->address, peer_pod_->address6,
                           (scene.victim.base + 1).to_string(), test::Cluster::kWorld});
    WEFT_ASSERT_ASSIGN(auto before, victim_->counters());
    forge(*victim_pod_, scene, [&](const Kind &kind, const Sightings &seen) {
        EXPECT_TRUE(seen.crafted.empty()) << seen.to_string();
        WEFT_ASSERT_ASSIGN(const auto after, victim_->counters());
        expect_counted(kind.counted, kPacketsAPodKind, before, after);
        before = after;
    });
    (void)test::wait_until([&] { return traffic.rounds() > 0; }, std::chrono::seconds(30));
    const auto rounds = traffic.stop();
    WEFT_ASSERT_OK(rounds);
    EXPECT_GT(*rounds, 0u);
    // Nobody has believed an advertisement or an ARP message.
    for (const test::Netns *ns : {&victim_->netns(), &std::as_const(neighbour_->ns), &std::as_const(peer_pod_->ns)}) {
        WEFT_ASSERT_ASSIGN(const auto neighbours, ns->run("ip neighbour show"));
        EXPECT_EQ(neighbours.find("02:ba:d0:"), neighbours.npos) << ns->name() << ": " << neighbours;
        WEFT_ASSERT_ASSIGN(const auto addresses, ns->run("ip -6 address show"));
        EXPECT_EQ(addresses.find("2001:db8:bad:"), addresses.npos) << ns->name() << ": " << addresses;
    }
    WEFT_ASSERT_ASSIGN(const auto neighbours, neighbour_->ns.run("ip neighbour show"));
    EXPECT_EQ(neighbours.find(scene.pod_mac.to_string()), neighbours.npos) << neighbours;
}

/// The same from a pod behind flannel's bridge.
TEST_P(PodAttack, ReachesOthersOnAFlannelNode) {
    WEFT_ASSERT_ASSIGN(const auto scene, scene_against(true));
    Reached reached;
    forge(*flannel_pod_, scene, [&](const Kind &kind, const Sightings &seen) {
        reached[std::string(kind.name)] = seen.crafted.size();
        if (!kind.through_flannel) return;
        EXPECT_EQ(seen.crafted.size(), kPacketsAPodKind) << seen.to_string();
    });
    if (std::getenv("WEFT_UPDATE_DOCS")) PageBlock(WEFT_SECURITY_PAGE, "pod").write(pod_table(reached));
}

constexpr auto kDual = test::Families::dual;
INSTANTIATE_TEST_SUITE_P(Setups, PodAttack,
                         testing::Values(test::Setup{"tc", test::WireMode::offload, "vxlan", kDual, kDual}),
                         test::setup_name);

} // namespace
} // namespace weft::attack

// SPDX-License-Identifier: Apache-2.0
// A pod that forges, while its honest traffic goes on.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "field.hpp"
#include "table.hpp"

namespace weft::attack {
namespace {

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

/// From a pod behind flannel's bridge.
TEST_P(PodAttack, GoesThroughFlannel) {
    WEFT_ASSERT_ASSIGN(const auto scene, scene_against(true));
    Reached reached;
    forge(*flannel_pod_, scene, [&](const Kind &kind, const Sightings &seen) {
        reached[std::string(kind.name)] = seen.crafted.size();
        if (!kind.through_flannel) return;
        EXPECT_EQ(seen.crafted.size(), kPacketsAPodKind) << seen.to_string();
    });
}

constexpr auto kDual = test::Families::dual;
INSTANTIATE_TEST_SUITE_P(Setups, PodAttack,
                         testing::Values(test::Setup{"tc", test::WireMode::offload, "vxlan", kDual, kDual}),
                         test::setup_name);

} // namespace
} // namespace weft::attack

// SPDX-License-Identifier: Apache-2.0
// A host on the nodes' segment that holds no lease, and 10,000 packets of its.
#include <gtest/gtest.h>

#include <cstdlib>

#include <fmt/format.h>

#include "field.hpp"
#include "table.hpp"

namespace weft::attack {
namespace {

class SegmentAttack : public Field {
protected:
    /// What got through flannel's nodes, by backend, from all cases of one run.
    static Reached &flannel(const std::string &backend) {
        static std::map<std::string, Reached> all;
        return all[backend];
    }

    [[nodiscard]] Result<Sightings> attack_with(const Scene &scene, std::uint16_t kind) {
        return attack(*sender_, scene, segment_kinds()[kind], kind, packets_a_segment_kind(), next_honest(scene));
    }
};

/// Packets to a node without weft: what shows that they are what they are called, and that the judge would see them.
TEST_P(SegmentAttack, GoesThroughFlannel) {
    WEFT_ASSERT_ASSIGN(const auto scene, scene_against(true));
    expect_judges_see(scene);
    if (HasFatalFailure()) return;
    for (std::uint16_t i = 0; i < segment_kinds().size(); ++i) {
        const auto &kind = segment_kinds()[i];
        SCOPED_TRACE(fmt::format("{}: {}", kind.name, kind.text));
        WEFT_ASSERT_ASSIGN(const auto seen, attack_with(scene, i));
        flannel(GetParam().backend)[std::string(kind.name)] = seen.crafted.size();
        if (!tunnelled() || !kind.through_flannel) continue;
        EXPECT_EQ(seen.crafted.size(), packets_a_segment_kind()) << seen.to_string();
    }
}

constexpr auto kDual = test::Families::dual;
INSTANTIATE_TEST_SUITE_P(Setups, SegmentAttack,
                         testing::Values(test::Setup{"tc", test::WireMode::offload, "vxlan", kDual, kDual},
                                         test::Setup{"tc", test::WireMode::offload, "host-gw", kDual, kDual}),
                         test::setup_name);

} // namespace
} // namespace weft::attack

// SPDX-License-Identifier: Apache-2.0
// A host on the nodes' segment that holds no lease, and 10,000 packets of its.
//
//   WEFT_UPDATE_DOCS=1 build/tests/segment_attack_test      writes into docs/security.md what got through flannel's node
#include <gtest/gtest.h>

#include <cstdlib>

#include <fmt/format.h>

#include "field.hpp"
#include "table.hpp"

namespace weft::attack {
namespace {

class SegmentAttack : public Field {
protected:
    [[nodiscard]] std::string_view counted(const Kind &kind) const {
        if (GetParam().datapath == "xdp" && !kind.counted_xdp.empty()) return kind.counted_xdp;
        return tunnelled() ? kind.counted : kind.counted_direct;
    }
    [[nodiscard]] Result<Sightings> attack_with(const Scene &scene, std::uint16_t kind) {
        return attack(*sender_, scene, segment_kinds()[kind], kind, packets_a_segment_kind(), next_honest(scene));
    }
};

TEST_P(SegmentAttack, ReachesNobody) {
    WEFT_ASSERT_ASSIGN(const auto scene, scene_against(false));
    expect_judges_see(scene);
    if (HasFatalFailure()) return;
    WEFT_ASSERT_ASSIGN(auto before, victim_->counters());
    for (std::uint16_t i = 0; i < segment_kinds().size(); ++i) {
        const auto &kind = segment_kinds()[i];
        SCOPED_TRACE(fmt::format("{}: {}", kind.name, kind.text));
        WEFT_ASSERT_ASSIGN(const auto seen, attack_with(scene, i));
        EXPECT_TRUE(seen.nothing()) << seen.to_string();
        WEFT_ASSERT_ASSIGN(const auto after, victim_->counters());
        expect_counted(counted(kind), packets_a_segment_kind(), before, after);
        before = after;
    }
    expect_judges_see(scene);
    // Nor have ICMP errors narrowed a path, nor advertisements moved a neighbour.
    for (const auto family : {test::Family::v4, test::Family::v6}) {
        WEFT_EXPECT_OK(tcp_transfer(victim_pod_->ns, peer_pod_->at(family), 1024 * 1024));
        WEFT_EXPECT_OK(udp_echo(victim_pod_->ns, peer_pod_->at(family), {GetParam().mtu() - 48}));
    }
}

class WhatRemains : public SegmentAttack {};

/// What docs/security.md says under "What remains": when one of these is refused, it belongs among the others.
TEST_P(WhatRemains, IsTaken) {
    WEFT_ASSERT_ASSIGN(const auto scene, scene_against(false));
    constexpr std::uint32_t kSome = 10;
    for (std::uint16_t i = 0; i < remaining_kinds().size(); ++i) {
        const auto &kind = remaining_kinds()[i];
        WEFT_ASSERT_ASSIGN(const auto seen,
                           attack(*sender_, scene, kind, static_cast<std::uint16_t>(kFirstRemainingKind + i), kSome,
                                  next_honest(scene)));
        EXPECT_FALSE(seen.crafted.empty()) << kind.name;
    }
}

class FlannelNodeAttacked : public SegmentAttack {
protected:
    static void TearDownTestSuite() {
        if (!std::getenv("WEFT_UPDATE_DOCS") || reached("vxlan").empty() || reached("host-gw").empty()) return;
        PageBlock(WEFT_SECURITY_PAGE, "segment").write(segment_table(reached("vxlan"), reached("host-gw")));
    }
    /// What got through, by backend, from all cases of one run.
    static Reached &reached(const std::string &backend) {
        static std::map<std::string, Reached> all;
        return all[backend];
    }
};

/// The same packets to a node without weft: what shows that they are what they are called, and that the judge would see them.
TEST_P(FlannelNodeAttacked, IsReached) {
    WEFT_ASSERT_ASSIGN(const auto scene, scene_against(true));
    expect_judges_see(scene);
    if (HasFatalFailure()) return;
    for (std::uint16_t i = 0; i < segment_kinds().size(); ++i) {
        const auto &kind = segment_kinds()[i];
        SCOPED_TRACE(fmt::format("{}: {}", kind.name, kind.text));
        WEFT_ASSERT_ASSIGN(const auto seen, attack_with(scene, i));
        reached(GetParam().backend)[std::string(kind.name)] = seen.crafted.size();
        if (!tunnelled() || !kind.through_flannel) continue;
        EXPECT_EQ(seen.crafted.size(), packets_a_segment_kind()) << seen.to_string();
    }
}

constexpr auto kDual = test::Families::dual;
const test::Setup kVxlan{"tc", test::WireMode::offload, "vxlan", kDual, kDual};
const test::Setup kVxlanXdp{"xdp", test::WireMode::bare, "vxlan", kDual, kDual};
const test::Setup kHostGw{"tc", test::WireMode::offload, "host-gw", kDual, kDual};

INSTANTIATE_TEST_SUITE_P(Setups, SegmentAttack, testing::Values(kVxlan, kVxlanXdp, kHostGw), test::setup_name);
INSTANTIATE_TEST_SUITE_P(Setups, WhatRemains, testing::Values(kVxlan), test::setup_name);
INSTANTIATE_TEST_SUITE_P(Setups, FlannelNodeAttacked, testing::Values(kVxlan, kHostGw), test::setup_name);

} // namespace
} // namespace weft::attack

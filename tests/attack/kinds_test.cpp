// SPDX-License-Identifier: Apache-2.0
// The generator by itself, and docs/security.md beside it.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <set>

#include "kinds.hpp"
#include "table.hpp"

namespace weft::attack {
namespace {

/// Every frame of `packets` packets of a kind.
Frames frames_of(const Kind &kind, std::uint16_t number, std::uint32_t packets, std::uint64_t seed) {
    Crafter crafter(Scene::example(), number, seed);
    Frames all;
    for (std::uint32_t i = 0; i < packets; ++i) {
        crafter.start(i);
        std::ranges::move(kind.craft(crafter), std::back_inserter(all));
    }
    return all;
}

TEST(AttackKinds, AreAtLeastSoMany) {
    EXPECT_GE(segment_kinds().size(), 40u);
    EXPECT_GE(segment_kinds().size() * packets_a_segment_kind(), kSegmentPackets);
    EXPECT_GE(pod_kinds().size(), 20u);
}

TEST(AttackKinds, HaveNamesOfTheirOwn) {
    std::set<std::string_view> names;
    for (const auto &kind : segment_kinds()) EXPECT_TRUE(names.insert(kind.name).second) << kind.name;
    names.clear();
    for (const auto &kind : pod_kinds()) EXPECT_TRUE(names.insert(kind.name).second) << kind.name;
}

TEST(AttackKinds, MakeTenThousandDifferentPackets) {
    std::map<Bytes, std::string_view> seen;
    for (std::uint16_t i = 0; i < segment_kinds().size(); ++i) {
        const auto &kind = segment_kinds()[i];
        for (auto &frame : frames_of(kind, i, packets_a_segment_kind(), 1)) {
            const auto [first, is_new] = seen.try_emplace(std::move(frame), kind.name);
            EXPECT_TRUE(is_new) << "a packet of " << kind.name << " is one of " << first->second;
        }
    }
    EXPECT_GE(seen.size(), kSegmentPackets);
}

TEST(AttackKinds, AreMadeOfTheirSeedAlone) {
    for (std::uint16_t i = 0; i < segment_kinds().size(); ++i) {
        const auto &kind = segment_kinds()[i];
        EXPECT_EQ(frames_of(kind, i, 5, 7), frames_of(kind, i, 5, 7)) << kind.name;
        EXPECT_NE(frames_of(kind, i, 5, 7), frames_of(kind, i, 5, 8)) << kind.name;
    }
}

TEST(AttackKinds, SayWhereTheyAreCounted) {
    const auto counted = counters_of("2x from_wire/outer_fragment, from_tunnel/unknown_sender");
    ASSERT_EQ(counted.size(), 2u);
    EXPECT_EQ(counted[0].counter, "from_wire/outer_fragment");
    EXPECT_EQ(counted[0].times, 2u);
    EXPECT_EQ(counted[1].counter, "from_tunnel/unknown_sender");
    EXPECT_EQ(counted[1].times, 1u);
}

TEST(AttackMark, IsFoundInWhatIsLeftOfAPacket) {
    Crafter crafter(Scene::example(), 7, 1);
    crafter.start(0x01020304);
    const auto frame = crafter.tunnel(crafter.stranger(), crafter.inner_pods());
    const auto mark = Mark::find(frame.data(), frame.size());
    ASSERT_TRUE(mark);
    EXPECT_EQ(mark->kind, 7);
    EXPECT_EQ(mark->number, 0x01020304u);
    EXPECT_FALSE(Mark::at(frame.data(), frame.size(), kVxlan));
    EXPECT_FALSE(Mark::find(frame.data(), kInnerL4));
}

/// The measured columns are what WEFT_UPDATE_DOCS=1 wrote last; everything else must be what the generator has now.
TEST(SecurityPage, HasEveryKind) {
    const PageBlock segment(WEFT_SECURITY_PAGE, "segment"), pod(WEFT_SECURITY_PAGE, "pod"),
        remaining(WEFT_SECURITY_PAGE, "remaining");
    ASSERT_TRUE(segment.found());
    ASSERT_TRUE(remaining.found());
    if (std::getenv("WEFT_UPDATE_DOCS")) return remaining.write(remaining_table());
    EXPECT_EQ(remaining.text(), remaining_table()) << "WEFT_UPDATE_DOCS=1 build/tests/attack_kinds_test";
    ASSERT_TRUE(pod.found());
    const auto vxlan = segment.column(2), host_gw = segment.column(4), flannel = pod.column(2);
    EXPECT_EQ(segment.text(), segment_table(vxlan, host_gw)) << "WEFT_UPDATE_DOCS=1 build/tests/segment_attack_test";
    EXPECT_EQ(pod.text(), pod_table(flannel)) << "WEFT_UPDATE_DOCS=1 build/tests/pod_attack_test";
    EXPECT_EQ(vxlan.size(), segment_kinds().size());
    EXPECT_EQ(host_gw.size(), segment_kinds().size());
    EXPECT_EQ(flannel.size(), pod_kinds().size());
}

} // namespace
} // namespace weft::attack

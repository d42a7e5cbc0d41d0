// SPDX-License-Identifier: Apache-2.0
// VLAN tags, which a device has taken off and keeps beside the packet: those of VLAN 0 are none, up to two of them.
#include "harness.hpp"
#include "in_front.hpp"

namespace weft::prog_run {
namespace {

using namespace world;

constexpr std::uint16_t kPriority = 3 << 13; ///< of VLAN 0
constexpr std::uint16_t kVlan = kPriority | 7;

const Bytes kSent = bytes_of(eth(kPodHostMac, kPodMac) / ip(kPod, kNeighbourPod) / tcp());
const Bytes kReceived = tunnel(ip(kPeerPod, kPod, 63) / tcp());

struct TagsRow {
    const char *sentence;
    std::vector<std::uint16_t> tags; ///< the last is the outermost
    const char *reason;              ///< null: as without tags
    std::size_t in_packet = 0;       ///< tags that are still in the packet afterwards
};
void PrintTo(const TagsRow &row, std::ostream *os) { *os << row.sentence; }

const TagsRow kRows[] = {
    {"none", {}, nullptr},
    {"a priority", {kPriority}, nullptr},
    {"a priority of nought", {0}, nullptr},
    {"a VLAN", {kVlan}, "vlan"},
    {"a priority around a priority", {kPriority, kPriority}, nullptr},
    {"a priority around a VLAN", {kVlan, kPriority}, "vlan"},
    {"a VLAN around a VLAN", {kVlan, kVlan}, "vlan", 1},
    {"three priorities", {kPriority, kPriority, kPriority}, "nested_tags"},
};

class Tags : public ::testing::TestWithParam<TagsRow> {
protected:
    void expect(weft_hook hook, const Bytes &packet, const char *otherwise) {
        auto &programs = Programs::instance();
        if (!programs.available()) GTEST_SKIP() << programs.why_not();
        const auto &row = GetParam();
        const auto behind = BehindTags::create(programs.program_fd(hook), row.tags);
        ASSERT_TRUE(behind) << behind.error().sentence();
        const auto check = [&](const Bytes &in, const Outcome &out) {
            EXPECT_TRUE(!row.reason || out.packet.size() == in.size() + 4 * row.in_packet);
        };
        expect_row(hook, {"", packet, row.reason ? row.reason : otherwise, check, {.behind = behind->program_fd()}});
    }
};
TEST_P(Tags, FromPod) { expect(WEFT_HOOK_FROM_POD, kSent, "to_pod"); }
TEST_P(Tags, FromWire) { expect(WEFT_HOOK_FROM_WIRE, kReceived, "decap_to_pod"); }
INSTANTIATE_TEST_SUITE_P(Table, Tags, ::testing::ValuesIn(kRows), [](const auto &tested) {
    return row_name(::testing::TestParamInfo<Row>(Row{tested.param.sentence, {}, {}}, tested.index));
});

/// Behind a priority the frame says VLAN once more, and ends.
TEST(TagsAlone, ATagThatIsCutOffIsNoneToTakeOff) {
    auto &programs = Programs::instance();
    if (!programs.available()) GTEST_SKIP() << programs.why_not();
    const auto behind = BehindTags::create(programs.program_fd(WEFT_HOOK_FROM_POD), {kPriority});
    ASSERT_TRUE(behind) << behind.error().sentence();
    expect_row(WEFT_HOOK_FROM_POD, {"",
                                    patched(cut(kSent, kEthLen + 2), 12, {0x81, 0x00}),
                                    "nested_tags",
                                    nullptr,
                                    {.behind = behind->program_fd()}});
}

} // namespace
} // namespace weft::prog_run

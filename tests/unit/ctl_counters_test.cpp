// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "ctl/counters.hpp"
#include "ctl/table.hpp"

namespace weft::ctl {
namespace {

using testing::ElementsAre;

std::vector<weft_counter> no_counts() { return std::vector<weft_counter>(std::size_t{WEFT_HOOK_COUNT} * WEFT_R_COUNT); }

weft_counter &at(std::vector<weft_counter> &counters, unsigned hook, unsigned reason) {
    return counters[std::size_t{hook} * WEFT_R_COUNT + reason];
}

std::vector<std::string> reasons(const std::vector<CounterRow> &rows) {
    std::vector<std::string> names;
    for (const auto &row : rows) names.push_back(row.hook + "/" + row.verdict + "/" + row.reason);
    return names;
}

TEST(CtlCounters, OnlyWhatWasCountedIsShownByProgramThenReason) {
    auto counters = no_counts();
    at(counters, WEFT_HOOK_FROM_WIRE, WEFT_R_UNKNOWN_SENDER) = {3, 300};
    at(counters, WEFT_HOOK_FROM_POD, WEFT_R_NOT_IP) = {1, 42};
    at(counters, WEFT_HOOK_FROM_POD, WEFT_R_ENCAP) = {10, 14980};
    EXPECT_THAT(reasons(counter_rows(counters, false)),
                ElementsAre("from_pod/forward/encap", "from_pod/stack/not_ip", "from_wire/drop/unknown_sender"));
}

TEST(CtlCounters, AllShowsEveryKnownReasonOfEveryKnownProgram) {
    EXPECT_EQ(counter_rows(no_counts(), true).size(), std::size(abi::kHooks) * std::size(abi::kReasons));
    EXPECT_TRUE(counter_rows(no_counts(), false).empty());
}

TEST(CtlCounters, ANumberOfANewerProgramIsShownNotHidden) {
    auto counters = no_counts();
    at(counters, 7, 199) = {1, 1};
    at(counters, WEFT_HOOK_FROM_POD, WEFT_R_NONE) = {2, 2};
    EXPECT_THAT(reasons(counter_rows(counters, false)),
                ElementsAre("from_pod/none/reason_0", "hook_7/drop/reason_199"));
}

TEST(CtlCounters, CountsAreTheSumOfAllCpus) {
    const std::vector<weft_counter> per_cpu{{1, 10}, {0, 0}, {2, 20}};
    const auto total = sum(per_cpu);
    EXPECT_EQ(total.packets, 3U);
    EXPECT_EQ(total.bytes, 30U);
}

TEST(CtlCounters, TableIsAligned) {
    auto counters = no_counts();
    at(counters, WEFT_HOOK_FROM_POD, WEFT_R_ENCAP) = {10, 14980};
    at(counters, WEFT_HOOK_XDP_WIRE, WEFT_R_WRONG_VNI) = {1, 92};
    EXPECT_EQ(counters_table(counter_rows(counters, false)),
              "PROGRAM   VERDICT  REASON     PACKETS  BYTES  MEANING\n"
              "from_pod  forward  encap           10  14980  outer header pushed, sent to the lease's node\n"
              "xdp_wire  drop     wrong_vni        1     92  VXLAN network identifier is not ours\n");
}

TEST(CtlCounters, JsonKeepsItsFieldNames) {
    auto counters = no_counts();
    at(counters, WEFT_HOOK_FROM_POD, WEFT_R_ENCAP) = {10, 14980};
    const nlohmann::json expected = {{{"program", "from_pod"},
                                      {"verdict", "forward"},
                                      {"reason", "encap"},
                                      {"packets", 10},
                                      {"bytes", 14980},
                                      {"text", "outer header pushed, sent to the lease's node"}}};
    EXPECT_EQ(nlohmann::json(counters_json(counter_rows(counters, false))), expected);
    EXPECT_EQ(json_text(counters_json({})), "[]\n");
}

TEST(CtlCounters, RatesAreForOneSecond) {
    auto before = no_counts();
    auto after = no_counts();
    at(before, WEFT_HOOK_FROM_POD, WEFT_R_ENCAP) = {100, 1000};
    at(after, WEFT_HOOK_FROM_POD, WEFT_R_ENCAP) = {300, 5000};
    auto rates = counter_rates(before, after, std::chrono::seconds(2));
    EXPECT_EQ(at(rates, WEFT_HOOK_FROM_POD, WEFT_R_ENCAP).packets, 100U);
    EXPECT_EQ(at(rates, WEFT_HOOK_FROM_POD, WEFT_R_ENCAP).bytes, 2000U);
}

TEST(CtlCounters, RatesOfMapsThatWereMadeAnewStartFromZero) {
    auto before = no_counts();
    auto after = no_counts();
    at(before, WEFT_HOOK_FROM_POD, WEFT_R_ENCAP) = {1000, 1000};
    at(after, WEFT_HOOK_FROM_POD, WEFT_R_ENCAP) = {4, 400};
    auto rates = counter_rates(before, after, std::chrono::seconds(1));
    EXPECT_EQ(at(rates, WEFT_HOOK_FROM_POD, WEFT_R_ENCAP).packets, 4U);
}

TEST(CtlCounters, TotalsFollowTheClassesOfReasons) {
    auto counters = no_counts();
    at(counters, WEFT_HOOK_FROM_POD, WEFT_R_ENCAP) = {10, 100};
    at(counters, WEFT_HOOK_FROM_WIRE, WEFT_R_DECAP_TO_POD) = {5, 50};
    at(counters, WEFT_HOOK_FROM_POD, WEFT_R_NOT_IP) = {2, 20};
    at(counters, WEFT_HOOK_FROM_WIRE, WEFT_R_SPOOFED_SOURCE) = {1, 10};
    const auto totals = verdict_totals(counters);
    EXPECT_EQ(totals.forward.packets, 15U);
    EXPECT_EQ(totals.stack.packets, 2U);
    EXPECT_EQ(totals.drop.bytes, 10U);
}

} // namespace
} // namespace weft::ctl

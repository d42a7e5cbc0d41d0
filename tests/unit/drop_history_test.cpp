// SPDX-License-Identifier: Apache-2.0
#include "daemon/drop_history.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

using namespace std::chrono_literals;

const DropHistory::TimePoint kStart{std::chrono::hours(1)};

TEST(DropHistory, KnowsNothingBeforeItsFirstSample) {
    const DropHistory history;
    EXPECT_EQ(history.last_minute({{"from_wire/bad_ip", 9}}), Drops{});
}

TEST(DropHistory, CountsFromTheFirstSampleUntilAMinuteIsFull) {
    DropHistory history;
    history.sample(kStart, {{"a/x", 100}});
    EXPECT_EQ(history.last_minute({{"a/x", 100}}), Drops{}) << "what was dropped before a restart is not news";
    EXPECT_EQ(history.last_minute({{"a/x", 103}, {"a/y", 2}}), (Drops{{"a/x", 3}, {"a/y", 2}}));
}

TEST(DropHistory, ForgetsAfterAMinute) {
    DropHistory history;
    for (int i = 0; i <= 12; ++i) history.sample(kStart + i * 10s, {{"a/x", i < 2 ? 0U : 50U}});
    EXPECT_EQ(history.last_minute({{"a/x", 50}}), Drops{});
    EXPECT_EQ(history.last_minute({{"a/x", 51}}), (Drops{{"a/x", 1}}));
}

TEST(DropHistory, CountersOfNewMapsStartAtZero) {
    DropHistory history;
    history.sample(kStart, {{"a/x", 100}});
    EXPECT_EQ(history.last_minute({{"a/x", 4}}), (Drops{{"a/x", 4}}));
}

} // namespace
} // namespace weft

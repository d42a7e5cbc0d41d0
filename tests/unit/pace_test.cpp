// SPDX-License-Identifier: Apache-2.0
#include "daemon/pace.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

using namespace std::chrono_literals;

const Pace::TimePoint kMidnight{24h};

/// Works of `length` as fast as they may follow each other. @return when the last has ended
Pace::TimePoint storm(Pace &pace, Pace::TimePoint from, std::chrono::milliseconds length, int works) {
    for (int i = 0; i < works; ++i) {
        const auto begin = std::max(from, pace.earliest());
        pace.worked(begin, begin + length);
        from = begin + length;
    }
    return from;
}

TEST(Pace, ALongWorkAfterAQuietTimeHoldsNobodyUp) {
    Pace pace;
    pace.worked(kMidnight, kMidnight + 900ms);
    EXPECT_EQ(pace.earliest(), kMidnight + 900ms + Pace::kShortest);
}

TEST(Pace, AStormGetsAFifth) {
    Pace pace;
    const auto calm = storm(pace, kMidnight, 100ms, 20); // has used its credit
    const auto end = storm(pace, calm, 100ms, 200);
    EXPECT_NEAR(std::chrono::duration<double>(end - calm) / 20s, 5.0, 0.1);
}

TEST(Pace, CreditComesBackInAQuietTime) {
    Pace pace;
    const auto end = storm(pace, kMidnight, 100ms, 100);
    EXPECT_GT(pace.earliest(), end + Pace::kShortest);
    pace.worked(end + Pace::kCredit, end + Pace::kCredit + 100ms);
    EXPECT_EQ(pace.earliest(), end + Pace::kCredit + 100ms + Pace::kShortest);
}

TEST(Pace, NoPauseIsLongerThanTheLongest) {
    Pace pace;
    const auto end = storm(pace, kMidnight, 30s, 5);
    EXPECT_EQ(pace.earliest(), end + Pace::kLongest);
}

} // namespace
} // namespace weft

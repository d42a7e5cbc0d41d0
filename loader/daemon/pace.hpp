// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>

namespace weft {

/// When the next of a row of works may begin, so that a storm of reasons for it takes a fifth of a CPU: each is paid for with a
/// pause of four times what it took. Pauses are owed up to kCredit, so that after a quiet time the next one waits for nothing,
/// also behind one that took long.
class Pace {
public:
    using TimePoint = std::chrono::steady_clock::time_point;
    static constexpr std::chrono::milliseconds kShortest{20}; ///< a burst of reasons becomes one work
    static constexpr std::chrono::seconds kLongest{2}, kCredit{5};

    void worked(TimePoint begin, TimePoint end) {
        ended_ = end;
        paid_ = std::min(std::max(paid_, begin) + 5 * (end - begin), end + kCredit + kLongest);
    }
    [[nodiscard]] TimePoint earliest() const { return std::max(ended_ + kShortest, paid_ - kCredit); }

private:
    TimePoint ended_, paid_; ///< paid_: when the pauses of all works so far are over
};

} // namespace weft

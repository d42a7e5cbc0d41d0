// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <map>
#include <string>
#include <utility>

namespace weft {

/// Packets that the programs dropped, by "program/reason".
using Drops = std::map<std::string, std::uint64_t>;

/// Remembers totals for a minute, so that an operator sees what is being dropped now and not what once was.
class DropHistory {
public:
    using TimePoint = std::chrono::steady_clock::time_point;
    static constexpr std::chrono::seconds kSpan{60};

    /// Totals as the counters have them at `now`; called every few seconds.
    void sample(TimePoint now, Drops totals);
    /// What was counted in the last minute, or since the first sample if that is later; counters that shrank (maps made
    /// anew) count from zero. Only what occurred.
    [[nodiscard]] Drops last_minute(const Drops &totals) const;

    [[nodiscard]] bool empty() const { return samples_.empty(); }

private:
    std::deque<std::pair<TimePoint, Drops>> samples_; ///< the oldest is the youngest that is a minute old
};

} // namespace weft

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "base/error.hpp"

namespace weft {

/// What failed, each thing with a back-off of its own: 1 s, doubling to 60 s, so that none holds up another.
///
/// Counters: `attempts` of each item, shown in `weftctl status`.
class Backoff {
public:
    using TimePoint = std::chrono::steady_clock::time_point;
    struct Failure {
        unsigned attempts = 0;
        std::string sentence;
        TimePoint retry_at, said_at;
    };

    /// Whether it is time to try this item (again).
    [[nodiscard]] bool due(const std::string &item, TimePoint now) const {
        const auto found = failures_.find(item);
        return found == failures_.end() || found->second.retry_at <= now;
    }
    /// @return whether to log it: the first time, when the reason changed, and once a minute.
    bool failed(const std::string &item, const Error &error, TimePoint now);
    /// @return whether it had failed before.
    bool succeeded(const std::string &item) { return failures_.erase(item) > 0; }
    /// Forgets those that are no longer wanted.
    void keep_only(const std::set<std::string> &items) {
        std::erase_if(failures_, [&](const auto &entry) { return !items.contains(entry.first); });
    }
    /// Whether it is time to try any of them (again).
    [[nodiscard]] bool any_due(TimePoint now) const;
    /// When the next one is to be tried, of those for which it is not time yet: what is due and has just not been tried waits
    /// for something else, not for the clock.
    [[nodiscard]] std::optional<TimePoint> next(TimePoint now) const;
    [[nodiscard]] const std::map<std::string, Failure> &all() const { return failures_; }

private:
    std::map<std::string, Failure> failures_;
};

} // namespace weft

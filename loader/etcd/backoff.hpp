// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <random>
#include <stop_token>

namespace weft {

/// Growing pauses between attempts: doubling from `min` to `max`, each shortened at random by up to a half, so that
/// nodes that lost the same etcd do not come back in step.
class Backoff {
public:
    Backoff(std::chrono::milliseconds min, std::chrono::milliseconds max) : min_(min), max_(max), next_(min) {}

    [[nodiscard]] std::chrono::milliseconds next() {
        const auto whole = next_;
        next_ = std::min(max_, next_ * 2);
        return whole -
               std::chrono::milliseconds(std::uniform_int_distribution<std::int64_t>(0, whole.count() / 2)(random_));
    }
    void reset() { next_ = min_; }

private:
    std::chrono::milliseconds min_, max_, next_;
    std::minstd_rand random_{std::random_device{}()};
};

/// Sleeps, but wakes up when a stop is requested. @return false if one was
inline bool sleep_for(const std::stop_token &stop, std::chrono::milliseconds time) {
    std::mutex mutex;
    std::condition_variable_any wake;
    std::unique_lock lock(mutex);
    wake.wait_for(lock, stop, time, [] { return false; });
    return !stop.stop_requested();
}

} // namespace weft

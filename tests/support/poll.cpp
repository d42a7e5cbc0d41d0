// SPDX-License-Identifier: Apache-2.0
#include "poll.hpp"

#include <thread>

namespace weft::test {

bool wait_until(const std::function<bool()> &condition, std::chrono::milliseconds timeout,
                std::chrono::milliseconds interval) {
    const auto deadline = std::chrono::steady_clock::now() + timeout;
    while (!condition()) {
        if (std::chrono::steady_clock::now() >= deadline) return condition();
        std::this_thread::sleep_for(interval); // lint-ok(sleep): the one place that polls
    }
    return true;
}

} // namespace weft::test

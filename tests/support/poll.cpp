// SPDX-License-Identifier: Apache-2.0
#include "poll.hpp"

#include <algorithm>
#include <cstdlib>
#include <thread>

namespace weft::test {
namespace {

/// WEFT_PATIENCE=N: a machine that is N times as slow as others, as an emulated one is.
int patience() {
    const char *given = std::getenv("WEFT_PATIENCE");
    return given ? std::max(1, std::atoi(given)) : 1;
}

} // namespace

bool wait_until(const std::function<bool()> &condition, std::chrono::milliseconds timeout,
                std::chrono::milliseconds interval) {
    const auto deadline = std::chrono::steady_clock::now() + timeout * patience();
    while (!condition()) {
        if (std::chrono::steady_clock::now() >= deadline) return condition();
        std::this_thread::sleep_for(interval); // lint-ok(sleep): the one place that polls
    }
    return true;
}

} // namespace weft::test

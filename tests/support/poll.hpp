// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <functional>

namespace weft::test {

using namespace std::chrono_literals;

/// Tries `condition` until it holds or `timeout` has passed; it is tried at least once, and once more at the end.
/// Tests wait for what they need, never for a time: this is the only sleep in them.
[[nodiscard]] bool wait_until(const std::function<bool()> &condition, std::chrono::milliseconds timeout = 10s,
                              std::chrono::milliseconds interval = 10ms);

} // namespace weft::test

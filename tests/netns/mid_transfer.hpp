// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <future>

#include <fmt/format.h>

#include "needs.hpp"
#include "pod.hpp"
#include "poll.hpp"

namespace weft::test {

constexpr double kStall = 3.0; ///< seconds without progress: more than two retransmission timeouts in a row

/// Bytes that eth0 of a namespace has received.
inline std::uint64_t received(const Netns &ns) {
    const auto text = ns.run("cat /proc/net/dev");
    if (!text) return 0;
    const auto at = text->find("eth0:");
    return at == text->npos ? 0 : std::strtoull(text->c_str() + at + 5, nullptr, 10);
}

/// A transfer from one pod to another during which `change` happens, a quarter of it done and three quarters still to do.
inline void expect_transfer_survives(const Pod &from, const Pod &to, Family family, std::uint64_t bytes,
                                     const std::function<Status()> &change) {
    const auto before = received(to.ns);
    auto transfer =
        std::async(std::launch::async, [&] { return tcp_transfer(from.ns, to.at(family), bytes, {.timeout = 110s}); });
    EXPECT_TRUE(wait_until([&] { return received(to.ns) - before > bytes / 4; }, 60s, 5ms));
    const auto at_change = received(to.ns) - before;
    WEFT_EXPECT_OK(change());
    auto result = transfer.get();
    EXPECT_LT(at_change, bytes * 3 / 4) << "the change came too late to be one";
    WEFT_ASSERT_ASSIGN(const auto done, std::move(result));
    EXPECT_EQ(done.bytes, bytes);
    EXPECT_LT(done.longest_pause_s, kStall);
    fmt::print("{} MiB from {}: {:.2f} Gbit/s, longest pause {:.2f} s\n", bytes >> 20, from.ns.name(), done.gbit_s,
               done.longest_pause_s);
}

} // namespace weft::test

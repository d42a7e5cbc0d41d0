// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <functional>
#include <future>

#include <fmt/format.h>

#include "dirs.hpp"
#include "needs.hpp"
#include "pod.hpp"
#include "poll.hpp"

namespace weft::test {

constexpr double kStall = 3.0; ///< seconds without progress: more than two retransmission timeouts in a row

/// Bytes that eth0 of a namespace has received.
inline std::uint64_t received(const Netns &ns) {
    std::string text;
    (void)ns.run_in([&]() -> Status {
        auto read = read_file("/proc/thread-self/net/dev"); // no process is started: it has to be quick
        if (read) text = std::move(*read);
        return {};
    });
    const auto at = text.find("eth0:");
    return at == text.npos ? 0 : std::strtoull(text.c_str() + at + 5, nullptr, 10);
}

/// A transfer from one pod to another during which the way becomes narrower, from an MTU of 1500 to one of 1400, a quarter of
/// it done and another to do at least. On a busy machine the transfer may be faster than we are, and is made again.
inline void expect_transfer_survives(const Pod &from, const Pod &to, Family family, std::uint64_t bytes,
                                     const std::function<Status(unsigned mtu)> &set_mtu) {
    constexpr int kAttempts = 5;
    std::uint64_t at_change = bytes;
    for (int attempt = 0; attempt < kAttempts && at_change >= bytes * 3 / 4; ++attempt) {
        WEFT_ASSERT_OK(set_mtu(1500));
        const auto before = received(to.ns);
        auto transfer = std::async(std::launch::async,
                                   [&] { return tcp_transfer(from.ns, to.at(family), bytes, {.timeout = 110s}); });
        EXPECT_TRUE(wait_until([&] { return received(to.ns) - before > bytes / 4; }, 60s, 1ms));
        at_change = received(to.ns) - before;
        WEFT_EXPECT_OK(set_mtu(1400));
        WEFT_ASSERT_ASSIGN(const auto done, transfer.get());
        EXPECT_EQ(done.bytes, bytes);
        EXPECT_LT(done.longest_pause_s, kStall);
        fmt::print("{} MiB from {}: {:.2f} Gbit/s, longest pause {:.2f} s\n", bytes >> 20, from.ns.name(), done.gbit_s,
                   done.longest_pause_s);
    }
    EXPECT_LT(at_change, bytes * 3 / 4) << "the change came too late to be one";
}

} // namespace weft::test

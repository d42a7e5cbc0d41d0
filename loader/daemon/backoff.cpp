// SPDX-License-Identifier: Apache-2.0
#include "daemon/backoff.hpp"

#include <algorithm>

namespace weft {
namespace {

using namespace std::chrono_literals;
constexpr std::chrono::seconds kFirst = 1s, kLongest = 60s, kSayAgain = 60s;

} // namespace

bool Backoff::failed(const std::string &item, const Error &error, TimePoint now) {
    auto &failure = failures_[item];
    const bool news =
        failure.attempts == 0 || failure.sentence != error.sentence() || now - failure.said_at >= kSayAgain;
    const unsigned doublings = std::min(failure.attempts, 6U);
    failure.retry_at = now + std::min<std::chrono::seconds>(kFirst * (1U << doublings), kLongest);
    failure.sentence = error.sentence();
    ++failure.attempts;
    if (news) failure.said_at = now;
    return news;
}

std::optional<Backoff::TimePoint> Backoff::next() const {
    std::optional<TimePoint> earliest;
    for (const auto &[item, failure] : failures_)
        if (!earliest || failure.retry_at < *earliest) earliest = failure.retry_at;
    return earliest;
}

} // namespace weft

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

bool Backoff::any_due(TimePoint now) const {
    return std::ranges::any_of(failures_, [&](const auto &entry) { return entry.second.retry_at <= now; });
}

std::optional<Backoff::TimePoint> Backoff::next(TimePoint now) const {
    std::optional<TimePoint> earliest;
    for (const auto &[item, failure] : failures_)
        if (failure.retry_at > now && (!earliest || failure.retry_at < *earliest)) earliest = failure.retry_at;
    return earliest;
}

} // namespace weft

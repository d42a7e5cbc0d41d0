// SPDX-License-Identifier: Apache-2.0
#include "daemon/drop_history.hpp"

namespace weft {

void DropHistory::sample(TimePoint now, Drops totals) {
    samples_.emplace_back(now, std::move(totals));
    while (samples_.size() > 1 && samples_[1].first + kSpan <= now) samples_.pop_front();
}

Drops DropHistory::last_minute(const Drops &totals) const {
    Drops counted;
    if (samples_.empty()) return counted;
    const auto &before = samples_.front().second;
    for (const auto &[name, packets] : totals) {
        const auto was = before.find(name);
        const bool grown = was != before.end() && was->second <= packets;
        if (const auto since = grown ? packets - was->second : packets; since > 0) counted[name] = since;
    }
    return counted;
}

} // namespace weft

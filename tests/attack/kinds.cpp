// SPDX-License-Identifier: Apache-2.0
#include "kinds.hpp"

#include <algorithm>

namespace weft::attack {

const std::vector<Kind> &segment_kinds() {
    static const std::vector<Kind> kAll = [] {
        std::vector<Kind> all;
        for (const auto group : {stranger_kinds(), forged_kinds(), malformed_kinds(), plain_kinds()})
            all.insert(all.end(), group.begin(), group.end());
        return all;
    }();
    return kAll;
}

std::uint32_t packets_a_segment_kind() {
    const auto kinds = static_cast<std::uint32_t>(segment_kinds().size());
    return (kSegmentPackets + kinds - 1) / kinds;
}

std::vector<Counted> counters_of(std::string_view text) {
    std::vector<Counted> all;
    while (!text.empty()) {
        const auto end = std::min(text.find(", "), text.size());
        auto one = text.substr(0, end);
        text.remove_prefix(std::min(end + 2, text.size()));
        Counted counted;
        if (const auto times = one.find("x "); times != one.npos) {
            counted.times = one[0] - '0';
            one.remove_prefix(times + 2);
        }
        counted.counter = one;
        all.push_back(std::move(counted));
    }
    return all;
}

} // namespace weft::attack

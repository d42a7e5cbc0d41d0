// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <string_view>

namespace weft::cni {

/// CNI specification versions that the plugin speaks, oldest first: they compare by age.
enum class Version { v0_1_0, v0_2_0, v0_3_0, v0_3_1, v0_4_0, v1_0_0, v1_1_0 };

inline constexpr std::array<std::string_view, 7> kVersionNames = {"0.1.0", "0.2.0", "0.3.0", "0.3.1",
                                                                  "0.4.0", "1.0.0", "1.1.0"};

[[nodiscard]] constexpr std::string_view to_string(Version version) {
    return kVersionNames[static_cast<std::size_t>(version)];
}

[[nodiscard]] constexpr std::optional<Version> parse_version(std::string_view text) {
    const auto *found = std::ranges::find(kVersionNames, text);
    if (found == kVersionNames.end()) return std::nullopt;
    return static_cast<Version>(found - kVersionNames.begin());
}

} // namespace weft::cni

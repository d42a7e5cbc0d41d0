// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <ostream>
#include <vector>

namespace weft::test {

/// The address families of a network: of a cluster's pods, or of what its nodes are plugged into.
enum class Families { v4, dual, v6 };

[[nodiscard]] constexpr bool has_v4(Families families) { return families != Families::v6; }
[[nodiscard]] constexpr bool has_v6(Families families) { return families != Families::v4; }
[[nodiscard]] constexpr const char *to_string(Families families) {
    return families == Families::v4 ? "v4" : families == Families::dual ? "dual" : "v6";
}

enum class Family { v4, v6 };
/// IPv4 first.
[[nodiscard]] inline std::vector<Family> members(Families families) {
    if (families == Families::dual) return {Family::v4, Family::v6};
    return {has_v4(families) ? Family::v4 : Family::v6};
}
/// Bytes of an IP header without options.
[[nodiscard]] constexpr unsigned header_size(Family family) { return family == Family::v4 ? 20 : 40; }

inline std::ostream &operator<<(std::ostream &out, Families families) { return out << to_string(families); }

} // namespace weft::test

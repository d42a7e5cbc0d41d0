// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>

#include "kinds.hpp"

namespace weft::attack {

constexpr std::uint16_t kHonestKind = 0xffff;

/// Packets as nodes send them, each with a number of its own. That a stranger can make them with a node's addresses is what a
/// tunnel without authentication cannot tell (docs/security.md); here they are what every judge must see.
struct Honest {
    Frames frames;
    std::set<std::uint32_t> numbers;
};

/// As `from` sends them to `to`: to its pod and to itself, of each protocol and family.
/// @param first the first number; the numbers behind it follow
[[nodiscard]] Honest honest_between(const Scene &scene, const Party &from, const Party &to, bool tunnelled,
                                    std::uint32_t first);

/// As the victim's pod sends them: to the pod beside it, a pod of another node, both nodes and the world.
[[nodiscard]] Honest honest_from_pod(const Scene &scene, std::uint32_t first);

} // namespace weft::attack

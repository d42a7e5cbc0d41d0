// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "crafter.hpp"

namespace weft::attack {

using Frames = std::vector<Bytes>; ///< usually one; the fragments of one packet are several

/// One kind of crafted packets.
struct Kind {
    std::string_view name, text;
    /// Where a weft node counts each packet, "from_wire/unknown_sender"; "2x from_wire/outer_fragment, ..." where it is several
    /// frames or passes several programs. With the programs in XDP what is dropped there counts as xdp_wire's.
    std::string_view counted;
    Frames (*craft)(Crafter &);
    /// The same where nodes have no tunnel (host-gw).
    std::string_view counted_direct = "from_wire/not_overlay";
    /// The same with the programs in XDP, where that is another reason and not only another program.
    std::string_view counted_xdp = {};
    /// Whether the kernel's vxlan device, set up as flannel does it, hands the whole of them on: what shows that the judge
    /// would see them here.
    bool through_flannel = false;
};

/// Kinds that a host on the nodes' segment sends.
[[nodiscard]] std::span<const Kind> stranger_kinds(); ///< from its own address
[[nodiscard]] std::span<const Kind> forged_kinds();   ///< with a node's address, and something wrong about it
[[nodiscard]] std::span<const Kind> malformed_kinds();
[[nodiscard]] std::span<const Kind> plain_kinds(); ///< without a tunnel, or in another one
/// All of them, in this order. A mark's kind is a place in this list.
[[nodiscard]] const std::vector<Kind> &segment_kinds();

/// Kinds that weft takes too: what docs/security.md says under "What remains". They are not among segment_kinds().
[[nodiscard]] std::span<const Kind> remaining_kinds();
constexpr std::uint16_t kFirstRemainingKind = 2000;

/// How many of each kind make 10,000 packets.
[[nodiscard]] std::uint32_t packets_a_segment_kind();
constexpr std::uint32_t kSegmentPackets = 10'000;

/// Kinds that a pod sends, and their marks' first kind.
[[nodiscard]] std::span<const Kind> pod_kinds();
constexpr std::uint16_t kFirstPodKind = 1000;
constexpr std::uint32_t kPacketsAPodKind = 50;

/// Where a weft node counts a packet of a kind: "program/reason" and how often.
struct Counted {
    std::string counter;
    std::uint64_t times = 1;
};
/// Kind::counted, read.
[[nodiscard]] std::vector<Counted> counters_of(std::string_view text);

} // namespace weft::attack

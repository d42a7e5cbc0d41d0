// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace weft::ctl {

struct NodeFacts;

enum class CheckState : std::uint8_t {
    ok,
    warn, ///< works, but an operator would want to know
    fail, ///< some packets do not get where they should
};
[[nodiscard]] std::string_view to_string(CheckState state);

/// What one look at the node came to.
struct Finding {
    CheckState state = CheckState::ok;
    std::string found;  ///< what is there, in one line
    std::string advice; ///< what to do about it; empty when there is nothing to do
};

/// One thing that is looked at. A new check is a function and its entry in the table of its file.
struct Check {
    const char *name; ///< stable: scripts ask for it
    Finding (*look)(const NodeFacts &facts);
};

/// The tables, in the order in which they are shown: what the daemon says, who has access, the host's settings, its
/// firewall, the packet path.
[[nodiscard]] std::span<const Check> daemon_checks();
[[nodiscard]] std::span<const Check> access_checks();
[[nodiscard]] std::span<const Check> host_checks();
[[nodiscard]] std::span<const Check> firewall_checks();
[[nodiscard]] std::span<const Check> datapath_checks();

} // namespace weft::ctl

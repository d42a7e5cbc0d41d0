// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "abi.hpp"
#include "base/error.hpp"

namespace weft {

/// How strictly packets are checked: `--check NAME=MODE`. A check is named as the reason for which it drops.
struct CheckModes {
    std::map<weft_reason, weft_check_mode> by_reason;  ///< those that are not as they come (abi::kChecks)
    weft_check_mode socket_guard = WEFT_CHECK_ENFORCE; ///< the firewall's: who may reach the kernel's vxlan socket

    bool operator==(const CheckModes &) const = default;
    [[nodiscard]] weft_check_mode of(weft_reason check) const;
};

inline constexpr std::string_view kSocketGuard = "socket_guard";

/// Sets one: "pod_mac=count", or "all=off". Later ones win.
/// Errors: what is no check or no mode, and which there are.
[[nodiscard]] Status set_check(CheckModes &modes, std::string_view text);

/// "pod_mac=count, ...": those that are not as they come; empty where all are.
[[nodiscard]] std::string to_string(const CheckModes &modes);

} // namespace weft

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <chrono>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "abi.hpp"
#include "base/addr.hpp"
#include "base/error.hpp"
#include "ctl/context.hpp"
#include "ctl/endpoints.hpp"
#include "ctl/links.hpp"

namespace weft::ctl {

/// What one sender sent that a program dropped, or tolerated where a check only counts.
struct RefusedRow {
    std::string sender; ///< a pod's addresses, or what the packet said; "others": more senders than are told apart
    std::string ifname; ///< host end of the pod's veth; empty: not from a pod
    std::string hook;   ///< the program
    std::string reason;
    bool tolerated = false;
    weft_counter count{};
    Mac mac; ///< source of the last frame; all zero where there is none
    std::chrono::nanoseconds ago{};
};

using RefusedEntry = std::pair<weft_refused_key, weft_refused>;

/// One entry as all CPUs have it together: sums, and the latest one's MAC.
[[nodiscard]] weft_refused sum(std::span<const weft_refused> per_cpu);

/// Rows, the latest first. @param now CLOCK_MONOTONIC
[[nodiscard]] std::vector<RefusedRow> refused_rows(const std::vector<RefusedEntry> &entries,
                                                   const std::vector<EndpointEntry> &endpoints, const Links &links,
                                                   std::chrono::nanoseconds now);

[[nodiscard]] std::string refused_table(const std::vector<RefusedRow> &rows);
[[nodiscard]] nlohmann::ordered_json refused_json(const std::vector<RefusedRow> &rows);

/// `weftctl refused`: what to print.
[[nodiscard]] Result<std::string> run_refused(const Context &context);

} // namespace weft::ctl

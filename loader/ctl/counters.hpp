// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <chrono>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "abi.hpp"
#include "base/error.hpp"
#include "ctl/context.hpp"

namespace weft::ctl {

/// How often one program let packets go for one reason.
struct CounterRow {
    std::string hook;    ///< the program: "from_pod"
    std::string verdict; ///< "forward", "stack", "drop"; "tolerated": a check in mode count would have dropped it
    std::string reason;  ///< "encap"; "reason_77" for one that this build does not know
    std::string text;
    weft_counter count{};
};

/// Packets and bytes by class of verdict, over all programs.
struct VerdictTotals {
    weft_counter forward{}, stack{}, drop{};
};

/// Adds up the values of all CPUs.
[[nodiscard]] weft_counter sum(std::span<const weft_counter> per_cpu);

/// Rows by program, then by reason's number: a packet's way in and what became of it.
/// @param counters as read_counters() has them, or the counters map's alone.
/// @param all also the known reasons that never occurred.
[[nodiscard]] std::vector<CounterRow> counter_rows(std::span<const weft_counter> counters, bool all);

/// What was counted between two reads, for each second. A counter that shrank (maps made anew) restarts from zero.
[[nodiscard]] std::vector<weft_counter> counter_rates(std::span<const weft_counter> before,
                                                      std::span<const weft_counter> after,
                                                      std::chrono::duration<double> between);

[[nodiscard]] VerdictTotals verdict_totals(std::span<const weft_counter> counters);

enum class CounterUnit { total, per_second };
[[nodiscard]] std::string counters_table(const std::vector<CounterRow> &rows, CounterUnit unit = CounterUnit::total);
[[nodiscard]] nlohmann::ordered_json counters_json(const std::vector<CounterRow> &rows,
                                                   CounterUnit unit = CounterUnit::total);

/// Every element of the counters map, and behind them those of the map of what was tolerated, summed over CPUs.
[[nodiscard]] Result<std::vector<weft_counter>> read_counters(const std::filesystem::path &bpf_dir);

/// `weftctl counters`: what to print.
[[nodiscard]] Result<std::string> run_counters(const Context &context, bool all);

/// `weftctl counters --watch`: prints rates to stdout every `interval` until it is interrupted or nobody reads.
[[nodiscard]] Status watch_counters(const Context &context, bool all, std::chrono::seconds interval);

} // namespace weft::ctl

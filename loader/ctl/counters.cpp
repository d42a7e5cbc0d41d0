// SPDX-License-Identifier: Apache-2.0
#include "ctl/counters.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <thread>

#include "ctl/pins.hpp"
#include "ctl/table.hpp"

namespace weft::ctl {
namespace {

using CounterMap = maps::PinnedMap<__u32, weft_counter>;

constexpr std::size_t kElements = std::size_t{WEFT_HOOK_COUNT} * WEFT_R_COUNT;
constexpr std::string_view kTolerated = "tolerated";

weft_class class_of(unsigned reason) {
    if (reason == WEFT_R_NONE) return WEFT_CLASS_NONE;
    if (reason < WEFT_R_FIRST_STACK) return WEFT_CLASS_FORWARD;
    return reason < WEFT_R_FIRST_DROP ? WEFT_CLASS_STACK : WEFT_CLASS_DROP;
}

/// Behind the elements of the counters map are those of the map of what was tolerated.
bool is_tolerated(std::size_t element) { return element >= kElements; }

const abi::HookInfo *find_hook(std::size_t number) {
    const auto *found =
        std::ranges::find(abi::kHooks, number, [](const abi::HookInfo &info) { return std::size_t(info.hook); });
    return found == std::end(abi::kHooks) ? nullptr : found;
}

const abi::ReasonInfo *find_reason(std::size_t number) {
    const auto *found =
        std::ranges::find(abi::kReasons, number, [](const abi::ReasonInfo &info) { return std::size_t(info.reason); });
    return found == std::end(abi::kReasons) ? nullptr : found;
}

/// The row of one element. Programs may be newer than this build: numbers without a name are shown, not hidden.
CounterRow make_row(std::size_t element, const weft_counter &count) {
    const auto hook = element % kElements / WEFT_R_COUNT;
    const auto reason = element % WEFT_R_COUNT;
    const auto *hook_info = find_hook(hook);
    const auto *reason_info = find_reason(reason);
    CounterRow row;
    row.hook = hook_info ? std::string(hook_info->label) : fmt::format("hook_{}", hook);
    row.verdict = is_tolerated(element) ? kTolerated : abi::class_label(class_of(static_cast<unsigned>(reason)));
    row.reason = reason_info ? std::string(reason_info->label) : fmt::format("reason_{}", reason);
    if (reason_info)
        row.text = reason_info->text;
    else if (reason == WEFT_R_NONE)
        row.text = "no reason was given: a bug in the program";
    else
        row.text = "not known to this version of weftctl";
    row.count = count;
    return row;
}

void add(weft_counter &total, const weft_counter &count) {
    total.packets += count.packets;
    total.bytes += count.bytes;
}

__u64 rate(__u64 before, __u64 after, double seconds) {
    const auto grown = after >= before ? after - before : after;
    return static_cast<__u64>(std::llround(static_cast<double>(grown) / seconds));
}

/// @return false when nobody reads stdout any more.
bool print(const std::string &text) {
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
}

} // namespace

weft_counter sum(std::span<const weft_counter> per_cpu) {
    weft_counter total{};
    for (const auto &cpu : per_cpu) add(total, cpu);
    return total;
}

std::vector<CounterRow> counter_rows(std::span<const weft_counter> counters, bool all) {
    std::vector<CounterRow> rows;
    for (std::size_t element = 0; element < counters.size(); ++element) {
        const auto &count = counters[element];
        const bool known = find_hook(element % kElements / WEFT_R_COUNT) && find_reason(element % WEFT_R_COUNT);
        const bool show = all && known && !is_tolerated(element);
        if (count.packets != 0 || count.bytes != 0 || show) rows.push_back(make_row(element, count));
    }
    return rows;
}

std::vector<weft_counter> counter_rates(std::span<const weft_counter> before, std::span<const weft_counter> after,
                                        std::chrono::duration<double> between) {
    std::vector<weft_counter> rates(std::min(before.size(), after.size()));
    for (std::size_t i = 0; i < rates.size(); ++i)
        rates[i] = {rate(before[i].packets, after[i].packets, between.count()),
                    rate(before[i].bytes, after[i].bytes, between.count())};
    return rates;
}

VerdictTotals verdict_totals(std::span<const weft_counter> counters) {
    VerdictTotals totals;
    for (std::size_t element = 0; element < std::min(counters.size(), kElements); ++element) {
        switch (class_of(element % WEFT_R_COUNT)) {
        case WEFT_CLASS_FORWARD: add(totals.forward, counters[element]); break;
        case WEFT_CLASS_STACK: add(totals.stack, counters[element]); break;
        case WEFT_CLASS_DROP: add(totals.drop, counters[element]); break;
        case WEFT_CLASS_NONE: break;
        }
    }
    return totals;
}

std::string counters_table(const std::vector<CounterRow> &rows, CounterUnit unit) {
    const bool rates = unit == CounterUnit::per_second;
    if (rows.empty()) return rates ? "no packets\n" : "no packet counted yet\n";
    Table table({{"PROGRAM"},
                 {"VERDICT"},
                 {"REASON"},
                 {rates ? "PACKETS/S" : "PACKETS", Align::right},
                 {rates ? "BYTES/S" : "BYTES", Align::right},
                 {"MEANING"}});
    for (const auto &row : rows)
        table.add({row.hook, row.verdict, row.reason, std::to_string(row.count.packets),
                   std::to_string(row.count.bytes), row.text});
    return table.text();
}

nlohmann::ordered_json counters_json(const std::vector<CounterRow> &rows, CounterUnit unit) {
    const bool rates = unit == CounterUnit::per_second;
    auto list = nlohmann::ordered_json::array();
    for (const auto &row : rows)
        list.push_back({{"program", row.hook},
                        {"verdict", row.verdict},
                        {"reason", row.reason},
                        {rates ? "packets_per_second" : "packets", row.count.packets},
                        {rates ? "bytes_per_second" : "bytes", row.count.bytes},
                        {"text", row.text}});
    return list;
}

Result<std::vector<weft_counter>> read_counters(const std::filesystem::path &bpf_dir) {
    std::vector<weft_counter> counters;
    for (const std::string_view pin : {WEFT_PIN_COUNTERS, WEFT_PIN_TOLERATED}) {
        const auto map = open_map<CounterMap>(bpf_dir, pin);
        if (!map) return std::unexpected(map.error());
        for (__u32 element = 0; element < kElements; ++element) {
            const auto per_cpu = maps::read_percpu<weft_counter>((*map)->fd(), element, std::string(pin));
            if (!per_cpu) return std::unexpected(per_cpu.error());
            counters.push_back(sum(*per_cpu));
        }
    }
    return counters;
}

Result<std::string> run_counters(const Context &context, bool all) {
    const auto counters = read_counters(context.bpf_dir);
    if (!counters) return std::unexpected(counters.error());
    const auto rows = counter_rows(*counters, all);
    return context.json ? json_text(counters_json(rows)) : counters_table(rows);
}

Status watch_counters(const Context &context, bool all, std::chrono::seconds interval) {
    using Clock = std::chrono::steady_clock;
    auto before = read_counters(context.bpf_dir);
    if (!before) return fail_as_is(std::move(before));
    for (auto read_at = Clock::now();;) {
        std::this_thread::sleep_until(read_at + interval);
        auto after = read_counters(context.bpf_dir);
        if (!after) return fail_as_is(std::move(after));
        const auto now = Clock::now();
        const auto rows = counter_rows(counter_rates(*before, *after, now - read_at), all);
        // JSON: a document a line, so that a reader can take them one by one.
        const auto text = context.json ? counters_json(rows, CounterUnit::per_second).dump() + '\n'
                                       : counters_table(rows, CounterUnit::per_second) + '\n';
        if (!print(text)) return {};
        before = std::move(after);
        read_at = now;
    }
}

} // namespace weft::ctl

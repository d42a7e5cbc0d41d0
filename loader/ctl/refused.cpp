// SPDX-License-Identifier: Apache-2.0
#include "ctl/refused.hpp"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>

#include "ctl/pins.hpp"
#include "ctl/table.hpp"

namespace weft::ctl {
namespace {

using std::chrono::nanoseconds;

template <class Info> std::string label_of(const Info *found, const Info *end, const char *kind, unsigned number) {
    return found == end ? fmt::format("{}_{}", kind, number) : std::string(found->label);
}

/// A pod's addresses, in their order; its interface where the pod is gone.
std::string pod_name(unsigned ifindex, const std::vector<EndpointEntry> &endpoints, const std::string &ifname) {
    std::vector<Ip> addresses;
    for (const auto &[address, endpoint] : endpoints)
        if (endpoint.ifindex == ifindex) addresses.push_back(abi::ip(address));
    if (addresses.empty()) return ifname.empty() ? fmt::format("pod on {}", ifindex) : ifname;
    std::ranges::sort(addresses);
    std::vector<std::string> texts;
    for (const auto &address : addresses) texts.push_back(address.to_string());
    return fmt::format("{}", fmt::join(texts, ","));
}

bool is_zero(const weft_ip &address) {
    return std::ranges::all_of(address.octet, [](__u8 octet) { return octet == 0; });
}

Result<std::vector<RefusedEntry>> read_refused(const std::filesystem::path &bpf_dir) {
    const auto map = open_map<maps::PinnedMap<weft_refused_key, weft_refused>>(bpf_dir, WEFT_PIN_REFUSED);
    if (!map) return std::unexpected(map.error());
    const int cpus = libbpf_num_possible_cpus();
    if (cpus < 0) return fail_errno(-cpus, "count CPUs");
    std::vector<weft_refused> of_cpu(static_cast<std::size_t>(cpus));
    std::vector<RefusedEntry> entries;
    weft_refused_key key{}, next{};
    // The map changes under our feet: a key that has gone starts the walk anew, which so many steps bound.
    for (int steps = 0; steps < 4 * WEFT_MAX_REFUSED; ++steps, key = next) {
        if (bpf_map_get_next_key((*map)->fd(), steps == 0 ? nullptr : &key, &next) != 0) break;
        if (bpf_map_lookup_elem((*map)->fd(), &next, of_cpu.data()) == 0) entries.emplace_back(next, sum(of_cpu));
    }
    const auto less = [](const RefusedEntry &a, const RefusedEntry &b) {
        return std::memcmp(&a.first, &b.first, sizeof a.first) < 0;
    };
    const auto same = [](const RefusedEntry &a, const RefusedEntry &b) {
        return std::memcmp(&a.first, &b.first, sizeof a.first) == 0;
    };
    std::ranges::sort(entries, less);
    const auto repeated = std::ranges::unique(entries, same);
    entries.erase(repeated.begin(), repeated.end());
    return entries;
}

} // namespace

weft_refused sum(std::span<const weft_refused> per_cpu) {
    weft_refused total{};
    for (const auto &cpu : per_cpu) {
        total.packets += cpu.packets;
        total.bytes += cpu.bytes;
        if (cpu.last_ns <= total.last_ns) continue;
        total.last_ns = cpu.last_ns;
        total.mac = cpu.mac;
    }
    return total;
}

std::vector<RefusedRow> refused_rows(const std::vector<RefusedEntry> &entries,
                                     const std::vector<EndpointEntry> &endpoints, const Links &links, nanoseconds now) {
    std::vector<RefusedRow> rows;
    for (const auto &[key, value] : entries) {
        const auto *hook = std::ranges::find(abi::kHooks, static_cast<weft_hook>(key.hook), &abi::HookInfo::hook);
        const auto *reason =
            std::ranges::find(abi::kReasons, static_cast<weft_reason>(key.reason), &abi::ReasonInfo::reason);
        RefusedRow row;
        if (key.ifindex != 0) row.ifname = link_name(links, key.ifindex);
        row.sender = key.ifindex != 0      ? pod_name(key.ifindex, endpoints, row.ifname)
                     : is_zero(key.sender) ? "others"
                                           : abi::ip(key.sender).to_string();
        row.hook = label_of(hook, std::end(abi::kHooks), "hook", key.hook);
        row.reason = label_of(reason, std::end(abi::kReasons), "reason", key.reason);
        row.tolerated = key.tolerated != 0;
        row.count = {value.packets, value.bytes};
        row.mac = abi::mac(value.mac);
        row.ago = std::max(now - nanoseconds(value.last_ns), nanoseconds{0});
        rows.push_back(std::move(row));
    }
    std::ranges::stable_sort(rows, {}, &RefusedRow::ago);
    return rows;
}

std::string refused_table(const std::vector<RefusedRow> &rows) {
    if (rows.empty()) return "nothing refused yet\n";
    Table table({{"SENDER"},
                 {"MAC"},
                 {"DEV"},
                 {"PROGRAM"},
                 {"VERDICT"},
                 {"REASON"},
                 {"PACKETS", Align::right},
                 {"BYTES", Align::right},
                 {"LAST", Align::right}});
    for (const auto &row : rows)
        table.add({row.sender, row.mac == Mac{} ? "" : row.mac.to_string(), row.ifname, row.hook,
                   row.tolerated ? "tolerated" : "drop", row.reason, std::to_string(row.count.packets),
                   std::to_string(row.count.bytes),
                   fmt::format("{:.1f} s ago", std::chrono::duration<double>(row.ago).count())});
    return table.text();
}

nlohmann::ordered_json refused_json(const std::vector<RefusedRow> &rows) {
    auto list = nlohmann::ordered_json::array();
    for (const auto &row : rows)
        list.push_back({{"sender", row.sender},
                        {"mac", text_or_null(row.mac == Mac{} ? "" : row.mac.to_string())},
                        {"ifname", text_or_null(row.ifname)},
                        {"program", row.hook},
                        {"verdict", row.tolerated ? "tolerated" : "drop"},
                        {"reason", row.reason},
                        {"packets", row.count.packets},
                        {"bytes", row.count.bytes},
                        {"seconds_ago", std::chrono::duration<double>(row.ago).count()}});
    return list;
}

Result<std::string> run_refused(const Context &context) {
    const auto entries = read_refused(context.bpf_dir);
    if (!entries) return std::unexpected(entries.error());
    const auto map = open_map<maps::EndpointMap>(context.bpf_dir, WEFT_PIN_ENDPOINTS);
    if (!map) return std::unexpected(map.error());
    const auto endpoints = (*map)->entries();
    if (!endpoints) return std::unexpected(endpoints.error());
    const auto links = read_links();
    if (!links) return std::unexpected(links.error());
    // steady_clock is CLOCK_MONOTONIC, the programs' clock.
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    const auto rows = refused_rows(*entries, *endpoints, *links, now);
    return context.json ? json_text(refused_json(rows)) : refused_table(rows);
}

} // namespace weft::ctl

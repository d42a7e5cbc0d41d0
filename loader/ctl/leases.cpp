// SPDX-License-Identifier: Apache-2.0
#include "ctl/leases.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ctl/pins.hpp"
#include "ctl/table.hpp"

namespace weft::ctl {
namespace {

using StatsMap = maps::PinnedMap<__u32, weft_lease_stats>;

Result<std::vector<LeaseEntry>> read_leases(const std::filesystem::path &bpf_dir) {
    auto map = open_map<maps::LeaseMap>(bpf_dir, WEFT_PIN_LEASES);
    if (!map) return fail_as_is(std::move(map));
    auto stats = open_map<StatsMap>(bpf_dir, WEFT_PIN_LEASE_STATS);
    if (!stats) return fail_as_is(std::move(stats));
    const auto leases = (*map)->entries();
    if (!leases) return std::unexpected(leases.error());

    std::vector<LeaseEntry> entries;
    entries.reserve(leases->size());
    for (const auto &[key, lease] : *leases) {
        auto per_cpu = maps::read_percpu<weft_lease_stats>((*stats)->fd(), lease.stats_index, WEFT_PIN_LEASE_STATS);
        if (!per_cpu) return fail_in(std::move(per_cpu), abi::subnet(key).to_string());
        entries.push_back({key, lease, sum(*per_cpu)});
    }
    return entries;
}

} // namespace

weft_lease_stats sum(std::span<const weft_lease_stats> per_cpu) {
    weft_lease_stats total{};
    for (const auto &cpu : per_cpu) {
        total.tx_packets += cpu.tx_packets;
        total.tx_bytes += cpu.tx_bytes;
        total.rx_packets += cpu.rx_packets;
        total.rx_bytes += cpu.rx_bytes;
    }
    return total;
}

std::vector<LeaseRow> lease_rows(const std::vector<LeaseEntry> &entries, const Links &links) {
    std::vector<LeaseRow> rows;
    rows.reserve(entries.size());
    for (const auto &[key, lease, stats] : entries)
        rows.push_back({.subnet = abi::subnet(key),
                        .node = abi::ip(lease.node),
                        .next_hop = abi::ip(lease.next_hop),
                        .ifindex = lease.ifindex,
                        .ifname = link_name(links, lease.ifindex),
                        .vtep_mac = abi::mac(lease.vtep_mac),
                        .encap = std::string(abi::encap_label(lease.encap)),
                        .mtu = lease.mtu,
                        .stats = stats});
    std::ranges::stable_sort(rows, {}, &LeaseRow::subnet);
    const auto repeated = std::ranges::unique(rows, {}, &LeaseRow::subnet);
    rows.erase(repeated.begin(), repeated.end());
    return rows;
}

std::string leases_table(const std::vector<LeaseRow> &rows) {
    if (rows.empty()) return "no leases of other nodes\n";
    Table table({{"SUBNET"},
                 {"NODE"},
                 {"ENCAP"},
                 {"NEXT-HOP"},
                 {"DEV"},
                 {"MTU", Align::right},
                 {"VTEP-MAC"},
                 {"TX-PACKETS", Align::right},
                 {"TX-BYTES", Align::right},
                 {"RX-PACKETS", Align::right},
                 {"RX-BYTES", Align::right}});
    for (const auto &row : rows)
        table.add({row.subnet.to_string(), row.node.to_string(), row.encap, row.next_hop.to_string(),
                   fmt::format("{}:{}", row.ifindex, row.ifname.empty() ? "?" : row.ifname), std::to_string(row.mtu),
                   row.vtep_mac.to_string(), std::to_string(row.stats.tx_packets), std::to_string(row.stats.tx_bytes),
                   std::to_string(row.stats.rx_packets), std::to_string(row.stats.rx_bytes)});
    return table.text();
}

nlohmann::ordered_json leases_json(const std::vector<LeaseRow> &rows) {
    auto list = nlohmann::ordered_json::array();
    for (const auto &row : rows)
        list.push_back({{"subnet", row.subnet.to_string()},
                        {"node", row.node.to_string()},
                        {"encap", row.encap},
                        {"next_hop", row.next_hop.to_string()},
                        {"ifindex", row.ifindex},
                        {"ifname", text_or_null(row.ifname)},
                        {"mtu", row.mtu},
                        {"vtep_mac", row.vtep_mac.to_string()},
                        {"tx_packets", row.stats.tx_packets},
                        {"tx_bytes", row.stats.tx_bytes},
                        {"rx_packets", row.stats.rx_packets},
                        {"rx_bytes", row.stats.rx_bytes}});
    return list;
}

Result<std::string> run_leases(const Context &context) {
    const auto entries = read_leases(context.bpf_dir);
    if (!entries) return std::unexpected(entries.error());
    const auto links = read_links();
    if (!links) return std::unexpected(links.error());
    const auto rows = lease_rows(*entries, *links);
    return context.json ? json_text(leases_json(rows)) : leases_table(rows);
}

} // namespace weft::ctl

// SPDX-License-Identifier: Apache-2.0
#include "ctl/endpoints.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ctl/pins.hpp"
#include "ctl/table.hpp"

namespace weft::ctl {

std::vector<EndpointRow> endpoint_rows(const std::vector<EndpointEntry> &entries, const Links &links) {
    std::vector<EndpointRow> rows;
    rows.reserve(entries.size());
    for (const auto &[address, endpoint] : entries) {
        const auto link = links.find(endpoint.ifindex);
        const bool found = link != links.end();
        rows.push_back({.address = abi::ip(address),
                        .ifindex = endpoint.ifindex,
                        .ifname = found ? link->second.name : "",
                        .pod_mac = abi::mac(endpoint.pod_mac),
                        .host_mac = abi::mac(endpoint.host_mac),
                        .via_stack = (endpoint.flags & WEFT_EP_VIA_STACK) != 0,
                        .pod = found ? parse_pod_alias(link->second.alias) : PodAlias()});
    }
    std::ranges::stable_sort(rows, {}, &EndpointRow::address);
    const auto repeated = std::ranges::unique(rows, {}, &EndpointRow::address);
    rows.erase(repeated.begin(), repeated.end());
    return rows;
}

std::string endpoints_table(const std::vector<EndpointRow> &rows) {
    if (rows.empty()) return "no pods on this node\n";
    Table table(
        {{"ADDRESS"}, {"DEV"}, {"POD-MAC"}, {"HOST-MAC"}, {"PATH"}, {"NETWORK"}, {"CONTAINER"}, {"POD-IFNAME"}});
    for (const auto &row : rows)
        table.add({row.address.to_string(), fmt::format("{}:{}", row.ifindex, row.ifname.empty() ? "?" : row.ifname),
                   row.pod_mac.to_string(), row.host_mac.to_string(), row.via_stack ? "stack" : "direct",
                   row.pod.network, row.pod.container_id, row.pod.ifname});
    return table.text();
}

nlohmann::ordered_json endpoints_json(const std::vector<EndpointRow> &rows) {
    auto list = nlohmann::ordered_json::array();
    for (const auto &row : rows)
        list.push_back({{"address", row.address.to_string()},
                        {"ifindex", row.ifindex},
                        {"ifname", text_or_null(row.ifname)},
                        {"pod_mac", row.pod_mac.to_string()},
                        {"host_mac", row.host_mac.to_string()},
                        {"via_stack", row.via_stack},
                        {"network", text_or_null(row.pod.network)},
                        {"container_id", text_or_null(row.pod.container_id)},
                        {"container_ifname", text_or_null(row.pod.ifname)}});
    return list;
}

Result<std::string> run_endpoints(const Context &context) {
    const auto map = open_map<maps::EndpointMap>(context.bpf_dir, WEFT_PIN_ENDPOINTS);
    if (!map) return std::unexpected(map.error());
    const auto entries = (*map)->entries();
    if (!entries) return std::unexpected(entries.error());
    const auto links = read_links();
    if (!links) return std::unexpected(links.error());
    const auto rows = endpoint_rows(*entries, *links);
    return context.json ? json_text(endpoints_json(rows)) : endpoints_table(rows);
}

} // namespace weft::ctl

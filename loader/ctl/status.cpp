// SPDX-License-Identifier: Apache-2.0
#include "ctl/status.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <string_view>
#include <utility>

#include "ctl/control_socket.hpp"
#include "ctl/pins.hpp"
#include "ctl/table.hpp"

namespace weft::ctl {
namespace {

using Line = std::pair<std::string, std::string>;

std::string count_text(const weft_counter &count) {
    return fmt::format("{} packets, {} bytes", count.packets, count.bytes);
}

std::string value_text(const nlohmann::json &value) {
    if (value.empty() || (value.is_string() && value.get_ref<const std::string &>().empty()))
        return "-"; // null, "", {}, []
    if (value.is_string()) return value.get<std::string>();
    return value.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

/// The daemon's object as lines, whatever it has: a newer weftd's fields are shown by an older weftctl.
void flatten(const nlohmann::json &object, const std::string &prefix, std::vector<Line> &lines) {
    for (const auto &[name, value] : object.items()) {
        if (value.is_object() && !value.empty())
            flatten(value, prefix + name + ".", lines);
        else
            lines.emplace_back(prefix + name, value_text(value));
    }
}

/// Programs that are not on pods' veths one by one, those of pods as a number: a node has three of the first kind.
void add_attachments(const DatapathSummary &path, std::vector<Line> &lines) {
    std::set<unsigned> pods_with_program;
    for (const auto &[ifindex, ifname, hook, program, id] : path.attachments) {
        if (path.pod_ifindexes.contains(ifindex))
            pods_with_program.insert(ifindex);
        else
            lines.emplace_back(fmt::format("  {} {}", ifname, hook), fmt::format("{} (id {})", program, id));
    }
    if (!path.pod_ifindexes.empty())
        lines.emplace_back("  pods' veths",
                           fmt::format("{} of {} have a program", pods_with_program.size(), path.pod_ifindexes.size()));
}

void add_datapath(const NodeStatus &status, std::vector<Line> &lines) {
    if (!status.datapath) {
        lines.emplace_back("datapath", fmt::format("not set up in {}", status.bpf_dir.string()));
        return;
    }
    const auto &path = *status.datapath;
    std::vector<std::string> prefixes;
    for (const unsigned len : path.prefix_lens.of[WEFT_IPV4]) prefixes.push_back(fmt::format("/{}", len));
    for (const unsigned len : path.prefix_lens.of[WEFT_IPV6]) prefixes.push_back(fmt::format("/{} (IPv6)", len));
    lines.emplace_back("datapath", status.bpf_dir.string());
    lines.emplace_back("  leases", std::to_string(path.leases));
    lines.emplace_back("  prefix lengths", prefixes.empty() ? "-" : fmt::format("{}", fmt::join(prefixes, " ")));
    lines.emplace_back("  senders", std::to_string(path.nodes));
    lines.emplace_back("  pods", std::to_string(path.endpoints));
    lines.emplace_back("  forwarded", count_text(path.totals.forward));
    lines.emplace_back("  to host stack", count_text(path.totals.stack));
    lines.emplace_back("  dropped", count_text(path.totals.drop));
    add_attachments(path, lines);
}

template <class Map> Result<std::size_t> count_entries(const std::filesystem::path &bpf_dir, std::string_view pin) {
    const auto map = open_map<Map>(bpf_dir, pin);
    if (!map) return std::unexpected(map.error());
    const auto entries = (*map)->entries();
    if (!entries) return std::unexpected(entries.error());
    return entries->size();
}

Result<DatapathSummary> read_datapath(const std::filesystem::path &bpf_dir) {
    const auto leases = count_entries<maps::LeaseMap>(bpf_dir, WEFT_PIN_LEASES);
    if (!leases) return std::unexpected(leases.error());
    const auto nodes = count_entries<maps::NodeMap>(bpf_dir, WEFT_PIN_NODES);
    if (!nodes) return std::unexpected(nodes.error());
    const auto endpoint_map = open_map<maps::EndpointMap>(bpf_dir, WEFT_PIN_ENDPOINTS);
    if (!endpoint_map) return std::unexpected(endpoint_map.error());
    const auto endpoints = (*endpoint_map)->entries();
    if (!endpoints) return std::unexpected(endpoints.error());
    const auto state_map = open_map<maps::PinnedMap<__u32, weft_state>>(bpf_dir, WEFT_PIN_STATE);
    if (!state_map) return std::unexpected(state_map.error());
    const auto state = (*state_map)->get(0);
    if (!state) return std::unexpected(state.error());
    const auto counters = read_counters(bpf_dir);
    if (!counters) return std::unexpected(counters.error());
    const auto links = read_links();
    if (!links) return std::unexpected(links.error());
    auto attachments = read_attachments(*links);
    if (!attachments) return fail_as_is(std::move(attachments));

    DatapathSummary summary{.leases = *leases, .nodes = *nodes, .endpoints = endpoints->size()};
    summary.totals = verdict_totals(*counters);
    summary.attachments = std::move(*attachments);
    for (const auto &[address, endpoint] : *endpoints) summary.pod_ifindexes.insert(endpoint.ifindex);
    if (*state) summary.prefix_lens = abi::prefix_lens(**state);
    return summary;
}

nlohmann::ordered_json attachments_json(const std::vector<Attachment> &attachments) {
    auto list = nlohmann::ordered_json::array();
    for (const auto &[ifindex, ifname, hook, program, id] : attachments)
        list.push_back({{"ifindex", ifindex}, {"ifname", ifname}, {"hook", hook}, {"program", program}, {"id", id}});
    return list;
}

/// Nothing when weftd does not run in this directory.
Result<std::optional<nlohmann::json>> ask_daemon(const std::filesystem::path &run_dir) {
    auto answer = ask(run_dir, {{"command", "status"}});
    if (answer) return std::move(*answer);
    switch (answer.error().code()) {
    case ENOENT:
    case ECONNREFUSED: return std::nullopt;
    case EACCES:
    case EPERM: return std::unexpected(not_permitted());
    default: return fail_in(std::move(answer), "weftd");
    }
}

} // namespace

std::string daemon_state(const NodeStatus &status) { return status.daemon ? "running" : "not running"; }

std::string status_text(const NodeStatus &status) {
    std::vector<Line> lines{{"weftd", daemon_state(status)}};
    if (status.daemon) flatten(*status.daemon, "  ", lines);
    add_datapath(status, lines);
    std::size_t width = 0;
    for (const auto &[name, value] : lines) width = std::max(width, name.size());
    std::string text;
    for (const auto &[name, value] : lines) text += fmt::format("{:<{}}  {}\n", name, width, value);
    return text;
}

nlohmann::ordered_json status_json(const NodeStatus &status) {
    nlohmann::ordered_json document{{"state", daemon_state(status)}, {"daemon", nullptr}, {"datapath", nullptr}};
    if (status.daemon) document["daemon"] = *status.daemon;
    if (!status.datapath) return document;
    const auto counted = [](const weft_counter &count) {
        return nlohmann::ordered_json{{"packets", count.packets}, {"bytes", count.bytes}};
    };
    const auto &path = *status.datapath;
    auto &shown = document["datapath"];
    shown["bpf_dir"] = status.bpf_dir.string();
    shown["leases"] = path.leases;
    shown["prefix_lengths"] = {{"ipv4", path.prefix_lens.of[WEFT_IPV4]}, {"ipv6", path.prefix_lens.of[WEFT_IPV6]}};
    shown["senders"] = path.nodes;
    shown["endpoints"] = path.endpoints;
    shown["forward"] = counted(path.totals.forward);
    shown["stack"] = counted(path.totals.stack);
    shown["drop"] = counted(path.totals.drop);
    shown["programs"] = attachments_json(path.attachments);
    return document;
}

Result<std::string> run_status(const Context &context) {
    NodeStatus status{.bpf_dir = context.bpf_dir};
    auto daemon = ask_daemon(context.run_dir);
    if (!daemon) return fail_as_is(std::move(daemon));
    status.daemon = std::move(*daemon);

    auto datapath = read_datapath(context.bpf_dir);
    if (datapath) status.datapath = std::move(*datapath);
    // A daemon that waits for its configuration has set up nothing yet, and its status tells why.
    else if (!status.daemon || datapath.error().code() != ENOENT)
        return fail_as_is(std::move(datapath));
    return context.json ? json_text(status_json(status)) : status_text(status);
}

} // namespace weft::ctl

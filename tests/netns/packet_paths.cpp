// SPDX-License-Identifier: Apache-2.0
#include "packet_paths.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace weft::test {
namespace {

// clang-format off
constexpr PacketPath kPaths[] = {
    // from     to                        pod       seen by the server as
    //   request
    //   answer
    {"pod",     "pod",                    "node 1", "the client",
         "1 from_pod/to_pod",
         "1 from_pod/to_pod"},
    {"pod",     "pod",                    "node 2", "the client",
         "1 from_pod/encap, 2 from_wire/decap_to_pod",
         "2 from_pod/encap, 1 from_wire/decap_to_pod"},
    {"pod",     "ClusterIP",              "node 1", "the client",
         "1 from_pod/not_pod_network",
         "1 from_pod/nated"},
    {"pod",     "ClusterIP",              "node 2", "the client",
         "1 from_pod/not_pod_network, 1 from_host/encap, 2 from_wire/decap_to_pod",
         "2 from_pod/encap, 1 from_wire/nated, 1 from_tunnel/checked"},
    {"pod",     "ClusterIP",              "itself", "node 1",
         "1 from_pod/not_pod_network",
         "1 from_pod/not_pod_network"},
    {"pod",     "NodePort of node 1",     "node 1", "node 1",
         "1 from_pod/not_pod_network",
         "1 from_pod/not_pod_network"},
    {"pod",     "NodePort of node 1",     "node 2", "node 1's weft.1",
         "1 from_pod/not_pod_network, 1 from_host/encap, 2 from_wire/decap_to_pod",
         "2 from_pod/encap, 1 from_wire/no_pod, 1 from_tunnel/checked"},
    {"pod",     "NodePort of node 2",     "node 2", "node 2",
         "1 from_pod/not_pod_network, 2 from_wire/not_overlay",
         "2 from_pod/not_pod_network, 1 from_wire/not_overlay"},
    {"pod",     "NodePort of node 2",     "node 1", "node 2's weft.1",
         "1 from_pod/not_pod_network, 2 from_wire/not_overlay, 2 from_host/encap, 1 from_wire/decap_to_pod",
         "1 from_pod/encap, 2 from_wire/no_pod, 2 from_tunnel/checked, 1 from_wire/not_overlay"},
    {"pod",     "hostPort of node 1",     "node 1", "the client",
         "1 from_pod/not_pod_network",
         "1 from_pod/nated"},
    {"pod",     "hostPort of node 1",     "itself", "node 1",
         "1 from_pod/not_pod_network",
         "1 from_pod/not_pod_network"},
    {"pod",     "hostPort of node 2",     "node 2", "node 1",
         "1 from_pod/not_pod_network, 2 from_wire/not_overlay",
         "2 from_pod/not_pod_network, 1 from_wire/not_overlay"},
    {"pod",     "outside",                "",       "node 1",
         "1 from_pod/not_pod_network",
         "1 from_wire/not_overlay"},
    {"host",    "pod",                    "node 1", "node 1's gateway",
         "",
         "1 from_pod/no_pod"},
    {"host",    "pod",                    "node 2", "node 1's weft.1",
         "1 from_host/encap, 2 from_wire/decap_to_pod",
         "2 from_pod/encap, 1 from_wire/no_pod, 1 from_tunnel/checked"},
    {"host",    "ClusterIP",              "node 1", "node 1",
         "",
         "1 from_pod/not_pod_network"},
    {"host",    "ClusterIP",              "node 2", "node 1's weft.1",
         "1 from_host/encap, 2 from_wire/decap_to_pod",
         "2 from_pod/encap, 1 from_wire/no_pod, 1 from_tunnel/checked"},
    {"host",    "NodePort of node 1",     "node 1", "node 1",
         "",
         "1 from_pod/not_pod_network"},
    {"host",    "NodePort of node 1",     "node 2", "node 1's weft.1",
         "1 from_host/encap, 2 from_wire/decap_to_pod",
         "2 from_pod/encap, 1 from_wire/no_pod, 1 from_tunnel/checked"},
    {"host",    "NodePort of node 2",     "node 2", "node 2",
         "2 from_wire/not_overlay",
         "2 from_pod/not_pod_network, 1 from_wire/not_overlay"},
    {"host",    "NodePort of node 2",     "node 1", "node 2's weft.1",
         "2 from_wire/not_overlay, 2 from_host/encap, 1 from_wire/decap_to_pod",
         "1 from_pod/encap, 2 from_wire/no_pod, 2 from_tunnel/checked, 1 from_wire/not_overlay"},
    {"host",    "hostPort of node 1",     "node 1", "node 1",
         "",
         "1 from_pod/not_pod_network"},
    {"host",    "hostPort of node 2",     "node 2", "node 1",
         "2 from_wire/not_overlay",
         "2 from_pod/not_pod_network, 1 from_wire/not_overlay"},
    {"host",    "outside",                "",       "node 1",
         "",
         "1 from_wire/not_overlay"},
    {"outside", "pod, via node 1",        "node 1", "the client",
         "1 from_wire/not_overlay",
         "1 from_pod/not_pod_network"},
    {"outside", "pod, via node 1",        "node 2", "node 1's weft.1",
         "1 from_wire/not_overlay, 1 from_host/encap, 2 from_wire/decap_to_pod",
         "2 from_pod/encap, 1 from_wire/no_pod, 1 from_tunnel/checked"},
    {"outside", "ClusterIP, via node 1",  "node 1", "node 1",
         "1 from_wire/not_overlay",
         "1 from_pod/not_pod_network"},
    {"outside", "ClusterIP, via node 1",  "node 2", "node 1's weft.1",
         "1 from_wire/not_overlay, 1 from_host/encap, 2 from_wire/decap_to_pod",
         "2 from_pod/encap, 1 from_wire/no_pod, 1 from_tunnel/checked"},
    {"outside", "NodePort of node 1",     "node 1", "node 1",
         "1 from_wire/not_overlay",
         "1 from_pod/not_pod_network"},
    {"outside", "NodePort of node 1",     "node 2", "node 1's weft.1",
         "1 from_wire/not_overlay, 1 from_host/encap, 2 from_wire/decap_to_pod",
         "2 from_pod/encap, 1 from_wire/no_pod, 1 from_tunnel/checked"},
    {"outside", "hostPort of node 1",     "node 1", "the client",
         "1 from_wire/not_overlay",
         "1 from_pod/not_pod_network"},
    {"outside", "hostPort of node 2",     "node 1", "(a hostPort is on its pod's node only: refused)", "", ""},
    {"outside", "outside",                "",       "(no node is on the way)", "", ""},
    // externalTrafficPolicy: Local
    {"pod",     "local NodePort of node 1","node 2", "the client",
         "1 from_pod/not_pod_network, 1 from_host/encap, 2 from_wire/decap_to_pod",
         "2 from_pod/encap, 1 from_wire/nated, 1 from_tunnel/checked"},
    {"host",    "local NodePort of node 1","node 2", "node 1's weft.1",
         "1 from_host/encap, 2 from_wire/decap_to_pod",
         "2 from_pod/encap, 1 from_wire/no_pod, 1 from_tunnel/checked"},
    {"outside", "local NodePort of node 2","node 2", "the client",
         "2 from_wire/not_overlay",
         "2 from_pod/not_pod_network"},
    {"outside", "local NodePort of node 1","node 2", "(no pod of the service there: dropped)", "", ""},
};
// clang-format on

std::string_view trim(std::string_view text) {
    while (text.starts_with(' ')) text.remove_prefix(1);
    while (text.ends_with(' ')) text.remove_suffix(1);
    return text;
}

bool is_fast(const Step &step) {
    const auto reason = std::string_view(step.counter).substr(step.counter.find('/') + 1);
    const bool by_host = step.counter.starts_with("from_host/"); // comes from the stack, whatever it does with it
    return !by_host && (reason == "to_pod" || reason == "encap" || reason == "decap_to_pod");
}

} // namespace

std::span<const PacketPath> packet_paths() { return kPaths; }

std::vector<Step> steps_of(std::string_view path) {
    std::vector<Step> steps;
    while (!path.empty()) {
        const auto comma = std::min(path.find(','), path.size());
        const auto step = trim(path.substr(0, comma));
        steps.push_back({step.front(), std::string(step.substr(2))});
        path.remove_prefix(std::min(comma + 1, path.size()));
    }
    return steps;
}

std::string carried_by(std::string_view path) {
    std::string text;
    char node = 0;
    bool node_is_fast = true;
    const auto end_node = [&] {
        if (node) text += fmt::format("{}{}", text.empty() ? "" : ", ", node_is_fast ? "fast" : "stack");
    };
    for (const auto &step : steps_of(path)) {
        if (step.node != node) {
            end_node();
            node = step.node;
            node_is_fast = true;
        }
        node_is_fast = node_is_fast && is_fast(step);
    }
    end_node();
    return text.empty() ? "stack" : text;
}

std::string packet_paths_markdown() {
    const auto way = [](std::string_view path) {
        std::string text = fmt::format("{}:", carried_by(path));
        for (const auto &step : steps_of(path)) text += fmt::format(" {} `{}`", step.node, step.counter);
        if (path.empty()) text += " no program";
        return text;
    };
    std::string text = "| from | to | served by | request | answer | the server sees |\n|---|---|---|---|---|---|\n";
    for (const auto &row : kPaths) {
        const auto *on = row.pod.starts_with("node") ? "pod on " : "";
        const bool none = row.seen.starts_with("(");
        text += fmt::format("| {} | {} | {}{} | {} | {} | {} |\n", row.from, row.to, on,
                            row.pod == "itself" ? "the client itself" : row.pod, none ? "" : way(row.request),
                            none ? "" : way(row.answer), row.seen);
    }
    return text;
}

} // namespace weft::test

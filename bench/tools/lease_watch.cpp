// SPDX-License-Identifier: Apache-2.0
// When nodes' packet paths had a lease, or had it no more.
//
//   lease_watch SUBNET --there|--gone [--seconds S] BPF_DIR...
//
// Says "watching" once it looks, then one JSON object: for each node the moment (CLOCK_MONOTONIC, ns) at which its lease map
// was first seen so, null where it was not so in time. All nodes of the cluster are on this kernel, so that one process sees
// their maps and one clock serves them.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "pinned.hpp"

namespace {

using weft::maps::LeaseMap;
using Clock = std::chrono::steady_clock;

/// Between two looks: little beside what a change takes, and little work for the CPUs that the nodes share.
constexpr auto kPause = std::chrono::microseconds(500);

struct Node {
    LeaseMap leases;
    std::optional<std::int64_t> seen_ns = std::nullopt;
};

weft::Result<std::vector<Node>> open_all(const std::vector<std::string> &bpf_dirs) {
    std::vector<Node> nodes;
    for (const auto &dir : bpf_dirs) {
        auto leases = LeaseMap::open(dir, WEFT_PIN_LEASES);
        if (!leases) return weft::fail_as_is(std::move(leases));
        nodes.push_back({std::move(*leases)});
    }
    return nodes;
}

weft::Status watch(std::vector<Node> &nodes, const weft_lease_key &key, bool there, Clock::duration patience) {
    const auto deadline = Clock::now() + patience;
    std::size_t waiting = nodes.size();
    while (waiting > 0 && Clock::now() < deadline) {
        for (auto &node : nodes) {
            if (node.seen_ns) continue;
            const auto found = node.leases->get(key);
            if (!found) return std::unexpected(found.error());
            if (found->has_value() != there) continue;
            node.seen_ns = std::chrono::nanoseconds(Clock::now().time_since_epoch()).count();
            --waiting;
        }
        std::this_thread::sleep_for(kPause);
    }
    return {};
}

void print(const std::vector<Node> &nodes) {
    std::string seen;
    for (const auto &node : nodes)
        seen += (seen.empty() ? "" : ", ") + (node.seen_ns ? std::to_string(*node.seen_ns) : std::string("null"));
    fmt::print("{{\"seen_ns\": [{}]}}\n", seen);
}

struct Task {
    std::string subnet;
    std::vector<std::string> bpf_dirs;
    bool there = false;
    double seconds = 20;
};

weft::Status run(const Task &task) {
    const auto subnet = weft::parse_net(task.subnet);
    if (!subnet) return std::unexpected(subnet.error());
    auto nodes = open_all(task.bpf_dirs);
    if (!nodes) return weft::fail_as_is(std::move(nodes));
    fmt::print("watching\n");
    std::fflush(stdout);
    const std::chrono::duration<double> patience(task.seconds);
    if (auto done = watch(*nodes, weft::abi::lease_key(*subnet), task.there,
                          std::chrono::duration_cast<Clock::duration>(patience));
        !done)
        return done;
    print(*nodes);
    return {};
}

} // namespace

int main(int argc, char **argv) {
    CLI::App app{"when nodes' packet paths had a lease, or had it no more"};
    Task task;
    app.add_option("subnet", task.subnet, "the lease's, as 10.244.1.0/24")->required();
    app.add_option("bpf_dirs", task.bpf_dirs, "where the nodes' maps are pinned")->required();
    app.add_flag("--there,!--gone", task.there, "what is waited for")->required();
    app.add_option("--seconds", task.seconds, "how long")->capture_default_str();
    CLI11_PARSE(app, argc, argv);
    if (auto done = run(task); !done) {
        fmt::print(stderr, "lease_watch: {}\n", done.error().sentence());
        return 1;
    }
    return 0;
}

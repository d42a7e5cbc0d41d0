// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <cstddef>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "abi.hpp"
#include "base/error.hpp"
#include "ctl/attachments.hpp"
#include "ctl/context.hpp"
#include "ctl/counters.hpp"

namespace weft::ctl {

/// What the pins tell: the packet path, which works with or without its daemon.
struct DatapathSummary {
    std::size_t leases = 0; ///< of other nodes
    std::size_t nodes = 0;  ///< addresses that may send tunnel packets
    std::size_t endpoints = 0;
    abi::PrefixLens prefix_lens; ///< in use among the leases
    VerdictTotals totals;
    std::set<unsigned> pod_ifindexes; ///< of the endpoints' veths
    std::vector<Attachment> attachments;
};

struct NodeStatus {
    std::filesystem::path bpf_dir;
    std::optional<nlohmann::json> daemon;    ///< weftd's own answer; none: it does not run
    std::optional<DatapathSummary> datapath; ///< none: nothing is pinned
};

/// "running" or "not running".
[[nodiscard]] std::string daemon_state(const NodeStatus &status);

/// Name and value a line. weftd's own fields are shown under their own names, nested ones as "lease.subnet".
[[nodiscard]] std::string status_text(const NodeStatus &status);
[[nodiscard]] nlohmann::ordered_json status_json(const NodeStatus &status);

/// `weftctl status`: what to print. A node whose daemon is down is a state, not an error; one that was never set up and
/// has no daemon is an error.
[[nodiscard]] Result<std::string> run_status(const Context &context);

} // namespace weft::ctl

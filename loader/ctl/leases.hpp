// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "abi.hpp"
#include "base/addr.hpp"
#include "base/error.hpp"
#include "ctl/context.hpp"
#include "ctl/links.hpp"

namespace weft::ctl {

/// One other node's lease, as the programs see it.
struct LeaseRow {
    Net subnet;
    Ip node;
    Ip next_hop;
    unsigned ifindex = 0;
    std::string ifname; ///< empty: no such interface in this network namespace
    Mac vtep_mac;
    std::string encap;
    unsigned mtu = 0; ///< longest inner packet, bytes
    weft_lease_stats stats{};
};

/// A lease map's entry and the sum of its statistics.
struct LeaseEntry {
    weft_lease_key key;
    weft_lease lease;
    weft_lease_stats stats;
};

/// Adds up the values of all CPUs.
[[nodiscard]] weft_lease_stats sum(std::span<const weft_lease_stats> per_cpu);

/// Rows in the order of their addresses, each subnet once: a walk through a hash map that changes meanwhile may meet an
/// entry twice.
[[nodiscard]] std::vector<LeaseRow> lease_rows(const std::vector<LeaseEntry> &entries, const Links &links);

[[nodiscard]] std::string leases_table(const std::vector<LeaseRow> &rows);
[[nodiscard]] nlohmann::ordered_json leases_json(const std::vector<LeaseRow> &rows);

/// `weftctl leases`: what to print.
[[nodiscard]] Result<std::string> run_leases(const Context &context);

} // namespace weft::ctl

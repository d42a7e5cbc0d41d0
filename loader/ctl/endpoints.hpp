// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <string>
#include <utility>
#include <vector>

#include "abi.hpp"
#include "base/addr.hpp"
#include "base/error.hpp"
#include "ctl/context.hpp"
#include "ctl/links.hpp"

namespace weft::ctl {

/// One pod of this node, as the programs see it.
struct EndpointRow {
    Ip address;
    unsigned ifindex = 0;
    std::string ifname; ///< host end of the veth; empty: it is gone, and the entry is about to be collected
    Mac pod_mac;
    Mac host_mac;
    bool via_stack = false; ///< never handed over directly
    PodAlias pod;           ///< from the link's alias; empty if that tells nothing
};

using EndpointEntry = std::pair<weft_ip, weft_endpoint>;

/// Rows in the order of their addresses, each address once.
[[nodiscard]] std::vector<EndpointRow> endpoint_rows(const std::vector<EndpointEntry> &entries, const Links &links);

[[nodiscard]] std::string endpoints_table(const std::vector<EndpointRow> &rows);
[[nodiscard]] nlohmann::ordered_json endpoints_json(const std::vector<EndpointRow> &rows);

/// `weftctl endpoints`: what to print.
[[nodiscard]] Result<std::string> run_endpoints(const Context &context);

} // namespace weft::ctl

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "abi.hpp"
#include "base/addr.hpp"
#include "base/error.hpp"
#include "config/subnet_env.hpp"
#include "ctl/attachments.hpp"
#include "ctl/context.hpp"
#include "ctl/endpoints.hpp"
#include "net/link.hpp"

namespace weft::ctl {

/// What more than one check looks at, read once. What could not be read is absent, and its check says so.
struct NodeFacts {
    std::optional<nlohmann::json> daemon; ///< weftd's own account
    std::string daemon_said;              ///< why there is none
    std::filesystem::path run_dir, subnet_file;
    std::optional<SubnetEnv> env;
    std::string env_said;
    std::vector<Net> networks; ///< the pod network in each family that is on, from weftd or subnet.env; IPv4 first
    std::vector<net::Link> links;
    std::optional<net::Link> uplink; ///< weftd's, else that of the default route
    std::optional<net::Link> vtep;   ///< weft.1
    bool pinned = false;             ///< the maps are there
    std::vector<EndpointEntry> endpoints;
    std::vector<std::pair<weft_lease_key, weft_lease>> leases;
    std::vector<Attachment> attachments;
    std::string datapath_said; ///< why maps or attachments could not be read

    /// A field of weftd's status; empty without weftd.
    [[nodiscard]] std::string said(std::string_view pointer) const;
    [[nodiscard]] const net::Link *link(unsigned ifindex) const;
};

/// @param subnet_file where weftd does not say where its own is.
[[nodiscard]] Result<NodeFacts> gather_facts(const Context &context, const std::filesystem::path &subnet_file);

} // namespace weft::ctl

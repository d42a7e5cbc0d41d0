// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>

#include "base/error.hpp"

namespace weft::ctl {

/// A network interface as a person knows it.
struct Link {
    std::string name;
    std::string alias; ///< empty if none
};

using Links = std::unordered_map<unsigned, Link>; ///< by ifindex

/// Every interface of this network namespace, in one dump.
[[nodiscard]] Result<Links> read_links();

/// The name of an interface; empty when there is no such one (any more).
[[nodiscard]] std::string link_name(const Links &links, unsigned ifindex);

/// Whose pod a host-side veth belongs to, as the CNI plugin wrote it into the alias:
/// "weft:<network>:<container id>:<interface in the pod>".
struct PodAlias {
    std::string network;
    std::string container_id;
    std::string ifname;
};

/// All fields empty when the alias is not one of weft's. (CNI allows no ':' in any of the three.)
[[nodiscard]] PodAlias parse_pod_alias(std::string_view alias);

} // namespace weft::ctl

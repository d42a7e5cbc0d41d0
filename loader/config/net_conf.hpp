// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/addr.hpp"
#include "base/error.hpp"

namespace weft {

/// The cluster's configuration: the JSON that flannel keeps at `<etcd-prefix>/config`.
///
/// Contract: parse_net_conf() fills what the document leaves out with flannel's defaults; only validate() says whether
/// the whole makes sense. A field that can have no default (a network too small to divide) stays empty or 0.
struct NetConf {
    bool enable_ipv4 = true;
    bool enable_ipv6 = false;
    bool enable_nftables = false;

    Net4 network;            ///< canonical; 0.0.0.0/0 when absent
    unsigned subnet_len = 0; ///< 0: the network is too small to have a default
    Ip4 subnet_min;          ///< first subnet a node may lease; 0.0.0.0 when there is none
    Ip4 subnet_max;          ///< last subnet a node may lease

    Net6 ipv6_network; ///< canonical; ::/0 when absent
    unsigned ipv6_subnet_len = 0;
    Ip6 ipv6_subnet_min;
    Ip6 ipv6_subnet_max;

    std::string backend_type =
        "udp";              ///< lower case. Absent means "udp", as in flannel; an object without Type means ""
    nlohmann::json backend; ///< the Backend value as it stands; null when absent
};

/// Reads the document as flannel does: keys match without case, unknown keys are ignored, the last of duplicated keys
/// wins, null leaves a plain field at its default. Errors name the key and the value found.
[[nodiscard]] Result<NetConf> parse_net_conf(std::string_view json);

/// Flannel's checks, with flannel's sentences followed by the key and value found. A backend type that flannel does not
/// know is an error too; one that flannel knows and weft does not carry is the caller's to judge.
[[nodiscard]] Status validate(const NetConf &conf);

} // namespace weft

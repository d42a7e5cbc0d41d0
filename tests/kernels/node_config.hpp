// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "datapath/datapath.hpp"

namespace weft::kernels {

/// A node of both families that takes every encapsulation: nothing of the programs is left out.
inline DatapathConfig node_config() {
    DatapathConfig config;
    config.networks = {*parse_net("10.244.0.0/16"), *parse_net("fd00:244::/48")};
    config.subnets = {*parse_net("10.244.1.0/24"), *parse_net("fd00:244:0:1::/64")};
    config.nodes = {*parse_ip("192.0.2.1"), *parse_ip("2001:db8::1")};
    config.encaps = 0xff;
    return config;
}

} // namespace weft::kernels

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "families.hpp"
#include "netns.hpp"
#include "traffic.hpp"

namespace weft::test {

/// A pod: a namespace with an address of each of the pod network's families, and a traffic server.
struct Pod {
    Netns ns;
    std::string container_id;
    std::string address; ///< "10.244.1.2"; empty in a pod of IPv6 alone
    std::optional<Process> server;
    std::string address6 = {}; ///< "fd00:244:0:1::2", if it has one

    [[nodiscard]] const std::string &at(Family family) const { return family == Family::v4 ? address : address6; }
};

} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "netns.hpp"
#include "traffic.hpp"

namespace weft::test {

/// A pod: a namespace with an address in the pod network and a traffic server.
struct Pod {
    Netns ns;
    std::string container_id;
    std::string address; ///< "10.244.1.2"
    std::optional<Process> server;
};

} // namespace weft::test

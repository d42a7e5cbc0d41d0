// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "config/net_conf.hpp"
#include "lease/lease.hpp"

namespace weft {

/// Flannel's way to choose a node's subnet, as pure functions over what a list of etcd gave.

/// A lease as listed, in etcd's key order.
struct ListedLease {
    Subnet subnet;
    LeaseAttrs attrs;         ///< nobody's where the value cannot be read
    bool reservation = false; ///< its key hangs on no etcd lease: an operator put it there to stay
};

/// A number in [0, n), n > 0. Injected so that tests choose.
using Pick = std::function<std::size_t(std::size_t n)>;
[[nodiscard]] Pick uniform_pick();

/// Who asks, and for what beyond the lists' own answer.
struct Wish {
    LeaseAttrs self;
    std::optional<Subnet> hold;     ///< pods live there: these parts and no others
    std::optional<Subnet> previous; ///< of an earlier run: each part that fits and is free
    bool has_pods = false; ///< in `previous`: better no lease for now than another subnet, if somebody else has that
};

/// What to write to have a lease, in one transaction.
struct Plan {
    Subnet subnet;               ///< its key is ours already, or free and no part of it anybody else's
    bool reservation = false;    ///< it replaces a reservation and stays one
    std::vector<Subnet> give_up; ///< keys of ours to be deleted: outdated, or in the way
    std::string remark;          ///< why it has no IPv6 part, with the nodes' names; "" if it lacks nothing
};

/// Plans the lease of a node. Each part that the configuration asks for comes from where the node's pods live, else from a
/// lease that names the node (a reservation before others, then that of `previous`), else from `previous`, else it is chosen
/// at random among the first 100 free ones from the minimum on (so that two nodes that start together seldom ask for the same
/// one, and the range still fills from below). So a node keeps its IPv4 subnet when the cluster gets IPv6, and the other way
/// round.
///
/// No IPv6 part while nodes with IPv4-only flannels are there, unless we have published ours before (README.md).
/// A reservation is given up only for a subnet that includes it.
///
/// Errors: ENOSPC "out of subnets", with the range; EADDRINUSE another node has what we hold, with its name.
[[nodiscard]] Result<Plan> plan_lease(std::span<const ListedLease> leases, const NetConf &conf, const Wish &wish,
                                      const Pick &pick);

} // namespace weft

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <span>
#include <variant>

#include "base/error.hpp"
#include "config/net_conf.hpp"
#include "lease/lease.hpp"

namespace weft {

/// Flannel's way to choose a node's subnet, as pure functions over what a list of etcd gave.

/// A lease as listed, in etcd's key order.
struct ListedLease {
    Subnet subnet;
    Ip4 public_ip;
    bool reservation = false; ///< its key hangs on no etcd lease: an operator put it there to stay
};

/// A number in [0, n), n > 0. Injected so that tests choose.
using Pick = std::function<std::size_t(std::size_t n)>;
[[nodiscard]] Pick uniform_pick();

/// What to do next to get a lease.
struct Take {
    Subnet subnet;
}; ///< the key is there and ours: update its value
struct Create {
    Subnet subnet;
}; ///< nobody holds it: create the key
struct Delete {
    Subnet subnet;
}; ///< ours, but of another configuration: delete the key, list again
using Step = std::variant<Take, Create, Delete>;

/// Whether a subnet is one that the configuration gives out: lengths equal, inside [SubnetMin, SubnetMax], an IPv6 part
/// exactly when IPv6 is on.
[[nodiscard]] bool compatible(const Subnet &subnet, const NetConf &conf);

/// A free subnet, at random among the first 100 from SubnetMin on (so that two nodes that start together seldom ask for
/// the same one, and the range still fills from below). IPv4 and IPv6 parts are chosen independently.
/// "out of subnets" is an error with code ENOSPC that names the range.
[[nodiscard]] Result<Subnet> pick_free(std::span<const ListedLease> leases, const NetConf &conf, const Pick &pick);

/// The next step for a node that has no lease: the lease that names its PublicIP (a reservation before others), else
/// `previous` if it fits the configuration and overlaps nobody's, else a free one. A lease of ours that does not fit is
/// deleted; a reservation that does not fit is left to the operator who made it.
[[nodiscard]] Result<Step> next_step(std::span<const ListedLease> leases, const NetConf &conf, const Ip4 &public_ip,
                                     const std::optional<Subnet> &previous, const Pick &pick);

/// The next step for a node whose pods live in `subnet` already: that one or nothing. An error with code EADDRINUSE
/// names who has it.
[[nodiscard]] Result<Step> step_back_to(const Subnet &subnet, std::span<const ListedLease> leases,
                                        const Ip4 &public_ip);

} // namespace weft

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/addr.hpp"
#include "cni/failure.hpp"
#include "cni/netconf.hpp"
#include "cni/result.hpp"
#include "config/subnet_env.hpp"
#include "net/link.hpp"
#include "net/route.hpp"

namespace weft::cni {

/// One address of a pod and the router it is to use.
struct PodAddress {
    Ip address;
    Ip gateway; ///< of the same family

    bool operator==(const PodAddress &) const = default;
};

/// Everything that an attachment consists of in the kernel: what ADD makes and CHECK looks for.
struct Wiring {
    std::string host_ifname;
    std::string alias;
    std::string ifname;
    Mac host_mac;
    Mac pod_mac;
    unsigned mtu = 0;
    std::vector<PodAddress> addresses;
    std::vector<RouteConfig> routes; ///< in the pod, each with its gateway; what ADD reports
};

/// The host's route to a pod's address.
[[nodiscard]] net::Route host_route(const Ip &address, int host_ifindex);

/// The routes to the gateways, which make everything else reachable: the pod's own addresses are prefixes of one.
[[nodiscard]] std::vector<net::Route> gateway_routes(const Wiring &wiring, int pod_ifindex);

/// A reported route as the kernel takes it.
[[nodiscard]] net::Route pod_route(const RouteConfig &route, int pod_ifindex);

/// The addresses of an IPAM result; a missing gateway is the node's.
/// Errors: kInvalidConfig for an address of a family of which there is no gateway.
[[nodiscard]] Outcome<std::vector<PodAddress>> pod_addresses(const CniResult &ipam, const SubnetEnv &env);

/// The routes of the pod: IPAM's, and for each family of its addresses the default route through weft. Where the pod has a
/// default route already, through another interface, the cluster network's instead, unless that is taken too.
/// @param present routes of the pod before. @param remark gets a line if a default route was left alone.
[[nodiscard]] std::vector<RouteConfig> pod_routes(const CniResult &ipam, const SubnetEnv &env,
                                                  const std::vector<PodAddress> &addresses,
                                                  const std::vector<net::Route> &present, std::string &remark);

} // namespace weft::cni

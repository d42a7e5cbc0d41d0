// SPDX-License-Identifier: Apache-2.0
#include "cni/wiring.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace weft::cni {
namespace {

Net everything(bool v4) { return v4 ? Net(Net4(Ip4(), 0)) : Net(Net6(Ip6(), 0)); }

bool has_route_to(const std::vector<net::Route> &routes, const Net &destination) {
    return std::ranges::find(routes, destination, &net::Route::destination) != routes.end();
}

bool reports(const std::vector<RouteConfig> &routes, const Net &destination) {
    return std::ranges::find(routes, destination, &RouteConfig::destination) != routes.end();
}

/// The gateway of the pod's first address of that family.
std::optional<Ip> gateway_of(const std::vector<PodAddress> &addresses, bool v4) {
    const auto found = std::ranges::find(addresses, v4, [](const PodAddress &pod) { return pod.address.is_v4(); });
    if (found == addresses.end()) return std::nullopt;
    return found->gateway;
}

/// The node's gateway of that family.
std::optional<Ip> gateway_of(const SubnetEnv &env, bool v4) {
    for (const Net &subnet : env.subnets())
        if (subnet.is_v4() == v4) return subnet.address();
    return std::nullopt;
}

/// The way out through weft, or to the cluster alone where the pod has another way out.
void add_default_route(const Ip &gateway, const SubnetEnv &env, const std::vector<net::Route> &present,
                       std::vector<RouteConfig> &routes, std::string &remark) {
    const bool v4 = gateway.is_v4();
    const Net all = everything(v4);
    if (reports(routes, all)) return;
    if (!has_route_to(present, all)) {
        routes.push_back({.destination = all, .gateway = gateway});
        return;
    }
    remark += fmt::format("{}the pod has an IPv{} default route already: left as it is", remark.empty() ? "" : "; ",
                          v4 ? 4 : 6);
    for (const Net &network : env.networks())
        if (network.is_v4() == v4 && !has_route_to(present, network) && !reports(routes, network))
            routes.push_back({.destination = network, .gateway = gateway});
}

} // namespace

net::Route host_route(const Ip &address, int host_ifindex) {
    return {.destination = host_net(address), .ifindex = host_ifindex, .scope = RT_SCOPE_LINK};
}

std::vector<net::Route> gateway_routes(const Wiring &wiring, int pod_ifindex) {
    std::vector<net::Route> routes;
    for (const PodAddress &pod : wiring.addresses) {
        net::Route route{.destination = host_net(pod.gateway),
                         .ifindex = pod_ifindex,
                         .scope = RT_SCOPE_LINK,
                         .protocol = RTPROT_BOOT};
        if (std::ranges::find(routes, route) == routes.end()) routes.push_back(std::move(route));
    }
    return routes;
}

net::Route pod_route(const RouteConfig &route, int pod_ifindex) {
    // Any gateway is behind this link, whatever its address: the host end takes what is sent to the gateway's MAC.
    net::Route out{.destination = route.destination,
                   .ifindex = pod_ifindex,
                   .scope = route.scope.value_or(RT_SCOPE_UNIVERSE),
                   .protocol = RTPROT_BOOT,
                   .metric = route.priority,
                   .table = route.table.value_or(RT_TABLE_MAIN),
                   .mtu = route.mtu,
                   .advmss = route.advmss};
    if (route.gateway && route.gateway->is_v4() == route.destination.is_v4() && out.scope == RT_SCOPE_UNIVERSE) {
        out.gateway = route.gateway;
        out.onlink = true;
    }
    return out;
}

Outcome<std::vector<PodAddress>> pod_addresses(const CniResult &ipam, const SubnetEnv &env) {
    std::vector<PodAddress> addresses;
    for (const IpConfig &ip : ipam.ips) {
        const auto gateway = ip.gateway ? ip.gateway : gateway_of(env, ip.address.is_v4());
        if (!gateway || gateway->is_v4() != ip.address.is_v4())
            return refuse(
                kInvalidConfig,
                fmt::format("IPAM gave {}: no gateway of its family, neither from IPAM nor from this node's subnet",
                            ip.address.to_string()));
        addresses.push_back({.address = ip.address.address(), .gateway = *gateway});
    }
    return addresses;
}

std::vector<RouteConfig> pod_routes(const CniResult &ipam, const SubnetEnv &env,
                                    const std::vector<PodAddress> &addresses, const std::vector<net::Route> &present,
                                    std::string &remark) {
    std::vector<RouteConfig> routes;
    for (RouteConfig route : ipam.routes) {
        const auto gateway = gateway_of(addresses, route.destination.is_v4());
        if (!gateway) continue;
        if (!route.gateway && route.scope.value_or(RT_SCOPE_UNIVERSE) == RT_SCOPE_UNIVERSE) route.gateway = gateway;
        routes.push_back(std::move(route));
    }
    for (const bool v4 : {true, false})
        if (const auto gateway = gateway_of(addresses, v4)) add_default_route(*gateway, env, present, routes, remark);
    return routes;
}

} // namespace weft::cni

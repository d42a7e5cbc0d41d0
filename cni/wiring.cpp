// SPDX-License-Identifier: Apache-2.0
#include "cni/wiring.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace weft::cni {
namespace {

Net4 everything() { return {Ip4(), 0}; }

bool has_route_to(const std::vector<net::Route> &routes, const Net4 &destination) {
    return std::ranges::any_of(routes, [&](const net::Route &route) { return route.destination == destination; });
}

bool reports(const std::vector<RouteConfig> &routes, const Net4 &destination) {
    return std::ranges::any_of(routes,
                               [&](const RouteConfig &route) { return route.destination == prefix_of(destination); });
}

} // namespace

net::Route host_route(const Ip4 &address, int host_ifindex) {
    return {.destination = Net4(address, 32), .ifindex = host_ifindex, .scope = RT_SCOPE_LINK};
}

std::vector<net::Route> gateway_routes(const Wiring &wiring, int pod_ifindex) {
    std::vector<net::Route> routes;
    for (const PodAddress &pod : wiring.addresses) {
        net::Route route{.destination = Net4(pod.gateway, 32),
                         .ifindex = pod_ifindex,
                         .scope = RT_SCOPE_LINK,
                         .protocol = RTPROT_BOOT};
        if (std::ranges::find(routes, route) == routes.end()) routes.push_back(std::move(route));
    }
    return routes;
}

net::Route pod_route(const RouteConfig &route, int pod_ifindex) {
    // Any gateway is behind this link, whatever its address: the host end takes what is sent to the gateway's MAC.
    net::Route out{.destination =
                       Net4(route.destination.address.to_v4(), static_cast<unsigned short>(route.destination.length)),
                   .ifindex = pod_ifindex,
                   .scope = route.scope.value_or(RT_SCOPE_UNIVERSE),
                   .protocol = RTPROT_BOOT,
                   .metric = route.priority,
                   .table = route.table.value_or(RT_TABLE_MAIN),
                   .mtu = route.mtu,
                   .advmss = route.advmss};
    if (route.gateway && route.gateway->is_v4() && out.scope == RT_SCOPE_UNIVERSE) {
        out.gateway = route.gateway->to_v4();
        out.onlink = true;
    }
    return out;
}

Outcome<std::vector<PodAddress>> pod_addresses(const CniResult &ipam, const SubnetEnv &env) {
    std::vector<PodAddress> addresses;
    for (const IpConfig &ip : ipam.ips) {
        if (!ip.address.address.is_v4() || (ip.gateway && !ip.gateway->is_v4()))
            return refuse(kInvalidConfig, fmt::format("IPAM gave {}: weft carries IPv4 only", ip.address.to_string()));
        addresses.push_back({.address = ip.address.address.to_v4(),
                             .gateway = ip.gateway ? ip.gateway->to_v4() : env.subnet->address()});
    }
    return addresses;
}

std::vector<RouteConfig> pod_routes(const CniResult &ipam, const SubnetEnv &env, const Ip4 &gateway,
                                    const std::vector<net::Route> &present, std::string &remark) {
    std::vector<RouteConfig> routes;
    for (RouteConfig route : ipam.routes) {
        if (!route.destination.address.is_v4()) continue;
        if (!route.gateway && route.scope.value_or(RT_SCOPE_UNIVERSE) == RT_SCOPE_UNIVERSE) route.gateway = gateway;
        routes.push_back(std::move(route));
    }
    if (reports(routes, everything())) return routes;
    if (!has_route_to(present, everything())) {
        routes.push_back({.destination = prefix_of(everything()), .gateway = IpAddress(gateway)});
        return routes;
    }
    remark = "the pod has a default route already: left as it is";
    const Net4 network = env.network->canonical();
    if (!has_route_to(present, network) && !reports(routes, network))
        routes.push_back({.destination = prefix_of(network), .gateway = IpAddress(gateway)});
    return routes;
}

} // namespace weft::cni

// SPDX-License-Identifier: Apache-2.0
#include "daemon/takeover.hpp"

#include <map>

namespace weft {

HostState before_swap(HostState desired) {
    if (desired.vtep) desired.vtep->up = false;
    desired.neighbours.clear();
    std::map<std::string, net::Route> routes;
    for (const auto &[key, route] : desired.routes) {
        const bool by_vtep = route.type == net::RouteType::unicast;
        const net::Route waiting = by_vtep ? net::Route{.destination = route.destination,
                                                        .type = net::RouteType::blackhole,
                                                        .metric = kUnreachableMetric}
                                           : route;
        routes.emplace(route_key(waiting), waiting);
    }
    desired.routes = std::move(routes);
    return desired;
}

TakePlace swap_with(const FlannelLeft &left, const HostState &desired) {
    TakePlace swap{.old = left.on_port, .device = *desired.vtep, .neighbours = desired.neighbours, .routes = {}};
    for (const auto &[key, route] : desired.routes)
        if (route.type == net::RouteType::unicast) swap.routes.push_back(route);
    return swap;
}

std::vector<Action> leavings_of_flannel(const FlannelLeft &left, const Leases &leases) {
    std::vector<Action> plan;
    for (const auto &device : left.devices) plan.push_back(RemoveLink{device});
    for (const auto &route : left.routes)
        if (!leases.with_part(route.destination).empty()) plan.push_back(RemoveOthersRoute{route});
    if (!left.rules.empty()) plan.push_back(RemoveFlannelRules{});
    return plan;
}

} // namespace weft

// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods.hpp"

#include <map>
#include <set>

namespace weft {

std::vector<PodState> pod_states(const std::vector<std::pair<weft_ip, weft_endpoint>> &entries,
                                 const std::vector<net::Qdisc> &qdiscs, const std::vector<net::Neighbour> &neighbours,
                                 const std::vector<net::Link> &links, const std::vector<net::Route> &routes) {
    std::set<int> shaped;
    for (const auto &qdisc : qdiscs)
        if (net::shapes(qdisc.kind)) shaped.insert(qdisc.ifindex);
    std::map<std::pair<int, Ip>, Mac> macs;
    for (const auto &found : neighbours)
        if (found.mac && net::is_valid(found)) macs[{found.ifindex, found.address}] = *found.mac;
    std::set<int> up;
    for (const auto &link : links)
        if (link.up()) up.insert(link.index);
    std::set<std::pair<int, Net>> routed;
    for (const auto &route : routes)
        if (route.type == net::RouteType::unicast) routed.emplace(route.ifindex, route.destination);
    std::vector<PodState> pods;
    for (const auto &[key, endpoint] : entries) {
        PodState pod{.address = abi::ip(key), .endpoint = endpoint, .mac_seen = {}};
        const int ifindex = static_cast<int>(endpoint.ifindex);
        pod.shaped = shaped.contains(ifindex);
        if (const auto mac = macs.find({ifindex, Ip(pod.address)}); mac != macs.end()) pod.mac_seen = mac->second;
        pod.cut_off = up.contains(ifindex) && !routed.contains({ifindex, host_net(pod.address)});
        pods.push_back(pod);
    }
    return pods;
}

std::vector<Action> plan_pods(const std::vector<PodState> &pods, const Subnet &own) {
    std::vector<Action> plan;
    for (const auto &pod : pods) {
        weft_endpoint wanted = pod.endpoint;
        // A flag of its own beside the plugin's: that one holds also before the qdisc is there.
        wanted.flags &= ~static_cast<__u32>(WEFT_EP_SHAPED);
        if (pod.shaped) wanted.flags |= WEFT_EP_SHAPED;
        if (pod.mac_seen) wanted.pod_mac = abi::mac(*pod.mac_seen);
        if (wanted.flags != pod.endpoint.flags || abi::mac(wanted.pod_mac) != abi::mac(pod.endpoint.pod_mac))
            plan.push_back(PutEndpoint{pod.address, wanted});
        if (!pod.cut_off) continue;
        net::Route route{.destination = host_net(pod.address),
                         .ifindex = static_cast<int>(pod.endpoint.ifindex),
                         .scope = RT_SCOPE_LINK};
        for (const auto &subnet : own.nets())
            if (contains(subnet, pod.address)) route.source = subnet.canonical().address() + 1;
        plan.push_back(RoutePod{route});
    }
    return plan;
}

} // namespace weft

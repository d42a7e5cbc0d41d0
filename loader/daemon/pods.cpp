// SPDX-License-Identifier: Apache-2.0
#include "daemon/pods.hpp"

#include <algorithm>
#include <cstring>
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

namespace {

/// As the plugin names and marks it.
bool is_host_end(const net::Link &link) {
    return link.paired() && link.name.starts_with("weft") && link.alias.starts_with("weft:");
}

} // namespace

void mark_gone(std::vector<PodState> &pods, const std::vector<net::Link> &links) {
    std::set<int> there;
    for (const auto &link : links)
        // An alias comes after the veth, and an index may be another device's by now.
        if (link.paired() && link.name.starts_with("weft")) there.insert(link.index);
    for (auto &pod : pods) pod.gone = !there.contains(static_cast<int>(pod.endpoint.ifindex));
}

std::vector<UnlistedPod> unlisted_pods(const std::vector<PodState> &listed, const std::vector<net::Link> &links,
                                       const std::vector<net::Route> &routes) {
    std::set<Ip> known;
    for (const auto &pod : listed)
        if (!pod.gone) known.insert(pod.address);
    std::map<int, const net::Link *> veths;
    for (const auto &link : links)
        if (is_host_end(link)) veths.emplace(link.index, &link);
    std::vector<UnlistedPod> unlisted;
    for (const auto &route : routes) {
        const Ip address = route.destination.address();
        const auto veth = veths.find(route.ifindex);
        if (veth != veths.end() && route.destination == host_net(address) && !known.contains(address))
            unlisted.push_back({address, *veth->second});
    }
    return unlisted;
}

std::vector<Action> plan_allowed(const AllowedState &state) {
    const auto is_listed = [&](const weft_allowed_key &key) {
        return std::ranges::any_of(state.listed,
                                   [&](const auto &other) { return std::memcmp(&key, &other, sizeof key) == 0; });
    };
    std::vector<Action> plan;
    for (const auto &key : state.told)
        if (!is_listed(key)) plan.push_back(AllowSource{key});
    for (const auto &key : state.listed)
        if (!state.veths.contains(static_cast<int>(key.ifindex))) plan.push_back(DisallowSource{key});
    return plan;
}

std::vector<Action> plan_pods(const std::vector<PodState> &pods, const Subnet &own) {
    std::vector<Action> plan;
    for (const auto &pod : pods)
        if (pod.gone) plan.push_back(UnlistPod{pod.address, static_cast<int>(pod.endpoint.ifindex)});
    for (const auto &pod : pods) {
        if (pod.gone) continue;
        weft_endpoint wanted = pod.endpoint;
        // A flag of its own beside the plugin's: that one holds also before the qdisc is there.
        wanted.flags &= ~static_cast<__u32>(WEFT_EP_SHAPED);
        if (pod.shaped) wanted.flags |= WEFT_EP_SHAPED;
        // The programs follow a pod that changes its MAC, sooner than the neighbour table does.
        if (!pod.listed && pod.mac_seen) wanted.pod_mac = abi::mac(*pod.mac_seen);
        if (!pod.listed)
            plan.push_back(ListPod{pod.address, wanted});
        else if (wanted.flags != pod.endpoint.flags)
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

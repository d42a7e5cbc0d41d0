// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>
#include <linux/neighbour.h>

#include <algorithm>

#include "cni/endpoints.hpp"
#include "cni/identity.hpp"
#include "cni/ipam.hpp"
#include "cni/ops.hpp"
#include "cni/pod_netns.hpp"
#include "cni/wiring.hpp"
#include "datapath/tc_attach.hpp"
#include "net/addr.hpp"
#include "net/neigh.hpp"
#include "net/netns.hpp"

namespace weft::cni {
namespace {

std::unexpected<Failure> wrong(std::string what) { return refuse(kCheckFailed, std::move(what)); }
template <class T> std::unexpected<Failure> unreadable(Result<T> &&failed) {
    return refuse(kCheckFailed, std::move(failed));
}

/// What prevResult says of this attachment; what other plugins of the list added to it is theirs to check.
struct Recorded {
    Interface host;
    Interface pod;
    std::vector<PodAddress> addresses;
    std::vector<RouteConfig> routes;
};

Outcome<Recorded> recorded(const Context &context) {
    const CniResult &prev = *context.conf.prev_result;
    Recorded out;
    const auto host_name = host_ifname(context.attachment());
    for (const Interface &interface : prev.interfaces) {
        if (interface.name == host_name && interface.sandbox.empty()) out.host = interface;
        if (interface.name == context.call.ifname && !interface.sandbox.empty()) out.pod = interface;
    }
    if (out.host.name.empty() || out.pod.name.empty())
        return wrong(fmt::format("prevResult: has no interfaces {} and {}", host_name, context.call.ifname));
    for (const IpConfig &ip : prev.ips) {
        if (!is_of(prev, ip, context.call.ifname) || !ip.gateway) continue;
        out.addresses.push_back({.address = ip.address.address(), .gateway = *ip.gateway});
    }
    if (out.addresses.empty()) return wrong(fmt::format("prevResult: has no address of {}", context.call.ifname));
    for (const RouteConfig &route : prev.routes) {
        const bool through_us =
            std::ranges::any_of(out.addresses, [&](const PodAddress &pod) { return route.gateway == pod.gateway; });
        if (through_us) out.routes.push_back(route);
    }
    return out;
}

Outcome<net::Link> check_link(net::NlSocket &sock, const Interface &expected) {
    auto link = net::find_link(sock, expected.name);
    if (!link) return unreadable(std::move(link));
    if (!*link) return wrong(fmt::format("interface {} is gone", expected.name));
    if (!(*link)->paired()) return wrong(fmt::format("interface {} is neither veth nor netkit", expected.name));
    if (!(*link)->up()) return wrong(fmt::format("interface {} is down", expected.name));
    if (!expected.mac.empty() && (*link)->mac.to_string() != expected.mac)
        return wrong(fmt::format("interface {} has MAC {} instead of {}", expected.name, (*link)->mac.to_string(),
                                 expected.mac));
    return std::move(**link);
}

Done check_address(net::NlSocket &sock, const net::Link &link, const Ip &expected) {
    auto addresses = net::list_addresses(sock, link.index);
    if (!addresses) return unreadable(std::move(addresses));
    const Net address = host_net(expected);
    if (std::ranges::find(*addresses, address, &net::LinkAddress::address) != addresses->end()) return {};
    return wrong(fmt::format("address {} is gone from {}", address.to_string(), link.name));
}

Done check_routes(net::NlSocket &sock, const std::vector<net::Route> &expected) {
    auto present = net::list_routes(sock, {});
    if (!present) return unreadable(std::move(present));
    for (const net::Route &want : expected) {
        // Metrics may have been tuned by a later plugin; destination, gateway and link are what carries the packets.
        const bool found = std::ranges::any_of(*present, [&](const net::Route &have) {
            return have.destination == want.destination && have.gateway == want.gateway && have.ifindex == want.ifindex;
        });
        if (!found && want.table == RT_TABLE_MAIN) return wrong("route is gone: " + net::to_string(want));
    }
    return {};
}

Done check_neighbour(net::NlSocket &sock, int ifindex, const Ip &address, const Mac &mac) {
    auto neighbours = net::list_neighbours(sock, ifindex);
    if (!neighbours) return unreadable(std::move(neighbours));
    // None, or one that is being looked for, is no fault: it will be found.
    for (const net::Neighbour &found : *neighbours)
        if (found.address == address && net::is_valid(found) && found.mac != mac)
            return wrong(fmt::format("neighbour {} on link {} has a MAC that is not {}", address.to_string(), ifindex,
                                     mac.to_string()));
    return {};
}

Done check_pod(const Recorded &have, net::NlSocket &pod, const net::Link &inside, const net::Link &outside) {
    std::vector<net::Route> routes;
    for (const PodAddress &want : have.addresses) {
        if (auto there = check_address(pod, inside, want.address); !there) return there;
        if (auto known = check_neighbour(pod, inside.index, want.gateway, outside.mac); !known) return known;
    }
    const Wiring wiring{.addresses = have.addresses};
    routes = gateway_routes(wiring, inside.index);
    for (const RouteConfig &route : have.routes) routes.push_back(pod_route(route, inside.index));
    return check_routes(pod, routes);
}

Done check_host(const Context &context, const Recorded &have, net::NlSocket &host, const net::Link &outside,
                const net::Link &inside) {
    std::vector<net::Route> routes;
    for (const PodAddress &pod : have.addresses) {
        routes.push_back(host_route(pod.address, outside.index));
        if (auto known = check_neighbour(host, outside.index, pod.address, inside.mac); !known) return known;
    }
    if (auto routed = check_routes(host, routes); !routed) return routed;
    // A host end that was down has lost it, and the answers for the gateway with it.
    if (std::ranges::any_of(have.addresses, [](const PodAddress &pod) { return pod.address.is_v6(); }))
        if (auto there = check_address(host, outside, link_local(outside.mac)); !there) return there;

    auto attached = datapath::attached_tc(outside.index, datapath::TcHook::ingress);
    if (!attached) return unreadable(std::move(attached));
    if (!*attached) return wrong(fmt::format("the program is gone from {}", outside.name));

    auto endpoints = Endpoints::open(context.conf.bpf_dir);
    if (!endpoints) return unreadable(std::move(endpoints));
    for (const PodAddress &pod : have.addresses) {
        auto entry = endpoints->find(pod.address);
        if (!entry) return unreadable(std::move(entry));
        const bool same = *entry && static_cast<int>((*entry)->ifindex) == outside.index &&
                          abi::mac((*entry)->pod_mac) == inside.mac && abi::mac((*entry)->host_mac) == outside.mac;
        if (!same) return wrong(fmt::format("endpoint {} does not lead to {}", pod.address.to_string(), outside.name));
    }
    if (!endpoints->allows(outside.index, context.conf.allowed_sources, context.conf.any_source))
        return wrong(fmt::format("other sources than were asked for are allowed to {}", outside.name));
    return {};
}

} // namespace

Done check(const Context &context) {
    if (!context.conf.prev_result) return refuse(kInvalidConfig, "prevResult: missing, CHECK compares with it");
    auto netns = open_pod_netns(context);
    if (!netns) return pass_on(std::move(netns));
    auto have = recorded(context);
    if (!have) return pass_on(std::move(have));
    auto host = net::NlSocket::open();
    if (!host) return unreadable(std::move(host));
    auto pod = netns->open_socket();
    if (!pod) return unreadable(std::move(pod));

    auto outside = check_link(*host, have->host);
    if (!outside) return pass_on(std::move(outside));
    if (!is_host_end_of(*outside, context.conf.name, context.attachment()) || outside->alias.empty())
        return wrong(fmt::format("interface {} is of another attachment: \"{}\"", outside->name, outside->alias));
    auto inside = check_link(*pod, have->pod);
    if (!inside) return pass_on(std::move(inside));
    if (outside->link != inside->index) return wrong(fmt::format("{} and {} are no pair", outside->name, inside->name));
    if (auto done = check_pod(*have, *pod, *inside, *outside); !done) return done;
    if (auto done = check_host(context, *have, *host, *outside, *inside); !done) return done;
    return make_ipam(context)->check();
}

} // namespace weft::cni

// SPDX-License-Identifier: Apache-2.0
#include "daemon/diff.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <iterator>

namespace weft {
namespace {

template <class... F> struct Overloaded : F... {
    using F::operator()...;
};

/// Map values have no padding (maps/abi.hpp proves it), so equal values are equal bytes.
template <class T> bool same(const T &a, const T &b) { return std::memcmp(&a, &b, sizeof(T)) == 0; }

std::string text(const weft_lease &lease) {
    return fmt::format("node={} next_hop={} ifindex={} mac={} mtu={} encap={} slot={}", abi::ip(lease.node).to_string(),
                       abi::ip(lease.next_hop).to_string(), lease.ifindex, abi::mac(lease.vtep_mac).to_string(),
                       static_cast<unsigned>(lease.mtu), abi::encap_label(lease.encap), lease.stats_index);
}

std::string text(const weft_endpoint &endpoint) {
    return fmt::format("mac={} shaped={}", abi::mac(endpoint.pod_mac).to_string(),
                       (endpoint.flags & WEFT_EP_SHAPED) != 0);
}

std::string text(const weft_allowed_key &key) {
    const auto addr = abi::ip(key.addr);
    const auto length = key.prefix_len - WEFT_ALLOWED_ANY;
    return fmt::format("allowed source {} of link {}",
                       length == 0 ? "any" : fmt::format("{}/{}", addr.to_string(), length - (addr.is_v4() ? 96 : 0)),
                       key.ifindex);
}

std::string text(const net::VxlanDevice &device) {
    return fmt::format("port={} mac={} mtu={}", device.port, device.mac.to_string(), device.mtu);
}

abi::PrefixLens union_of(const abi::PrefixLens &a, const abi::PrefixLens &b) {
    abi::PrefixLens both;
    for (std::size_t family = 0; family < both.of.size(); ++family)
        std::ranges::set_union(a.of[family], b.of[family], std::back_inserter(both.of[family]), std::greater<>());
    return both;
}

std::string text(const abi::PrefixLens &lens) {
    return fmt::format("{};{}", fmt::join(lens.of[WEFT_IPV4], ","), fmt::join(lens.of[WEFT_IPV6], ","));
}

std::vector<SetSysctl> settings_of_vtep(const HostState &desired) {
    std::vector<SetSysctl> settings;
    for (const auto &[path, value] : desired.sysctls)
        if (path.contains(fmt::format("/{}/", kVtepName))) settings.push_back({path, *value});
    return settings;
}

} // namespace

std::string item_of(const Action &action) {
    return std::visit(Overloaded{
                          [](const SetSysctl &a) { return "sysctl " + a.path; },
                          [](const ReplaceVtep &a) { return "device " + a.device.name; },
                          [](const ChangeVtep &a) { return "device " + a.device.name; },
                          [](const AddAddress &a) { return "address " + a.address.to_string(); },
                          [](const RemoveAddress &a) { return "address " + a.address.to_string(); },
                          [](const SetNeighbour &a) { return "neighbour " + a.address.to_string(); },
                          [](const AddRoute &a) { return "route " + net::to_string(a.route); },
                          [](const RemoveRoute &a) { return "route " + net::to_string(a.route); },
                          [](const SetPrefixLens &) { return std::string("prefix lengths"); },
                          [](const PutNode &a) { return "node " + a.address.to_string(); },
                          [](const RemoveNode &a) { return "node " + a.address.to_string(); },
                          [](const PutLease &a) { return "lease " + a.subnet.to_string(); },
                          [](const RemoveLease &a) { return "lease " + a.subnet.to_string(); },
                          [](const PutEndpoint &a) { return "pod " + a.address.to_string(); },
                          [](const ListPod &a) { return "pod " + a.address.to_string(); },
                          [](const UnlistPod &a) { return "pod " + a.address.to_string(); },
                          [](const AllowSource &a) { return text(a.key); },
                          [](const DisallowSource &a) { return text(a.key); },
                          [](const RoutePod &a) { return "route " + net::to_string(a.route); },
                          [](const TakePlace &a) { return "device " + a.device.name; },
                          [](const RemoveLink &a) { return "device " + a.link.name; },
                          [](const RemoveOthersRoute &a) { return "flannel's route " + net::to_string(a.route); },
                          [](const RemoveFlannelRules &) { return std::string("flannel's firewall rules"); },
                      },
                      action);
}

std::string deed_of(const Action &action) {
    return std::visit(
        Overloaded{
            [](const SetSysctl &a) { return "set value=" + a.value; },
            [](const ReplaceVtep &a) { return "made " + text(a.device); },
            [](const ChangeVtep &a) { return "set " + text(a.device); },
            [](const SetNeighbour &a) { return "set mac=" + a.mac.to_string(); },
            [](const SetPrefixLens &a) { return "set lengths=" + text(a.lens); },
            [](const PutNode &a) { return fmt::format("set leases={}", a.node.leases); },
            [](const PutLease &a) { return "set " + text(a.lease); },
            [](const PutEndpoint &a) { return "set " + text(a.endpoint); },
            [](const ListPod &a) { return "found without an entry: set " + text(a.endpoint); },
            [](const UnlistPod &) { return std::string("its interface is gone: entry removed"); },
            [](const TakePlace &a) { return fmt::format("took the place of {}", fmt::join(a.old, " and ")); },
            [](const auto &a) { return std::string(is_removal(a) ? "removed" : "added"); },
        },
        action);
}

bool is_removal(const Action &action) {
    return std::holds_alternative<RemoveAddress>(action) || std::holds_alternative<RemoveRoute>(action) ||
           std::holds_alternative<RemoveNode>(action) || std::holds_alternative<RemoveLease>(action) ||
           std::holds_alternative<UnlistPod>(action) || std::holds_alternative<DisallowSource>(action) ||
           std::holds_alternative<RemoveLink>(action) || std::holds_alternative<RemoveOthersRoute>(action) ||
           std::holds_alternative<RemoveFlannelRules>(action);
}

std::vector<Action> diff(const HostState &desired, const HostState &actual) {
    std::vector<Action> plan;
    for (const auto &path : desired.not_merely_on)
        if (const auto found = actual.sysctls.find(path); found != actual.sysctls.end() && found->second == "1")
            plan.push_back(SetSysctl{path, "2"});
    for (const auto &[path, value] : desired.sysctls) {
        const auto found = actual.sysctls.find(path);
        // One that the kernel does not have (IPv6 is off, or the device is not there yet) cannot be set.
        if (found != actual.sysctls.end() && found->second && found->second != value)
            plan.push_back(SetSysctl{path, *value});
    }
    if (desired.vtep && !(actual.vtep && actual.vtep->can_become(*desired.vtep)))
        plan.push_back(ReplaceVtep{*desired.vtep, settings_of_vtep(desired)});
    else if (desired.vtep && actual.vtep != desired.vtep)
        plan.push_back(ChangeVtep{*desired.vtep});
    for (const auto &address : desired.addresses)
        if (!actual.addresses.contains(address)) plan.push_back(AddAddress{address});
    for (const auto &[address, mac] : desired.neighbours) {
        const auto found = actual.neighbours.find(address);
        if (found == actual.neighbours.end() || found->second != mac) plan.push_back(SetNeighbour{address, mac});
    }
    for (const auto &[name, route] : desired.routes) {
        const auto found = actual.routes.find(name);
        if (found == actual.routes.end() || !(found->second == route)) plan.push_back(AddRoute{route});
    }
    for (const auto &[name, route] : actual.routes)
        if (!desired.routes.contains(name)) plan.push_back(RemoveRoute{route});
    for (const auto &address : actual.addresses)
        if (!desired.addresses.contains(address) &&
            std::ranges::any_of(desired.scope, [&](const Net &net) { return contains(net, address.address()); }))
            plan.push_back(RemoveAddress{address});
    return plan;
}

std::vector<Action> diff(const MapState &desired, const MapState &actual) {
    std::vector<Action> plan;
    const auto transitional = union_of(desired.prefix_lens, actual.prefix_lens);
    if (transitional != actual.prefix_lens) plan.push_back(SetPrefixLens{transitional});
    for (const auto &[address, node] : desired.nodes) {
        const auto found = actual.nodes.find(address);
        if (found == actual.nodes.end() || !same(found->second, node)) plan.push_back(PutNode{address, node});
    }
    for (const auto &[subnet, lease] : desired.leases) {
        const auto found = actual.leases.find(subnet);
        const bool there = found != actual.leases.end();
        if (there && same(found->second, lease)) continue;
        plan.push_back(PutLease{subnet, lease, !there || found->second.stats_index != lease.stats_index});
    }
    for (const auto &[subnet, lease] : actual.leases)
        if (!desired.leases.contains(subnet)) plan.push_back(RemoveLease{subnet});
    for (const auto &[address, node] : actual.nodes)
        if (!desired.nodes.contains(address)) plan.push_back(RemoveNode{address});
    if (transitional != desired.prefix_lens) plan.push_back(SetPrefixLens{desired.prefix_lens});
    return plan;
}

} // namespace weft

// SPDX-License-Identifier: Apache-2.0
// What weftd says of itself, and what it has told others.
#include <fmt/format.h>
#include <linux/neighbour.h>

#include <algorithm>

#include "ctl/doctor/check.hpp"
#include "ctl/doctor/facts.hpp"
#include "net/addr.hpp"
#include "net/neigh.hpp"

namespace weft::ctl {
namespace {

/// This node's subnet of each family, as weftd tells it; empty while it has none.
std::string told_subnets(const NodeFacts &facts) {
    std::string text = facts.said("/subnet");
    const auto ip6 = facts.said("/ipv6_subnet");
    return text + (text.empty() || ip6.empty() ? "" : " ") + ip6;
}

Finding daemon_is_synced(const NodeFacts &facts) {
    if (!facts.daemon)
        return {
            CheckState::fail, facts.daemon_said,
            "start it (systemctl start weftd); until then this node learns of no other, what it knows goes on working"};
    const auto state = facts.said("/state");
    if (facts.said("/etcd/lease") == "lost")
        return {CheckState::fail, "the node's subnet is another node's now: " + facts.said("/lost"),
                "pods that run here go on without other nodes; drain the node, and weftd takes another subnet"};
    if (state == "synced") return {CheckState::ok, fmt::format("synced, subnet {}", told_subnets(facts)), {}};
    auto found = "state " + state;
    if (const auto said = facts.said("/etcd/said"); !said.empty()) found += "; etcd: " + said;
    if (facts.daemon->contains("failing"))
        for (const auto &[item, why] : (*facts.daemon)["failing"].items())
            found += fmt::format("; {}: {}", item, why.is_string() ? why.get<std::string>() : why.dump());
    return {CheckState::fail, found,
            "what is named here is tried again by itself; the log (journalctl -u weftd) says more"};
}

/// Without weftd, weft.1's addresses tell what the lease was.
bool is_on_vtep(const NodeFacts &facts, const Ip &gateway) {
    auto sock = net::NlSocket::open();
    if (!sock || !facts.vtep) return false;
    const auto addresses = net::list_addresses(*sock, facts.vtep->index);
    return addresses &&
           std::ranges::any_of(*addresses, [&](const auto &has) { return has.address.address() == gateway; });
}

Finding subnet_env_agrees(const NodeFacts &facts) {
    const auto file = facts.subnet_file.string();
    if (!facts.env)
        return {CheckState::fail, facts.env_said,
                "weftd writes it once it has a lease; without it no pod can be wired"};
    std::string subnet;
    for (const Net &own : facts.env->subnets()) subnet += (subnet.empty() ? "" : " ") + own.canonical().to_string();
    if (const auto lease = told_subnets(facts); !lease.empty() && lease != subnet)
        return {CheckState::fail, fmt::format("{} says {}, the lease is {}", file, subnet, lease),
                "is it another daemon's (flanneld)? stop that one; weftd writes it again"};
    if (const auto mtu = facts.said("/mtu"); !mtu.empty() && mtu != std::to_string(facts.env->mtu))
        return {CheckState::fail, fmt::format("{} says MTU {}, weftd says {}", file, facts.env->mtu, mtu),
                "is it another daemon's (flanneld)? stop that one; weftd writes it again"};
    const auto on_vtep = [&](const Net &own) { return is_on_vtep(facts, own.address()); };
    if (!facts.daemon && !std::ranges::all_of(facts.env->subnets(), on_vtep))
        return {CheckState::fail, fmt::format("{} says {}, which is not weft.1's", file, subnet), "start weftd"};
    return {CheckState::ok, fmt::format("{}: {}, MTU {}", file, subnet, facts.env->mtu), {}};
}

Finding next_hops_answer(const NodeFacts &facts) {
    if (!facts.pinned) return {CheckState::warn, facts.datapath_said, {}};
    auto sock = net::NlSocket::open();
    if (!sock) return {CheckState::warn, sock.error().sentence(), {}};
    const auto neighbours = net::list_neighbours(*sock);
    if (!neighbours) return {CheckState::warn, neighbours.error().sentence(), {}};
    std::string silent;
    for (const auto &[key, lease] : facts.leases) {
        const bool failed = std::ranges::any_of(*neighbours, [&](const auto &neighbour) {
            return neighbour.ifindex == static_cast<int>(lease.ifindex) &&
                   neighbour.address == abi::ip(lease.next_hop) &&
                   (neighbour.state & (NUD_FAILED | NUD_INCOMPLETE)) != 0;
        });
        if (failed)
            silent += fmt::format("{}{} (to {})", silent.empty() ? "" : ", ", abi::ip(lease.next_hop).to_string(),
                                  abi::subnet(key).to_string());
    }
    if (silent.empty())
        return {CheckState::ok, fmt::format("{} leases, none whose next hop is silent", facts.leases.size()), {}};
    return {
        CheckState::warn, "no answer to ARP or neighbour discovery from " + silent,
        "that node is down, or its address has changed, or the segment does not carry these; its lease ends by itself "
        "within a day"};
}

constexpr Check kDaemonChecks[] = {
    {"daemon", daemon_is_synced},
    {"subnet.env", subnet_env_agrees},
    {"next hops", next_hops_answer},
};

} // namespace

std::span<const Check> daemon_checks() { return kDaemonChecks; }

} // namespace weft::ctl

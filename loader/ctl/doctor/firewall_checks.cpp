// SPDX-License-Identifier: Apache-2.0
// The host's packet filter: weft's rules in it, and what stands in its packets' way.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "ctl/doctor/check.hpp"
#include "ctl/doctor/facts.hpp"
#include "firewall/firewall.hpp"
#include "firewall/obstacles.hpp"

namespace weft::ctl {
namespace {

RuleFamily family_of(const Net &network) { return network.is_v4() ? RuleFamily::ipv4 : RuleFamily::ipv6; }
std::string_view to_string(RuleFamily family) { return family == RuleFamily::ipv4 ? "IPv4" : "IPv6"; }

/// Where weft's masquerade rules of a family are and are reached: "nftables", "ip6tables-nft, ip6tables-legacy".
std::string masquerading_systems(RuleFamily family) {
    std::string systems;
    const auto lines = list_firewall_rules();
    for (const auto system : kRuleSystems) {
        const auto name = name_of(system, family);
        // An iptables' line begins with its name, as a command does.
        const auto prefix = fmt::format("{} ", name);
        const auto has = [&](std::string_view part) {
            return std::ranges::any_of(lines, [&](const std::string &line) {
                return line.starts_with(prefix) && line.find(part) != line.npos;
            });
        };
        bool masquerades =
            has("-A POSTROUTING") && has("-j MASQUERADE"); // an empty chain, or one that nobody jumps to, does not
        if (system == RuleSystem::nftables) {
            auto nft = Nft::open();
            const auto table = nft ? nft->run(family == RuleFamily::ipv4 ? "list table ip weft" : "list table ip6 weft")
                                   : std::unexpected(nft.error());
            masquerades = table && table->find(" masquerade") != table->npos;
        }
        if (masquerades) systems += fmt::format("{}{}", systems.empty() ? "" : ", ", name);
    }
    return systems;
}

Finding masquerade_is_in_place(const NodeFacts &facts) {
    std::string where, missing;
    for (const auto family : kRuleFamilies) {
        const auto systems = masquerading_systems(family);
        const bool on = std::ranges::any_of(facts.networks, [&](const Net &net) { return family_of(net) == family; });
        if (where.find(systems) == where.npos) where += fmt::format("{}{}", where.empty() ? "" : ", ", systems);
        if (on && systems.empty()) missing += fmt::format("{}{}", missing.empty() ? "" : " and ", to_string(family));
    }
    const auto complaint = facts.said("/firewall/said");
    const bool wanted = facts.env && facts.env->ip_masq;
    if (!wanted && where.empty())
        return {CheckState::ok, "not asked for (--ip-masq), and there are no rules of it", {}};
    if (!wanted)
        return {CheckState::warn, "not asked for (--ip-masq), but rules of it are in " + where,
                "a running weftd removes them; weftctl cleanup does where there is to be none"};
    if (!missing.empty())
        return {CheckState::fail, fmt::format("the rules for {} are not there: pods do not reach the world", missing),
                "a running weftd puts them back within seconds, else its log says why not"};
    if (!complaint.empty()) return {CheckState::warn, complaint, "weftd looks again every minute"};
    return {CheckState::ok, "in place, in " + where, {}};
}

Finding forwarding_is_accepted(const NodeFacts &facts) {
    if (facts.networks.empty()) return {CheckState::warn, "the pod network is not known", {}};
    std::string clear, found, advice;
    for (const auto &network : facts.networks) {
        const auto prefix = network.to_string();
        const auto chains = read_host_chains(FirewallHook::forward, family_of(network));
        if (!chains) return {CheckState::warn, chains.error().sentence(), {}};
        clear +=
            fmt::format("{}{} chains, none drops {} by default", clear.empty() ? "" : "; ", chains->size(), prefix);
        for (const auto &chain : *chains) {
            const auto obstacle = forward_obstacle(chain, prefix);
            if (!obstacle) continue;
            found += fmt::format("{}{}: {}", found.empty() ? "" : "; ", obstacle->chain, obstacle->why);
            advice += fmt::format("{}{}", advice.empty() ? "" : "; ", obstacle->advice);
        }
    }
    if (found.empty()) return {CheckState::ok, clear, {}};
    return {CheckState::fail, found, advice};
}

Finding tunnel_port_is_open(const NodeFacts &facts) {
    if (facts.daemon && facts.said("/port").empty())
        return {CheckState::ok, fmt::format("{} needs no port", facts.said("/backend")), {}};
    std::uint16_t port = WEFT_DEFAULT_PORT;
    const auto told = facts.said("/port");
    (void)std::from_chars(told.data(), told.data() + told.size(), port);
    Finding worst{CheckState::ok, fmt::format("nothing in the way of UDP port {}", port), {}};
    for (const auto family : kRuleFamilies) {
        if (family == RuleFamily::ipv6 && facts.said("/public_ipv6").empty()) continue; // no tunnels over it
        const auto chains = read_host_chains(FirewallHook::input, family);
        if (!chains) return {CheckState::warn, chains.error().sentence(), {}};
        for (const auto &chain : *chains) {
            const auto obstacle = port_obstacle(chain, port);
            if (!obstacle || (worst.state != CheckState::ok && !obstacle->certain)) continue;
            worst = {obstacle->certain ? CheckState::fail : CheckState::warn,
                     fmt::format("{}: {}", obstacle->chain, obstacle->why), obstacle->advice};
            if (obstacle->certain) return worst;
        }
    }
    return worst;
}

constexpr Check kFirewallChecks[] = {
    {"masquerade", masquerade_is_in_place},
    {"forward chains", forwarding_is_accepted},
    {"tunnel port", tunnel_port_is_open},
};

} // namespace

std::span<const Check> firewall_checks() { return kFirewallChecks; }

} // namespace weft::ctl

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

/// Where weft's masquerade rules are and are reached: "nftables", "iptables-nft, iptables-legacy".
std::string masquerading_systems() {
    std::string systems;
    const auto lines = list_firewall_rules();
    for (const auto system : kRuleSystems) {
        const auto has = [&](std::string_view part) {
            return std::ranges::any_of(lines, [&](const std::string &line) {
                return line.starts_with(to_string(system)) && line.find(part) != line.npos;
            });
        };
        bool masquerades =
            has("-A POSTROUTING") && has("-j MASQUERADE"); // an empty chain, or one that nobody jumps to, does not
        if (system == RuleSystem::nftables) {
            auto nft = Nft::open();
            const auto table = nft ? nft->run("list table ip weft") : std::unexpected(nft.error());
            masquerades = table && table->find(" masquerade") != table->npos;
        }
        if (masquerades) systems += fmt::format("{}{}", systems.empty() ? "" : ", ", to_string(system));
    }
    return systems;
}

Finding masquerade_is_in_place(const NodeFacts &facts) {
    const auto where = masquerading_systems();
    const auto complaint = facts.said("/firewall/said");
    const bool wanted = facts.env && facts.env->ip_masq;
    if (!wanted && where.empty())
        return {CheckState::ok, "not asked for (--ip-masq), and there are no rules of it", {}};
    if (!wanted)
        return {CheckState::warn, "not asked for (--ip-masq), but rules of it are in " + where,
                "a running weftd removes them; weftctl cleanup does where there is to be none"};
    if (where.empty())
        return {CheckState::fail, "the rules are not there: pods do not reach the world",
                "a running weftd puts them back within seconds, else its log says why not"};
    if (!complaint.empty()) return {CheckState::warn, complaint, "weftd looks again every minute"};
    return {CheckState::ok, "in place, in " + where, {}};
}

Finding forwarding_is_accepted(const NodeFacts &facts) {
    if (!facts.network) return {CheckState::warn, "the pod network is not known", {}};
    const auto network = facts.network->canonical().to_string();
    const auto chains = read_host_chains(FirewallHook::forward);
    if (!chains) return {CheckState::warn, chains.error().sentence(), {}};
    std::string found, advice;
    for (const auto &chain : *chains) {
        const auto obstacle = forward_obstacle(chain, network);
        if (!obstacle) continue;
        found += fmt::format("{}{}: {}", found.empty() ? "" : "; ", obstacle->chain, obstacle->why);
        advice += fmt::format("{}{}", advice.empty() ? "" : "; ", obstacle->advice);
    }
    if (found.empty())
        return {CheckState::ok, fmt::format("{} chains, none drops {} by default", chains->size(), network), {}};
    return {CheckState::fail, found, advice};
}

Finding tunnel_port_is_open(const NodeFacts &facts) {
    std::uint16_t port = WEFT_DEFAULT_PORT;
    const auto told = facts.said("/port");
    (void)std::from_chars(told.data(), told.data() + told.size(), port);
    const auto chains = read_host_chains(FirewallHook::input);
    if (!chains) return {CheckState::warn, chains.error().sentence(), {}};
    Finding worst{CheckState::ok, fmt::format("nothing in the way of UDP port {}", port), {}};
    for (const auto &chain : *chains) {
        const auto obstacle = port_obstacle(chain, port);
        if (!obstacle || (worst.state != CheckState::ok && !obstacle->certain)) continue;
        worst = {obstacle->certain ? CheckState::fail : CheckState::warn,
                 fmt::format("{}: {}", obstacle->chain, obstacle->why), obstacle->advice};
        if (obstacle->certain) break;
    }
    return worst;
}

constexpr Check kChecks[] = {
    {"masquerade", masquerade_is_in_place},
    {"forward chains", forwarding_is_accepted},
    {"tunnel port", tunnel_port_is_open},
};

} // namespace

std::span<const Check> firewall_checks() { return kChecks; }

} // namespace weft::ctl

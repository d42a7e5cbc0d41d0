// SPDX-License-Identifier: Apache-2.0
#include "firewall/host_rules.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <sstream>

#include "firewall/command.hpp"
#include "firewall/iptables.hpp"

namespace weft {
namespace {

struct BuiltIn {
    const char *table, *chain;
};
/// Those that decide about forwarded packets first.
constexpr BuiltIn kBuiltIns[] = {{"filter", "FORWARD"}, {"nat", "POSTROUTING"}, {"nat", "PREROUTING"},
                                 {"nat", "OUTPUT"},     {"filter", "INPUT"},    {"filter", "OUTPUT"}};

/// Rules and policies other than ACCEPT in the built-in chains, as `iptables -S` lists them.
unsigned count_rules(const IptablesTools &tools, const std::vector<std::string> &tables) {
    unsigned rules = 0;
    for (const auto &[table, chain] : kBuiltIns) {
        if (std::ranges::count(tables, table) == 0) continue;
        const auto said = run_command({tools.iptables, "-w", "5", "-t", table, "-S", chain});
        if (!said || said->code != 0) continue;
        std::istringstream lines(said->out);
        for (std::string line; std::getline(lines, line);)
            rules += line.starts_with("-A ") || (line.starts_with("-P ") && !line.ends_with(" ACCEPT"));
    }
    return rules;
}

} // namespace

std::string_view to_string(RuleSystem system) {
    switch (system) {
    case RuleSystem::nftables: return "nftables";
    case RuleSystem::iptables_nft: return "iptables-nft";
    case RuleSystem::iptables_legacy: return "iptables-legacy";
    }
    return "unknown";
}

std::string_view name_of(RuleSystem system, RuleFamily family) {
    if (family == RuleFamily::ipv4 || system == RuleSystem::nftables) return to_string(system);
    return system == RuleSystem::iptables_nft ? "ip6tables-nft" : "ip6tables-legacy"; // as their programs are called
}

RuleSystem choose_rule_system(FirewallChoice choice, const IptablesUse &use, std::optional<RuleSystem> in_use,
                              std::optional<RuleSystem> default_kind) {
    using enum RuleSystem;
    if (choice == FirewallChoice::nftables) return nftables;
    if (use.nft && use.legacy) {
        if (in_use && *in_use != nftables) return *in_use;
        return use.legacy_rules > use.nft_rules ? iptables_legacy : iptables_nft;
    }
    if (use.nft) return iptables_nft;
    if (use.legacy) return iptables_legacy;
    return choice == FirewallChoice::iptables ? default_kind.value_or(nftables) : nftables;
}

namespace {

Result<bool> has_built_in_chain(Nft &nft, RuleFamily family) {
    for (const auto &[table, chain] : kBuiltIns) {
        const auto listed =
            nft.run(fmt::format("list chain {} {} {}", family == RuleFamily::ipv4 ? "ip" : "ip6", table, chain));
        if (!listed && listed.error().code() != ENOENT) return std::unexpected(listed.error());
        // A table "nat" of an operator's own has no base chain of iptables' names, or not in capitals.
        if (listed && listed->find(" hook ") != listed->npos) return true;
    }
    return false;
}

/// Adds what the older tables of a family have.
void probe_legacy(IptablesUse &use, RuleFamily family, std::optional<RuleSystem> in_use) {
    const auto tables = legacy_tables(family);
    if (std::ranges::none_of(tables, [](const auto &name) { return name == "nat" || name == "filter"; })) return;
    if (in_use == RuleSystem::iptables_legacy) {
        use.legacy = true;
        return;
    }
    const auto legacy = find_iptables(RuleSystem::iptables_legacy, family);
    use.legacy_rules += legacy ? count_rules(*legacy, tables) : 1; // unseen: they may well be there
    use.legacy = use.legacy_rules > 0;
}

} // namespace

Result<IptablesUse> probe_iptables(Nft &nft, std::optional<RuleSystem> in_use, const FirewallConfig &config) {
    IptablesUse use;
    for (const auto family : kRuleFamilies) {
        if (!config.of(family)) continue;
        auto of_nft = has_built_in_chain(nft, family);
        if (!of_nft) return fail_as_is(std::move(of_nft));
        use.nft = use.nft || *of_nft;
        probe_legacy(use, family, in_use);
    }
    if (!use.nft || use.legacy_rules == 0) return use;
    for (const auto family : kRuleFamilies)
        if (const auto tools = find_iptables(RuleSystem::iptables_nft, family); tools && config.of(family))
            use.nft_rules += count_rules(*tools, {"nat", "filter"});
    return use;
}

} // namespace weft

// SPDX-License-Identifier: Apache-2.0
#include "firewall/flannel_rules.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "firewall/iptables.hpp"
#include "firewall/nft.hpp"

namespace weft {
namespace {

/// The chains of flannel since v0.20; before, its rules stood in the built-in chains and nothing told them from others'.
constexpr IptablesPlace kFlannelPlaces[] = {{"nat", "POSTROUTING", "FLANNEL-POSTRTG", "flanneld masq"},
                                            {"filter", "FORWARD", "FLANNEL-FWD", "flanneld forward"}};
constexpr const char *kFlannelTables[] = {"ip flannel-ipv4", "ip6 flannel-ipv6"};
constexpr RuleSystem kIptables[] = {RuleSystem::iptables_nft, RuleSystem::iptables_legacy};

bool has_table(Nft &nft, const char *table) { return nft.run(fmt::format("list table {}", table)).has_value(); }

} // namespace

std::vector<std::string> list_flannel_rules() {
    std::vector<std::string> lines;
    if (auto nft = Nft::open())
        for (const char *table : kFlannelTables)
            if (auto listing = nft->run(fmt::format("list table {}", table)))
                lines.push_back(fmt::format("nftables: {}", *listing));
    for (const auto system : kIptables)
        for (auto &line : IptablesRules(system, kFlannelPlaces).list()) lines.push_back(std::move(line));
    return lines;
}

bool flannel_masquerades(const std::vector<std::string> &rules) {
    return std::ranges::any_of(
        rules, [](const std::string &line) { return line.contains("MASQUERADE") || line.contains("masquerade"); });
}

Status remove_flannel_rules() {
    Status all;
    const auto note = [&](Status done) {
        if (all && !done) all = std::move(done);
    };
    for (const auto system : kIptables)
        if (auto removed = IptablesRules(system, kFlannelPlaces).remove(); !removed)
            note(fail_as_is(std::move(removed)));
    auto nft = Nft::open();
    if (!nft) return fail_as_is(std::move(nft));
    for (const char *table : kFlannelTables)
        if (has_table(*nft, table))
            if (auto removed = nft->run(fmt::format("delete table {}", table)); !removed)
                note(fail_as_is(std::move(removed)));
    return all;
}

} // namespace weft

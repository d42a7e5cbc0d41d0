// SPDX-License-Identifier: Apache-2.0
#include "firewall/nftables.hpp"

#include <fmt/format.h>

namespace weft {
namespace {

std::string table_of(RuleFamily family) { return family == RuleFamily::ipv4 ? "ip weft" : "ip6 weft"; }

// "add" first: "delete" alone fails where there is no such table.
std::string removal_of(RuleFamily family) { return fmt::format("add table {0}\ndelete table {0}\n", table_of(family)); }

std::string text_of(const PacketRule &rule, RuleFamily family) {
    std::string text;
    if (rule.kube_mark) text += "meta mark & 0x4000 == 0x4000 ";
    const auto match = [&](const char *field, const std::optional<PacketRule::Prefix> &prefix) {
        if (prefix)
            text += fmt::format("{} {} {}{} ", family == RuleFamily::ipv4 ? "ip" : "ip6", field,
                                prefix->except ? "!= " : "", prefix->text);
    };
    match("saddr", rule.source);
    match("daddr", rule.destination);
    switch (rule.verdict) {
    case PacketRule::Verdict::leave: return text + "return";
    case PacketRule::Verdict::accept: return text + "accept";
    case PacketRule::Verdict::masquerade: break;
    }
    return text + (rule.random_ports ? "masquerade fully-random" : "masquerade");
}

} // namespace

std::string nft_script(const FirewallConfig &config, RuleFamily family) {
    std::string script = removal_of(family);
    const auto rules = masquerade_rules(config, family);
    if (rules.empty()) return script;
    script += fmt::format("table {} {{\n"
                          "  chain postrouting {{\n"
                          "    type nat hook postrouting priority srcnat; policy accept;\n",
                          table_of(family));
    for (const auto &rule : rules) script += fmt::format("    {}\n", text_of(rule, family));
    return script + "  }\n}\n";
}

Result<std::string> NftablesRules::listing(RuleFamily family) {
    auto text = nft_.run("list table " + table_of(family));
    if (!text && text.error().code() == ENOENT) return std::string();
    return text;
}

Result<bool> NftablesRules::ensure(const FirewallConfig &config) {
    bool written = false;
    for (const auto family : kRuleFamilies) {
        auto done = config.masquerade && config.of(family) ? ensure(config, family) : remove(family);
        if (!done) return done;
        written = written || *done;
    }
    return written;
}

Result<bool> NftablesRules::ensure(const FirewallConfig &config, RuleFamily family) {
    auto &last = written_[family];
    auto script = nft_script(config, family);
    auto now = listing(family);
    if (!now) return fail_as_is(std::move(now));
    if (script == last.script && *now == last.listing) return false;
    if (auto done = nft_.run(script); !done) return fail_as_is(std::move(done));
    auto after = listing(family);
    if (!after) return fail_as_is(std::move(after));
    last = {std::move(script), std::move(*after)};
    return *now != last.listing;
}

Result<std::vector<std::string>> NftablesRules::differences(const FirewallConfig &config) {
    std::vector<std::string> lines;
    for (const auto family : kRuleFamilies) {
        const auto now = listing(family);
        if (!now) return std::unexpected(now.error());
        const bool wanted = config.masquerade && config.of(family);
        const auto last = written_.find(family);
        const bool right = !wanted ? now->empty()
                                   : last != written_.end() && *now == last->second.listing &&
                                         nft_script(config, family) == last->second.script;
        if (!right)
            lines.push_back(fmt::format("nftables: table {}: {}", table_of(family),
                                        !wanted        ? "not wanted"
                                        : now->empty() ? "missing"
                                                       : "not as weft makes it"));
    }
    return lines;
}

Result<bool> NftablesRules::remove() { return ensure({}); }

Result<bool> NftablesRules::remove(RuleFamily family) {
    written_.erase(family);
    auto now = listing(family);
    if (!now) return fail_as_is(std::move(now));
    if (now->empty()) return false;
    if (auto done = nft_.run(removal_of(family)); !done) return fail_as_is(std::move(done));
    return true;
}

std::vector<std::string> NftablesRules::list() {
    std::vector<std::string> tables;
    for (const auto family : kRuleFamilies)
        if (const auto now = listing(family); now && !now->empty())
            tables.push_back("nftables: table " + table_of(family));
    return tables;
}

} // namespace weft

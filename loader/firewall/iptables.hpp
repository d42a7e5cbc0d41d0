// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "firewall/rule_system.hpp"

namespace weft {

/// The programs of one kind of iptables for one family, as installed.
struct IptablesTools {
    RuleSystem system = RuleSystem::iptables_nft;
    RuleFamily family = RuleFamily::ipv4;
    std::string iptables, save, restore; ///< full paths
    bool random_fully = true;            ///< it knows --random-fully and restore --wait: 1.6.2, March 2018
};

/// The programs for iptables_nft or iptables_legacy: by their own names (iptables-nft, ip6tables-legacy) or, where a
/// distribution has but one kind, plain iptables or ip6tables if it is of that kind. nullopt: not installed.
[[nodiscard]] std::optional<IptablesTools> find_iptables(RuleSystem system, RuleFamily family);
/// The kind of plain `iptables`; nullopt: not installed.
[[nodiscard]] std::optional<RuleSystem> default_iptables();
/// "iptables v1.8.9 (nf_tables)" or ip6tables': the kind it says, and whether it is 1.6.2 or later.
[[nodiscard]] std::optional<std::pair<RuleSystem, bool>> parse_iptables_version(std::string_view text);

/// Where weft's rules live among iptables': a chain of our own, and a jump to it at the end of a built-in one, as
/// flannel has it: an operator's rules before the jump keep their meaning.
struct IptablesPlace {
    const char *table, *built_in, *own, *comment;
};
inline constexpr IptablesPlace kMasqueradePlace{"nat", "POSTROUTING", "WEFT-POSTRTG", "weft masq"};
inline constexpr IptablesPlace kForwardPlace{"filter", "FORWARD", "WEFT-FWD", "weft forward"};
inline constexpr IptablesPlace kIptablesPlaces[] = {kMasqueradePlace, kForwardPlace};

/// The lines of weft's own chain ("-A WEFT-FWD -s ...") as iptables lists them.
[[nodiscard]] std::vector<std::string> iptables_rules(const IptablesPlace &place, const FirewallConfig &config,
                                                      RuleFamily family, bool random_fully = true);

/// What there is of weft's in one place.
struct IptablesFound {
    bool chain = false;             ///< ours exists
    std::vector<std::string> rules; ///< in it, as listed
    std::vector<std::string> jumps; ///< to it, as listed

    [[nodiscard]] bool nothing() const { return !chain && jumps.empty(); }
};

/// One table's part of what iptables-restore --noflush reads: makes `found` become `wanted`; empty when there is nothing
/// to do. Jumps that are there stay where they are; wanted rules without a jump get one at the end.
/// @param wanted empty: chain and jumps go.
[[nodiscard]] std::string iptables_payload(const IptablesPlace &place, const std::vector<std::string> &wanted,
                                           const IptablesFound &found);

/// weft's rules as chains of iptables' and ip6tables' tables nat and filter.
///
/// Contract: looks at weft's own chains and the built-in chains that lead to them, nothing else; writes by one
/// iptables-restore for each family. A family that is off is looked at once, for rules of an earlier run.
/// A table that the kernel's older iptables has not registered is not registered by looking for rules of ours in it.
class IptablesRules final : public RuleKeeper {
public:
    /// @param system iptables_nft or iptables_legacy.
    /// @param places weft's, or those of somebody whose rules are to be listed and removed.
    explicit IptablesRules(RuleSystem system, std::span<const IptablesPlace> places = kIptablesPlaces)
        : system_(system), places_(places) {}

    [[nodiscard]] Result<bool> ensure(const FirewallConfig &config) override;
    [[nodiscard]] Result<std::vector<std::string>> differences(const FirewallConfig &config) override;
    [[nodiscard]] Result<bool> remove() override;
    [[nodiscard]] std::vector<std::string> list() override;

private:
    /// One family's part.
    struct Tables {
        std::optional<IptablesTools> tools; ///< looked for until they are found
        /// By place: the rules as last written, and as then listed. A version that lists in other words than ours is no
        /// reason to write again.
        std::map<std::string, std::pair<std::vector<std::string>, std::vector<std::string>>> as_listed;
        bool empty = false; ///< no rules were wanted, and none of ours were there

        [[nodiscard]] bool installed(RuleSystem system, RuleFamily family);
    };
    /// A place whose rules are not as wanted.
    struct Wrong {
        const IptablesPlace *place;
        std::vector<std::string> wanted;
        IptablesFound found;
    };
    [[nodiscard]] Result<std::vector<Wrong>> compare(const FirewallConfig &config, RuleFamily family);
    [[nodiscard]] Result<bool> ensure(const FirewallConfig &config, RuleFamily family);

    RuleSystem system_;
    std::span<const IptablesPlace> places_;
    std::map<RuleFamily, Tables> tables_;
};

/// Tables that the kernel's older iptables has registered in this network namespace: the lines of /proc/net/ip_tables_names.
[[nodiscard]] std::vector<std::string> legacy_tables(RuleFamily family);
/// Whether it has any, of either family.
[[nodiscard]] bool has_legacy_tables();

} // namespace weft

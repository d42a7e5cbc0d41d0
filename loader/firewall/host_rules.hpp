// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "base/error.hpp"
#include "firewall/nft.hpp"
#include "firewall/rule_system.hpp"

namespace weft {

/// `--firewall`.
enum class FirewallChoice : std::uint8_t { automatic, nftables, iptables };

/// Which of iptables' two kinds holds rules on this host, and how many in the built-in chains.
struct IptablesUse {
    bool nft = false, legacy = false;
    unsigned nft_rules = 0, legacy_rules = 0; ///< counted only where both are in use
};

/// Where weft's rules belong.
///
/// Under `automatic`: among iptables' where the host's rules are iptables', because what an operator or Docker has there,
/// before or after ours, then means what it meant with flannel; a table of our own would be asked whatever they decide.
/// @param in_use where they are now: where both kinds of iptables are in use, it stays.
/// @param default_kind of the installed iptables, for a host without any rule; nullopt: none is installed.
[[nodiscard]] RuleSystem choose_rule_system(FirewallChoice choice, const IptablesUse &use,
                                            std::optional<RuleSystem> in_use, std::optional<RuleSystem> default_kind);

/// Asks the kernel, about the families that are on. iptables-nft is in use when one of its tables has a built-in chain, with
/// rules or without; legacy when a table is registered that has a rule or a policy other than ACCEPT (a mere look with
/// iptables-legacy registers one), or rules of ours.
[[nodiscard]] Result<IptablesUse> probe_iptables(Nft &nft, std::optional<RuleSystem> in_use,
                                                 const FirewallConfig &config);

} // namespace weft

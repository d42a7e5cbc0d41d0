// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "firewall/rules.hpp"

namespace weft {

/// The ways in which a Linux host keeps its packet filter. A host may use several at once.
enum class RuleSystem : std::uint8_t {
    nftables,
    iptables_nft,    ///< iptables' tables and chains, kept in nftables
    iptables_legacy, ///< the kernel's older tables
};
inline constexpr RuleSystem kRuleSystems[] = {RuleSystem::nftables, RuleSystem::iptables_nft,
                                              RuleSystem::iptables_legacy};
/// "nftables", "iptables-nft", "iptables-legacy".
[[nodiscard]] std::string_view to_string(RuleSystem system);

/// The same where what is done differs by family: "ip6tables-nft".
[[nodiscard]] std::string_view name_of(RuleSystem system, RuleFamily family);

/// weft's rules in one rule system of the network namespace in which it was opened. Nobody else's rules are changed.
///
/// Threads: one. Errors: the tool's or library's own words, in one line; EAGAIN: somebody else is at it, EIO: it refuses.
class RuleKeeper {
public:
    virtual ~RuleKeeper() = default;

    /// Makes the rules be `config`, in one transaction, when they are not. @return whether they were not.
    [[nodiscard]] virtual Result<bool> ensure(const FirewallConfig &config) = 0;
    /// What ensure() would write, a line each; empty: nothing.
    [[nodiscard]] virtual Result<std::vector<std::string>> differences(const FirewallConfig &config) = 0;
    /// @return whether there were any.
    [[nodiscard]] virtual Result<bool> remove() = 0;
    /// What remove() would remove, a line each; empty where there is nothing, or nothing can be read.
    [[nodiscard]] virtual std::vector<std::string> list() = 0;
};

} // namespace weft

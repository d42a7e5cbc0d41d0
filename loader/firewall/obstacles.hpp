// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "firewall/rule_system.hpp"

namespace weft {

enum class FirewallHook : std::uint8_t { forward, input };

/// A chain that packets pass at a hook, whoever made it.
struct HostChain {
    RuleSystem system = RuleSystem::nftables;
    RuleFamily family = RuleFamily::ipv4; ///< of the packets in question: nftables' inet chains see both
    std::string
        name; ///< as its tool takes it: "inet firewalld filter_FORWARD", "FORWARD" (of table filter), "-t mangle FORWARD"
    bool drops_by_default = false;
    std::vector<std::string> rules; ///< as its tool lists them, without counters and comments
};

/// `nft -s list chain` of a base chain.
[[nodiscard]] HostChain parse_nft_chain(RuleFamily family, std::string name, std::string_view listing);
/// `iptables -S CHAIN` of a built-in chain.
[[nodiscard]] HostChain parse_iptables_chain(RuleSystem system, RuleFamily family, std::string name,
                                             std::string_view listing);

/// Every chain of the host's at that hook for one family, in all three rule systems; weft's own nftables table is left out.
/// iptables' chains are read with its own programs: nftables' listings leave out what they do not know of a rule.
[[nodiscard]] Result<std::vector<HostChain>> read_host_chains(FirewallHook hook, RuleFamily family);

/// Something that drops what weft needs to get through.
struct Obstacle {
    std::string chain;   ///< "iptables-nft FORWARD"
    std::string why;     ///< "its policy is DROP"
    std::string advice;  ///< commands that help
    bool certain = true; ///< false: chains that it leads to may accept, which is not looked into
};

/// What keeps a chain from letting pods' forwarded packets pass; nothing where it accepts them, or all, before it drops.
/// Looks at the chain's own rules and at weft's jump, not into other chains.
[[nodiscard]] std::optional<Obstacle> forward_obstacle(const HostChain &chain, std::string_view pod_network);
/// The same for tunnel packets to a UDP port of this host.
[[nodiscard]] std::optional<Obstacle> port_obstacle(const HostChain &chain, std::uint16_t port);

} // namespace weft

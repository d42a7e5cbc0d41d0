// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "firewall/host_rules.hpp"
#include "firewall/nft.hpp"
#include "firewall/rule_system.hpp"
#include "firewall/socket_guard.hpp"

namespace weft {

/// weft's firewall rules on this host, in whichever rule system the host uses: one for both families, so that what an operator
/// reads about one is true of the other.
///
/// Contract: level-triggered: each ensure() looks which system is right now (Docker or kube-proxy may come after us), and
/// whether the rules are there. A switch writes the new rules before it removes the old ones.
/// Threads: one. The network namespace is that in which it was opened.
/// Errors: name the rule system. Rules of ours in a system that is not in use are removed after a switch, and looked for once a
/// minute: somebody may restore what was saved with them.
class Firewall {
public:
    [[nodiscard]] static Result<Firewall> open();

    /// @return what was done, a line each; empty when everything was as it should be.
    [[nodiscard]] Result<std::vector<std::string>> ensure(const FirewallConfig &config, FirewallChoice choice);

    /// What ensure() would write, a line each, without writing it. Only of the system that is in use, and of the guard.
    [[nodiscard]] Result<std::vector<std::string>> differences(const FirewallConfig &config);

    /// Where the rules are; nullopt: there are none.
    [[nodiscard]] std::optional<RuleSystem> in_use() const { return in_use_; }
    /// Why they are not where they should be; usually empty.
    [[nodiscard]] const std::string &complaint() const { return complaint_; }

private:
    Firewall(Nft nft, Nft guard) : nft_(std::move(nft)), guard_(std::move(guard)) {}
    [[nodiscard]] Result<RuleSystem> choose(const FirewallConfig &config, FirewallChoice choice);
    [[nodiscard]] Result<bool> write(RuleSystem system, const FirewallConfig &config);
    /// nullptr: its programs are not installed.
    [[nodiscard]] RuleKeeper *keeper(RuleSystem system);
    [[nodiscard]] Status remove_from_others(std::optional<RuleSystem> kept, std::vector<std::string> &done);

    Nft nft_;
    SocketGuardRules guard_;
    std::map<RuleSystem, std::unique_ptr<RuleKeeper>> keepers_;
    std::optional<RuleSystem> in_use_;
    std::string complaint_;
    std::optional<std::chrono::steady_clock::time_point>
        refused_at_; ///< by iptables, which is then left alone for a minute
    std::string refusal_;
    /// When it was last seen that no rules of ours are where in_use_ is not; never: nullopt.
    std::optional<std::chrono::steady_clock::time_point> others_clean_at_;
};

/// Removes every rule, chain and table of weft's in this network namespace, whichever rule system has them.
/// What cannot be removed holds up nothing else; the first such thing is the error.
[[nodiscard]] Status remove_firewall_rules();
/// What remove_firewall_rules() would remove, a line each.
[[nodiscard]] std::vector<std::string> list_firewall_rules();

} // namespace weft

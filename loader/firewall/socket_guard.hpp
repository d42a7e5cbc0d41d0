// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/error.hpp"
#include "firewall/nft.hpp"
#include "firewall/rules.hpp"

namespace weft {

/// The table "inet weft" as a script for nft that replaces it in one transaction; without a guard: that removes it.
///
/// It is before every other filter's chain, so that a firewall that accepts the port accepts it from nowhere else. What it
/// drops is counted in the rule, for `nft list table inet weft`.
[[nodiscard]] std::string guard_script(const std::optional<SocketGuard> &guard);

/// Keeps strangers, pods and other links from the kernel's vxlan socket, which listens on all of them.
///
/// An nftables table on every host, whatever system the host's own rules are in: nothing of it is for anybody else to weigh,
/// and who flushes iptables does not flush it. Contract: as NftablesRules. Threads: one.
class SocketGuardRules {
public:
    explicit SocketGuardRules(Nft nft) : nft_(std::move(nft)) {}

    /// @return whether the table was not as it should be.
    [[nodiscard]] Result<bool> ensure(const std::optional<SocketGuard> &guard);
    /// A line for what ensure() would write.
    [[nodiscard]] Result<std::vector<std::string>> differences(const std::optional<SocketGuard> &guard);
    /// A line for each table that is there.
    [[nodiscard]] std::vector<std::string> list();

private:
    [[nodiscard]] Result<std::string> listing();
    [[nodiscard]] bool is_as_left(const std::optional<SocketGuard> &guard, const std::string &now) const {
        return guard ? guard_script(guard) == script_ && now == listing_ : now.empty();
    }

    Nft nft_;
    std::string script_, listing_; ///< the last script, and what the table looked like after it
};

} // namespace weft

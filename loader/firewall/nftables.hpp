// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "firewall/nft.hpp"
#include "firewall/rule_system.hpp"

namespace weft {

/// The table "ip weft" as a script for nft that replaces it in one transaction; without masquerade: that removes it.
///
/// It has no forward chain: an accept in one nftables chain does not keep another chain from dropping the packet, so it
/// would cost every packet a look and help none.
[[nodiscard]] std::string nft_script(const FirewallConfig &config);

/// weft's rules as the nftables table "ip weft".
///
/// Contract: ensure() writes the table when it is not as ensure() left it, and once after a start: how a kernel's rules are
/// listed differs between versions of nftables, so only listings of one process can be compared.
class NftablesRules final : public RuleKeeper {
public:
    explicit NftablesRules(Nft nft) : nft_(std::move(nft)) {}

    [[nodiscard]] Result<bool> ensure(const FirewallConfig &config) override;
    [[nodiscard]] Result<bool> remove() override;
    [[nodiscard]] std::vector<std::string> list() override;

private:
    [[nodiscard]] Result<std::string> listing(); ///< empty: there is no such table

    Nft nft_;
    std::string written_, listed_; ///< the last script, and what the table looked like after it
};

} // namespace weft

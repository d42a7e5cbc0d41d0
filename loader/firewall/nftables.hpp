// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <string>

#include "firewall/nft.hpp"
#include "firewall/rule_system.hpp"

namespace weft {

/// The table "ip weft" or "ip6 weft" as a script for nft that replaces it in one transaction; without masquerade: that removes
/// it.
///
/// It has no forward chain: an accept in one nftables chain does not keep another chain from dropping the packet, so it
/// would cost every packet a look and help none.
[[nodiscard]] std::string nft_script(const FirewallConfig &config, RuleFamily family);

/// weft's rules as the nftables tables "ip weft" and "ip6 weft".
///
/// Contract: ensure() writes a table when it is not as ensure() left it, and once after a start: how a kernel's rules are
/// listed differs between versions of nftables, so only listings of one process can be compared.
class NftablesRules final : public RuleKeeper {
public:
    explicit NftablesRules(Nft nft) : nft_(std::move(nft)) {}

    [[nodiscard]] Result<bool> ensure(const FirewallConfig &config) override;
    [[nodiscard]] Result<std::vector<std::string>> differences(const FirewallConfig &config) override;
    [[nodiscard]] Result<bool> remove() override;
    [[nodiscard]] std::vector<std::string> list() override;

private:
    struct Written {
        std::string script, listing; ///< the last script, and what the table looked like after it
    };
    [[nodiscard]] Result<std::string> listing(RuleFamily family); ///< empty: there is no such table
    [[nodiscard]] Result<bool> ensure(const FirewallConfig &config, RuleFamily family);
    [[nodiscard]] Result<bool> remove(RuleFamily family);

    Nft nft_;
    std::map<RuleFamily, Written> written_;
};

} // namespace weft

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/addr.hpp"
#include "base/error.hpp"

struct nft_ctx;

namespace weft {

/// What leaves the pod network, or enters it from outside, and gets this host's address: flannel's --ip-masq.
struct Masquerade {
    Net4 network;             ///< the cluster's pod network
    Net4 subnet;              ///< this node's
    bool random_ports = true; ///< fully random source ports, against races between flows that want one port

    bool operator==(const Masquerade &) const = default;
};

/// The table as a script for nft that replaces it in one transaction: flannel's rules in flannel's order.
[[nodiscard]] std::string ruleset_of(const Masquerade &masquerade);
/// Removes the table, there or not.
[[nodiscard]] std::string empty_ruleset();

/// The nftables table "ip weft" of the network namespace it was opened in. No other table is read or touched.
///
/// Contract: ensure() writes the table when it is not as ensure() left it, and once after a start: how a kernel's rules
/// are listed differs between versions of nftables, so only listings of one process can be compared.
/// Threads: one. Errors: nft's own words, in one line.
class MasqueradeTable {
public:
    [[nodiscard]] static Result<MasqueradeTable> open();

    /// @param wanted nothing: no such table.
    /// @return whether it was written.
    [[nodiscard]] Result<bool> ensure(const std::optional<Masquerade> &wanted);

private:
    struct Free {
        void operator()(nft_ctx *ctx) const;
    };
    explicit MasqueradeTable(nft_ctx *ctx) : ctx_(ctx) {}
    /// @return what the commands print.
    [[nodiscard]] Result<std::string> run(const std::string &commands);
    [[nodiscard]] std::string listing();

    std::unique_ptr<nft_ctx, Free> ctx_;
    std::string written_, listed_; ///< the last script, and what the table looked like after it
};

} // namespace weft

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>

#include <memory>
#include <string>

#include "base/error.hpp"

struct nft_ctx;

namespace weft {

/// nft's command language without nft: libnftables, in the network namespace in which it was opened.
///
/// Threads: one. Errors: nft's own words, in one line; ENOENT when what a command names is not there.
class Nft {
public:
    [[nodiscard]] static Result<Nft> open();

    /// @return what the commands print, counters left out.
    [[nodiscard]] Result<std::string> run(const std::string &commands);
    /// The same in nft's JSON: the array of its objects.
    [[nodiscard]] Result<nlohmann::json> run_json(const std::string &commands);

private:
    struct Free {
        void operator()(nft_ctx *ctx) const;
    };
    explicit Nft(nft_ctx *ctx) : ctx_(ctx) {}
    std::unique_ptr<nft_ctx, Free> ctx_;
};

} // namespace weft

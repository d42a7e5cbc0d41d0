// SPDX-License-Identifier: Apache-2.0
#include "firewall/nft.hpp"

#include <nftables/libnftables.h>
#include <nlohmann/json.hpp>

#include <algorithm>

namespace weft {

void Nft::Free::operator()(nft_ctx *ctx) const { nft_ctx_free(ctx); }

Result<Nft> Nft::open() {
    nft_ctx *ctx = nft_ctx_new(NFT_CTX_DEFAULT);
    if (!ctx) return fail("nftables: no context", ENOMEM);
    Nft nft(ctx);
    if (nft_ctx_buffer_output(ctx) != 0 || nft_ctx_buffer_error(ctx) != 0) return fail("nftables: no buffers", ENOMEM);
    return nft;
}

Result<std::string> Nft::run(const std::string &commands) {
    nft_ctx_output_set_flags(ctx_.get(), NFT_CTX_OUTPUT_STATELESS);
    const bool failed = nft_run_cmd_from_buffer(ctx_.get(), commands.c_str()) != 0;
    std::string out = nft_ctx_get_output_buffer(ctx_.get()), err = nft_ctx_get_error_buffer(ctx_.get());
    if (!failed) return out;
    const bool missing = err.find("No such file or directory") != err.npos;
    // The first line says it; the others draw arrows below the script.
    err.resize(std::min(err.size(), err.find('\n')));
    return fail("nftables: " + err, missing ? ENOENT : EIO);
}

Result<nlohmann::json> Nft::run_json(const std::string &commands) {
    nft_ctx_output_set_flags(ctx_.get(), NFT_CTX_OUTPUT_JSON);
    const bool failed = nft_run_cmd_from_buffer(ctx_.get(), commands.c_str()) != 0;
    const std::string out = nft_ctx_get_output_buffer(ctx_.get()), err = nft_ctx_get_error_buffer(ctx_.get());
    if (failed)
        return fail("nftables: " + err.substr(0, err.find('\n')),
                    err.find("No such file or directory") != err.npos ? ENOENT : EIO);
    auto answer = nlohmann::json::parse(out, nullptr, false);
    if (!answer.is_object() || !answer.contains("nftables")) return fail("nftables: no JSON in its answer", EPROTO);
    return std::move(answer["nftables"]);
}

} // namespace weft

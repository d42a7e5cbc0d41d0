// SPDX-License-Identifier: Apache-2.0
#include "daemon/masq.hpp"

#include <fmt/format.h>
#include <nftables/libnftables.h>

#include <algorithm>

namespace weft {

std::string empty_ruleset() {
    // "add" first: "delete" alone fails where there is no such table.
    return "add table ip weft\ndelete table ip weft\n";
}

std::string ruleset_of(const Masquerade &masquerade) {
    const auto network = masquerade.network.canonical().to_string(), subnet = masquerade.subnet.canonical().to_string();
    const auto *random = masquerade.random_ports ? " fully-random" : "";
    std::string script = empty_ruleset();
    script += "table ip weft {\n"
              "  chain postrouting {\n"
              "    type nat hook postrouting priority srcnat; policy accept;\n";
    const auto rule = [&](std::string_view text) { script += fmt::format("    {}\n", text); };
    // kube-proxy marks what it masquerades itself; other bits of the mark are other people's.
    rule("meta mark & 0x4000 == 0x4000 return");
    rule(fmt::format("ip saddr {} ip daddr {} return", subnet, network));
    rule(fmt::format("ip saddr {} ip daddr {} return", network, subnet));
    // Pods of this node see who really calls them.
    rule(fmt::format("ip saddr != {} ip daddr {} return", network, subnet));
    rule(fmt::format("ip saddr {} ip daddr != 224.0.0.0/4 masquerade{}", network, random));
    rule(fmt::format("ip saddr != {} ip daddr {} masquerade{}", network, network, random));
    return script + "  }\n}\n";
}

void MasqueradeTable::Free::operator()(nft_ctx *ctx) const { nft_ctx_free(ctx); }

Result<MasqueradeTable> MasqueradeTable::open() {
    nft_ctx *ctx = nft_ctx_new(NFT_CTX_DEFAULT);
    if (!ctx) return fail("nftables: no context", ENOMEM);
    MasqueradeTable table(ctx);
    if (nft_ctx_buffer_output(ctx) != 0 || nft_ctx_buffer_error(ctx) != 0) return fail("nftables: no buffers", ENOMEM);
    return table;
}

Result<std::string> MasqueradeTable::run(const std::string &commands) {
    const bool failed = nft_run_cmd_from_buffer(ctx_.get(), commands.c_str()) != 0;
    std::string out = nft_ctx_get_output_buffer(ctx_.get()), err = nft_ctx_get_error_buffer(ctx_.get());
    if (!failed) return out;
    // The first line says it; the others draw arrows below the script.
    err.resize(std::min(err.size(), err.find('\n')));
    return fail("nftables: " + err, EIO);
}

std::string MasqueradeTable::listing() {
    // A table that is not there is listed as an error, and compares as nothing.
    return run("list table ip weft").value_or("");
}

Result<bool> MasqueradeTable::ensure(const std::optional<Masquerade> &wanted) {
    const auto script = wanted ? ruleset_of(*wanted) : empty_ruleset();
    if (script == written_ && listing() == listed_) return false;
    if (!wanted && listing().empty()) {
        written_ = script;
        listed_.clear();
        return false;
    }
    if (auto done = run(script); !done) return fail_as_is(std::move(done));
    written_ = script;
    listed_ = listing();
    return true;
}

} // namespace weft

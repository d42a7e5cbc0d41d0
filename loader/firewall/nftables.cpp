// SPDX-License-Identifier: Apache-2.0
#include "firewall/nftables.hpp"

#include <fmt/format.h>

namespace weft {
namespace {

// "add" first: "delete" alone fails where there is no such table.
constexpr const char *kRemove = "add table ip weft\ndelete table ip weft\n";

std::string text_of(const PacketRule &rule) {
    std::string text;
    if (rule.kube_mark) text += "meta mark & 0x4000 == 0x4000 ";
    const auto match = [&](const char *field, const std::optional<PacketRule::Prefix> &prefix) {
        if (prefix) text += fmt::format("ip {} {}{} ", field, prefix->except ? "!= " : "", prefix->text);
    };
    match("saddr", rule.source);
    match("daddr", rule.destination);
    switch (rule.verdict) {
    case PacketRule::Verdict::leave: return text + "return";
    case PacketRule::Verdict::accept: return text + "accept";
    case PacketRule::Verdict::masquerade: break;
    }
    return text + (rule.random_ports ? "masquerade fully-random" : "masquerade");
}

} // namespace

std::string nft_script(const FirewallConfig &config) {
    std::string script = kRemove;
    const auto rules = masquerade_rules(config);
    if (rules.empty()) return script;
    script += "table ip weft {\n"
              "  chain postrouting {\n"
              "    type nat hook postrouting priority srcnat; policy accept;\n";
    for (const auto &rule : rules) script += fmt::format("    {}\n", text_of(rule));
    return script + "  }\n}\n";
}

Result<std::string> NftablesRules::listing() {
    auto text = nft_.run("list table ip weft");
    if (!text && text.error().code() == ENOENT) return std::string();
    return text;
}

Result<bool> NftablesRules::ensure(const FirewallConfig &config) {
    if (!config.masquerade) return remove();
    const auto script = nft_script(config);
    auto now = listing();
    if (!now) return fail_as_is(std::move(now));
    if (script == written_ && *now == listed_) return false;
    if (auto done = nft_.run(script); !done) return fail_as_is(std::move(done));
    auto after = listing();
    if (!after) return fail_as_is(std::move(after));
    written_ = script;
    listed_ = std::move(*after);
    return *now != listed_;
}

Result<bool> NftablesRules::remove() {
    written_.clear();
    listed_.clear();
    auto now = listing();
    if (!now) return fail_as_is(std::move(now));
    if (now->empty()) return false;
    if (auto done = nft_.run(kRemove); !done) return fail_as_is(std::move(done));
    return true;
}

std::vector<std::string> NftablesRules::list() {
    const auto now = listing();
    if (!now || now->empty()) return {};
    return {"nftables: table ip weft"};
}

} // namespace weft

// SPDX-License-Identifier: Apache-2.0
#include "firewall/socket_guard.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace weft {
namespace {

constexpr std::string_view kTable = "inet weft";

/// Addresses of one family, as nft has a set; empty where there are none.
std::string set_of(const std::vector<Ip> &addresses, bool v4) {
    std::vector<std::string> texts;
    for (const auto &address : addresses)
        if (address.is_v4() == v4) texts.push_back(address.to_string());
    return texts.empty() ? std::string() : fmt::format("{{ {} }}", fmt::join(texts, ", "));
}

} // namespace

std::string guard_script(const std::optional<SocketGuard> &guard) {
    // "add" first: "delete" alone fails where there is no such table.
    auto script = fmt::format("add table {0}\ndelete table {0}\n", kTable);
    if (!guard) return script;
    const auto *verdict = guard->drop ? "counter drop" : "counter";
    script += fmt::format("table {} {{\n"
                          "  chain input {{\n"
                          "    type filter hook input priority -310; policy accept;\n",
                          kTable);
    const auto rule = [&](const std::string &match) {
        script += fmt::format("    {} udp dport {} {}\n", match, guard->port, verdict);
    };
    rule(fmt::format("meta iif != {{ {} }}", fmt::join(guard->links, ", ")));
    for (const bool v4 : {true, false}) {
        const char *family = v4 ? "ip" : "ip6";
        const auto own = set_of(guard->addresses, v4);
        rule(own.empty() ? fmt::format("meta nfproto ipv{}", v4 ? 4 : 6) : fmt::format("{} daddr != {}", family, own));
    }
    return script + "  }\n}\n";
}

Result<std::string> SocketGuardRules::listing() {
    auto text = nft_.run(fmt::format("list table {}", kTable));
    if (!text && text.error().code() == ENOENT) return std::string();
    return text;
}

Result<bool> SocketGuardRules::ensure(const std::optional<SocketGuard> &guard) {
    auto now = listing();
    if (!now) return fail_as_is(std::move(now));
    if (is_as_left(guard, *now)) return false;
    auto script = guard_script(guard);
    if (auto done = nft_.run(script); !done) return fail_as_is(std::move(done));
    auto after = listing();
    if (!after) return fail_as_is(std::move(after));
    script_ = std::move(script);
    listing_ = std::move(*after);
    return *now != listing_;
}

Result<std::vector<std::string>> SocketGuardRules::differences(const std::optional<SocketGuard> &guard) {
    const auto now = listing();
    if (!now) return std::unexpected(now.error());
    if (is_as_left(guard, *now)) return std::vector<std::string>();
    return std::vector{fmt::format("nftables: table {}: {}", kTable,
                                   !guard         ? "not wanted"
                                   : now->empty() ? "missing"
                                                  : "not as weft makes it")};
}

std::vector<std::string> SocketGuardRules::list() {
    const auto now = listing();
    if (!now || now->empty()) return {};
    return {fmt::format("nftables: table {}", kTable)};
}

} // namespace weft

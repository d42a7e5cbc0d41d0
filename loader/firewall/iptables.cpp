// SPDX-License-Identifier: Apache-2.0
#include "firewall/iptables.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <fstream>
#include <sstream>

#include "firewall/command.hpp"
#include "firewall/nft.hpp"

namespace weft {
namespace {

/// iptables waits so many seconds for the lock that all its callers on a machine share.
constexpr const char *kLockPatience = "5";
constexpr int kLockBusy = 4; ///< its exit code when that was not enough

std::vector<std::string> lines_of(const std::string &text) {
    std::vector<std::string> lines;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);)
        if (!line.empty()) lines.push_back(std::move(line));
    return lines;
}

std::string first_line(std::string_view text) { return std::string(text.substr(0, text.find('\n'))); }

std::string jump_to(const IptablesPlace &place) {
    return fmt::format("-A {} -m comment --comment \"{}\" -j {}", place.built_in, place.comment, place.own);
}

std::string text_of(const PacketRule &rule, const IptablesPlace &place, bool random_fully) {
    std::string text = fmt::format("-A {} ", place.own);
    const auto match = [&](const char *option, const std::optional<PacketRule::Prefix> &prefix) {
        if (prefix) text += fmt::format("{}{} {} ", prefix->except ? "! " : "", option, prefix->text);
    };
    match("-s", rule.source);
    match("-d", rule.destination);
    if (rule.kube_mark) text += "-m mark --mark 0x4000/0x4000 ";
    text += fmt::format("-m comment --comment \"{}\" -j ", place.comment);
    switch (rule.verdict) {
    case PacketRule::Verdict::leave: return text + "RETURN";
    case PacketRule::Verdict::accept: return text + "ACCEPT";
    case PacketRule::Verdict::masquerade: break;
    }
    return text + (rule.random_ports && random_fully ? "MASQUERADE --random-fully" : "MASQUERADE");
}

std::optional<IptablesTools> tools_named(const std::string &name, RuleSystem wanted, RuleFamily family) {
    auto iptables = find_command(name), save = find_command(name + "-save"), restore = find_command(name + "-restore");
    if (!iptables || !save || !restore) return std::nullopt;
    const auto said = run_command({*iptables, "--version"});
    const auto version = said ? parse_iptables_version(said->out) : std::nullopt;
    if (!version || version->first != wanted) return std::nullopt;
    return IptablesTools{wanted, family, std::move(*iptables), std::move(*save), std::move(*restore), version->second};
}

} // namespace

std::optional<std::pair<RuleSystem, bool>> parse_iptables_version(std::string_view text) {
    const auto at = text.find(" v");
    if (!(text.starts_with("iptables") || text.starts_with("ip6tables")) || at == text.npos) return std::nullopt;
    unsigned parts[3] = {};
    const char *next = text.data() + at + 2, *end = text.data() + text.size();
    for (auto &part : parts) {
        const auto parsed = std::from_chars(next, end, part);
        if (parsed.ec != std::errc{}) break;
        next = parsed.ptr;
        if (next == end || *next != '.') break;
        ++next;
    }
    constexpr unsigned kRandomFully[3] = {1, 6, 2};
    const bool recent = !std::ranges::lexicographical_compare(parts, kRandomFully);
    // Before 1.8 there was one kind and nothing in brackets.
    const bool nft = text.find("(nf_tables)") != text.npos;
    return std::pair(nft ? RuleSystem::iptables_nft : RuleSystem::iptables_legacy, recent);
}

std::optional<IptablesTools> find_iptables(RuleSystem system, RuleFamily family) {
    const std::string plain = family == RuleFamily::ipv4 ? "iptables" : "ip6tables";
    for (const std::string &name : {std::string(name_of(system, family)), plain})
        if (auto tools = tools_named(name, system, family)) return tools;
    return std::nullopt;
}

std::optional<RuleSystem> default_iptables() {
    const auto path = find_command("iptables");
    if (!path) return std::nullopt;
    const auto said = run_command({*path, "--version"});
    const auto version = said ? parse_iptables_version(said->out) : std::nullopt;
    return version ? std::optional(version->first) : std::nullopt;
}

std::vector<std::string> iptables_rules(const IptablesPlace &place, const FirewallConfig &config, RuleFamily family,
                                        bool random_fully) {
    std::vector<std::string> lines;
    const bool masquerade = std::string_view(place.own) == kMasqueradePlace.own;
    for (const auto &rule : masquerade ? masquerade_rules(config, family) : forward_rules(config, family))
        lines.push_back(text_of(rule, place, random_fully));
    return lines;
}

std::string iptables_payload(const IptablesPlace &place, const std::vector<std::string> &wanted,
                             const IptablesFound &found) {
    std::string body;
    if (wanted.empty()) {
        for (const auto &jump : found.jumps) body += "-D" + jump.substr(2) + "\n"; // "-A POSTROUTING ..." as listed
        if (found.chain) body += fmt::format("-F {0}\n-X {0}\n", place.own);
    } else {
        // Under --noflush this makes the chain, or empties it.
        body += fmt::format(":{} - [0:0]\n", place.own);
        for (const auto &rule : wanted) body += rule + "\n";
        if (found.jumps.empty()) body += jump_to(place) + "\n";
    }
    return body.empty() ? body : fmt::format("*{}\n{}COMMIT\n", place.table, body);
}

std::vector<std::string> legacy_tables(RuleFamily family) {
    // "/proc/net" would be the main thread's network namespace, not the calling one's.
    std::ifstream in(family == RuleFamily::ipv4 ? "/proc/thread-self/net/ip_tables_names"
                                                : "/proc/thread-self/net/ip6_tables_names");
    std::vector<std::string> names;
    for (std::string line; std::getline(in, line);) names.push_back(std::move(line));
    return names;
}

bool has_legacy_tables() {
    return std::ranges::any_of(kRuleFamilies, [](RuleFamily family) { return !legacy_tables(family).empty(); });
}

namespace {

/// Lines of the two chains, and perhaps more. iptables-nft reads from the kernel but the chain that is asked for: 3 ms beside
/// the rules of 1000 services, where all of them take 200. iptables-legacy always reads all, and only -S makes it sort them: 80
/// ms against 14.
Result<std::vector<std::string>> list_lines(const IptablesTools &tools, const IptablesPlace &place) {
    std::vector<std::vector<std::string>> commands;
    if (tools.system == RuleSystem::iptables_legacy)
        commands.push_back({tools.save, "-t", place.table});
    else
        for (const auto *chain : {place.own, place.built_in})
            commands.push_back({tools.iptables, "-w", kLockPatience, "-t", place.table, "-S", chain});
    std::vector<std::string> lines;
    for (auto &command : commands) {
        auto said = run_command(std::move(command));
        if (!said) return fail_as_is(std::move(said));
        if (said->code == kLockBusy || said->code > 128)
            return fail(fmt::format("{}: {}", name_of(tools.system, tools.family), first_line(said->err)), EAGAIN);
        // Any other failure is its way to say that there is no such chain.
        if (said->code == 0)
            for (auto &line : lines_of(said->out)) lines.push_back(std::move(line));
    }
    return lines;
}

Result<IptablesFound> find(const IptablesTools &tools, const IptablesPlace &place) {
    IptablesFound found;
    if (tools.system == RuleSystem::iptables_legacy &&
        std::ranges::count(legacy_tables(tools.family), place.table) == 0)
        return found;
    auto lines = list_lines(tools, place);
    if (!lines) return fail_as_is(std::move(lines));
    const auto rule = fmt::format("-A {} ", place.own), jump = fmt::format("-A {} ", place.built_in);
    const auto made = fmt::format("-N {}", place.own), saved = fmt::format(":{} ", place.own); // -S and -save
    const auto to_ours = fmt::format(" -j {}", place.own);
    for (auto &line : *lines) {
        found.chain = found.chain || line == made || line.starts_with(saved);
        if (line.starts_with(rule))
            found.rules.push_back(std::move(line));
        else if (line.starts_with(jump) && line.ends_with(to_ours))
            found.jumps.push_back(std::move(line));
    }
    return found;
}

/// Whether the kernel has a chain of one of these places, to which alone a jump could lead. Asked without running a program: a
/// start asks for many that are not there. What cannot be told may be.
bool may_have_any(RuleSystem system, RuleFamily family, std::span<const IptablesPlace> places) {
    if (system == RuleSystem::iptables_legacy) {
        const auto tables = legacy_tables(family);
        return std::ranges::any_of(places,
                                   [&](const auto &place) { return std::ranges::count(tables, place.table) > 0; });
    }
    auto nft = Nft::open();
    const char *prefix = family == RuleFamily::ipv4 ? "ip" : "ip6";
    return !nft || std::ranges::any_of(places, [&](const auto &place) {
        // In words it would complain of targets that are iptables' own.
        const auto listed = nft->run_json(fmt::format("list chain {} {} {}", prefix, place.table, place.own));
        return listed || listed.error().code() != ENOENT;
    });
}

Status restore(const IptablesTools &tools, const std::string &payload) {
    std::vector<std::string> argv{tools.restore, "--noflush"};
    if (tools.random_fully) argv.insert(argv.end(), {"--wait", kLockPatience});
    auto said = run_command(std::move(argv), payload);
    if (!said) return fail_as_is(std::move(said));
    if (said->code == 0) return {};
    std::string words = said->err; // the reason is often on the second line
    std::ranges::replace(words, '\n', ' ');
    while (words.ends_with(' ')) words.pop_back();
    const bool busy = said->code == kLockBusy && tools.system == RuleSystem::iptables_legacy;
    return fail(fmt::format("{}: {}", tools.restore, words), busy ? EAGAIN : EIO);
}

} // namespace

bool IptablesRules::Tables::installed(RuleSystem system, RuleFamily family) {
    if (!tools) tools = find_iptables(system, family);
    return tools.has_value();
}

Result<bool> IptablesRules::ensure(const FirewallConfig &config) {
    bool written = false;
    for (const auto family : kRuleFamilies) {
        const bool wanted = config.of(family) && !config.wants_nothing();
        auto &tables = tables_[family];
        tables.empty = !wanted && (tables.empty || !may_have_any(system_, family, places_));
        if (!wanted && (tables.empty || !tables.installed(system_, family))) continue;
        auto done = ensure(config, family);
        if (!done) return done;
        tables.empty = !wanted;
        written = written || *done;
    }
    return written;
}

Result<std::vector<IptablesRules::Wrong>> IptablesRules::compare(const FirewallConfig &config, RuleFamily family) {
    auto &tables = tables_[family];
    if (!tables.installed(system_, family))
        return fail(fmt::format("{} is not installed", name_of(system_, family)), EIO);
    std::vector<Wrong> wrong;
    for (const auto &place : places_) {
        auto wanted = iptables_rules(place, config, family, tables.tools->random_fully);
        auto found = find(*tables.tools, place);
        if (!found) return fail_as_is(std::move(found));
        const auto &[last_written, last_listed] = tables.as_listed[place.own];
        const bool as_written = last_written == wanted && last_listed == found->rules;
        const bool right =
            wanted.empty() ? found->nothing() : !found->jumps.empty() && (found->rules == wanted || as_written);
        if (!right) wrong.push_back({&place, std::move(wanted), std::move(*found)});
    }
    return wrong;
}

Result<std::vector<std::string>> IptablesRules::differences(const FirewallConfig &config) {
    std::vector<std::string> lines;
    for (const auto family : kRuleFamilies) {
        const bool wanted = config.of(family) && !config.wants_nothing();
        if (!wanted && (tables_[family].empty || !tables_[family].installed(system_, family))) continue;
        const auto wrong = compare(config, family);
        if (!wrong) return std::unexpected(wrong.error());
        for (const auto &[place, rules, found] : *wrong)
            lines.push_back(fmt::format("{} -t {}: {}: {}", name_of(system_, family), place->table, place->own,
                                        rules.empty()         ? "not wanted"
                                        : found.nothing()     ? "missing"
                                        : found.jumps.empty() ? "nothing leads to it"
                                                              : "not as weft makes it"));
    }
    return lines;
}

Result<bool> IptablesRules::ensure(const FirewallConfig &config, RuleFamily family) {
    auto wrong = compare(config, family);
    if (!wrong) return fail_as_is(std::move(wrong));
    if (wrong->empty()) return false;
    auto &tables = tables_[family];
    const auto &tools = *tables.tools;
    std::string payload;
    for (const auto &[place, wanted, found] : *wrong) payload += iptables_payload(*place, wanted, found);
    if (auto done = restore(tools, payload); !done) return fail_as_is(std::move(done));
    for (auto &[place, wanted, before] : *wrong) {
        auto found = find(tools, *place);
        if (!found) return fail_as_is(std::move(found));
        if (wanted.size() != found->rules.size() || wanted.empty() != found->jumps.empty())
            return fail(fmt::format("{} took the rules of {}, but does not have them", tools.restore, place->own),
                        EAGAIN);
        tables.as_listed[place->own] = {std::move(wanted), std::move(found->rules)};
    }
    return true;
}

Result<bool> IptablesRules::remove() {
    for (auto &[family, tables] : tables_) tables.empty = false; // whoever asks wants to know
    return ensure(FirewallConfig{});
}

std::vector<std::string> IptablesRules::list() {
    std::vector<std::string> lines;
    for (const auto family : kRuleFamilies) {
        if (!may_have_any(system_, family, places_) || !tables_[family].installed(system_, family)) continue;
        const auto name = name_of(system_, family);
        for (const auto &place : places_) {
            const auto found = find(*tables_[family].tools, place);
            if (!found || found->nothing()) continue;
            for (const auto *some : {&found->jumps, &found->rules})
                for (const auto &line : *some) lines.push_back(fmt::format("{} -t {} {}", name, place.table, line));
            if (found->chain) lines.push_back(fmt::format("{} -t {} -N {}", name, place.table, place.own));
        }
    }
    return lines;
}

} // namespace weft

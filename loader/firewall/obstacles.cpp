// SPDX-License-Identifier: Apache-2.0
#include "firewall/obstacles.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include <algorithm>
#include <regex>
#include <sstream>

#include "firewall/command.hpp"
#include "firewall/iptables.hpp"
#include "firewall/nft.hpp"

namespace weft {
namespace {

enum class Fate { none, accept, drop };

std::string collapse(const std::string &text, const std::regex &noise) {
    auto kept = std::regex_replace(text, noise, " ");
    kept = std::regex_replace(kept, std::regex(R"(\s+)"), " ");
    const auto begin = kept.find_first_not_of(' ');
    return begin == kept.npos ? "" : kept.substr(begin, kept.find_last_not_of(' ') - begin + 1);
}

/// What the rule's verdict is, if it has one of its own.
Fate fate_of(const HostChain &chain, const std::string &rule) {
    static const std::regex kOfNft(R"((?:^|\s)(accept|drop|reject\b.*)$)"),
        kOfIptables(R"(-j (ACCEPT|DROP|REJECT\b.*)$)");
    std::smatch found;
    if (!std::regex_search(rule, found, chain.system == RuleSystem::nftables ? kOfNft : kOfIptables)) return Fate::none;
    const auto verdict = found[1].str();
    return verdict == "accept" || verdict == "ACCEPT" ? Fate::accept : Fate::drop;
}

/// Whether a rule with a verdict has no condition.
bool is_for_all(const std::string &rule) {
    static const std::regex kBare(R"((?:-j )?(?:accept|drop|reject\b.*|ACCEPT|DROP|REJECT\b.*))");
    return std::regex_match(rule, kBare);
}

std::string title(const HostChain &chain) {
    return fmt::format("{} {}", name_of(chain.system, chain.family), chain.name);
}

/// A command that puts a rule before all others of the chain.
std::string insert_command(const HostChain &chain, std::string_view nft_rule, std::string_view iptables_rule) {
    if (chain.system == RuleSystem::nftables) return fmt::format("nft insert rule {} {}", chain.name, nft_rule);
    const auto at = chain.name.rfind(' ');
    const auto table = at == chain.name.npos ? std::string() : chain.name.substr(0, at) + " ";
    const auto built_in = at == chain.name.npos ? chain.name : chain.name.substr(at + 1);
    return fmt::format("{} {}-I {} {}", name_of(chain.system, chain.family), table, built_in, iptables_rule);
}

std::string_view nft_family(RuleFamily family) { return family == RuleFamily::ipv4 ? "ip" : "ip6"; }

bool is_firewalld(const HostChain &chain) { return chain.name.find(" firewalld ") != chain.name.npos; }

/// Why a chain drops what no rule of its before has accepted; `accepts` finds such a rule.
template <class Accepts> std::optional<std::string> why_dropped(const HostChain &chain, Accepts accepts) {
    for (const auto &rule : chain.rules) {
        if (accepts(rule)) return std::nullopt;
        const auto fate = fate_of(chain, rule);
        if (fate == Fate::none || !is_for_all(rule)) continue;
        if (fate == Fate::accept) return std::nullopt;
        return fmt::format("its rule \"{}\" drops what no rule before it accepts", rule);
    }
    if (chain.drops_by_default) return "its policy is DROP, and no rule of its accepts";
    return std::nullopt;
}

struct BaseChain {
    std::string family, table, name;
};

Result<std::vector<BaseChain>> base_chains(Nft &nft, FirewallHook hook, std::string_view wanted) {
    auto objects = nft.run_json("list chains");
    if (!objects) return fail_as_is(std::move(objects));
    std::vector<BaseChain> found;
    for (const auto &object : *objects) {
        if (!object.contains("chain")) continue;
        const auto &chain = object["chain"];
        const auto family = chain.value("family", ""), table = chain.value("table", "");
        if (chain.value("hook", "") != (hook == FirewallHook::forward ? "forward" : "input")) continue;
        if (family != wanted && family != "inet") continue;
        if ((family == wanted || family == "inet") && table == "weft") continue;
        found.push_back({family, table, chain.value("name", "")});
    }
    return found;
}

std::string name_in_iptables(std::string_view table, std::string_view built_in) {
    return table == "filter" ? std::string(built_in) : fmt::format("-t {} {}", table, built_in);
}

std::optional<HostChain> read_iptables(const IptablesTools &tools, std::string_view table, std::string_view built_in) {
    auto said = run_command({tools.iptables, "-w", "5", "-t", std::string(table), "-S", std::string(built_in)});
    if (!said || said->code != 0) return std::nullopt;
    // A chain of its name, but not its own: it shows an empty one in its place, with exit status 0.
    if ((said->out + said->err).find("incompatible") != std::string::npos) return std::nullopt;
    return parse_iptables_chain(tools.system, tools.family, name_in_iptables(table, built_in), said->out);
}

} // namespace

HostChain parse_nft_chain(RuleFamily family, std::string name, std::string_view listing) {
    static const std::regex kNoise(
        R"re(\bcounter( packets \d+ bytes \d+)?|\bcomment "[^"]*"|\blog( prefix "[^"]*")?( (level|flags|group) \S+)*)re");
    HostChain chain{.family = family, .name = std::move(name)};
    std::istringstream lines{std::string(listing)};
    bool inside = false;
    for (std::string line; std::getline(lines, line);) {
        if (line.find(" hook ") != line.npos) {
            chain.drops_by_default = line.find("policy drop") != line.npos;
            inside = true;
        } else if (inside) {
            auto rule = collapse(line, kNoise);
            if (rule == "}") break;
            if (!rule.empty()) chain.rules.push_back(std::move(rule));
        }
    }
    return chain;
}

HostChain parse_iptables_chain(RuleSystem system, RuleFamily family, std::string name, std::string_view listing) {
    static const std::regex kNoise(R"re(-m comment|--comment ("(\\.|[^"\\])*"|\S+))re");
    HostChain chain{.system = system, .family = family, .name = std::move(name)};
    std::istringstream lines{std::string(listing)};
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with("-P ")) chain.drops_by_default = line.ends_with(" DROP");
        if (!line.starts_with("-A ")) continue;
        const auto rule = line.find(' ', 3); // after the chain's name
        if (rule != line.npos) chain.rules.push_back(collapse(line.substr(rule), kNoise));
    }
    return chain;
}

Result<std::vector<HostChain>> read_host_chains(FirewallHook hook, RuleFamily family) {
    auto nft = Nft::open();
    if (!nft) return fail_as_is(std::move(nft));
    auto found = base_chains(*nft, hook, nft_family(family));
    if (!found) return fail_as_is(std::move(found));
    const std::string_view built_in = hook == FirewallHook::forward ? "FORWARD" : "INPUT";
    const auto tools = find_iptables(RuleSystem::iptables_nft, family);
    std::vector<HostChain> chains;
    for (const auto &[of, table, name] : *found) {
        const bool of_iptables = of == nft_family(family) && name == built_in;
        if (of_iptables && tools)
            if (auto chain = read_iptables(*tools, table, built_in)) {
                chains.push_back(std::move(*chain));
                continue;
            }
        const auto full = fmt::format("{} {} {}", of, table, name);
        const auto listing = nft->run("list chain " + full);
        if (listing) chains.push_back(parse_nft_chain(family, full, *listing)); // else it has gone meanwhile
    }
    const auto legacy = find_iptables(RuleSystem::iptables_legacy, family);
    for (const auto &table : legacy_tables(family))
        if (legacy)
            if (auto chain = read_iptables(*legacy, table, built_in)) chains.push_back(std::move(*chain));
    return chains;
}

std::optional<Obstacle> forward_obstacle(const HostChain &chain, std::string_view pod_network) {
    const auto why = why_dropped(chain, [&](const std::string &rule) {
        return rule.ends_with(fmt::format("-j {}", kForwardPlace.own)) ||
               (rule.find(pod_network) != rule.npos && fate_of(chain, rule) == Fate::accept);
    });
    if (!why) return std::nullopt;
    Obstacle obstacle{.chain = title(chain), .why = *why + " what pods send or get", .advice = {}};
    if (is_firewalld(chain))
        obstacle.advice = fmt::format(
            "firewall-cmd --permanent --zone=trusted --add-source={} && firewall-cmd --reload", pod_network);
    else
        obstacle.advice =
            insert_command(chain, fmt::format("{} saddr {} accept", nft_family(chain.family), pod_network),
                           fmt::format("-s {} -j ACCEPT", pod_network)) +
            "; " +
            insert_command(chain, fmt::format("{} daddr {} accept", nft_family(chain.family), pod_network),
                           fmt::format("-d {} -j ACCEPT", pod_network));
    return obstacle;
}

std::optional<Obstacle> port_obstacle(const HostChain &chain, std::uint16_t port) {
    const std::regex names_port(fmt::format(R"(\b{}\b)", port));
    const auto accept = is_firewalld(chain)
                            ? fmt::format("firewall-cmd --permanent --add-port={}/udp && firewall-cmd --reload", port)
                            : insert_command(chain, fmt::format("udp dport {} accept", port),
                                             fmt::format("-p udp --dport {} -j ACCEPT", port));
    for (const auto &rule : chain.rules) {
        if (!std::regex_search(rule, names_port)) continue;
        const auto fate = fate_of(chain, rule);
        if (fate == Fate::accept) return std::nullopt;
        if (fate == Fate::drop) return Obstacle{title(chain), fmt::format("its rule \"{}\"", rule), accept};
    }
    const auto why = why_dropped(chain, [](const std::string &) { return false; });
    if (!why) return std::nullopt;
    return Obstacle{title(chain), fmt::format("{}, and none names UDP port {}", *why, port), accept, false};
}

} // namespace weft

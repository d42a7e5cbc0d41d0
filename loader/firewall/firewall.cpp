// SPDX-License-Identifier: Apache-2.0
#include "firewall/firewall.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "firewall/iptables.hpp"
#include "firewall/nftables.hpp"

namespace weft {
namespace {

using Clock = std::chrono::steady_clock;
constexpr auto kLookAgain = std::chrono::seconds(55); // less than weftd's audit interval, which calls for it

Result<std::unique_ptr<RuleKeeper>> make_keeper(RuleSystem system) {
    if (system == RuleSystem::nftables) {
        auto nft = Nft::open();
        if (!nft) return fail_as_is(std::move(nft));
        return std::make_unique<NftablesRules>(std::move(*nft));
    }
    if (!find_iptables(system, RuleFamily::ipv4))
        return fail(fmt::format("{} is not installed", to_string(system)), ENOENT);
    return std::make_unique<IptablesRules>(system);
}

} // namespace

Result<Firewall> Firewall::open() {
    auto nft = Nft::open();
    if (!nft) return fail_as_is(std::move(nft));
    auto guard = Nft::open();
    if (!guard) return fail_as_is(std::move(guard));
    return Firewall(std::move(*nft), std::move(*guard));
}

RuleKeeper *Firewall::keeper(RuleSystem system) {
    auto &kept = keepers_[system];
    if (!kept) {
        auto made = make_keeper(system); // looked for again each time: it may be installed later
        if (made) kept = std::move(*made);
    }
    return kept.get();
}

Result<RuleSystem> Firewall::choose(const FirewallConfig &config, FirewallChoice choice) {
    complaint_.clear();
    if (choice == FirewallChoice::nftables) return RuleSystem::nftables;
    auto use = probe_iptables(nft_, in_use_, config);
    if (!use) return fail_as_is(std::move(use));
    const bool unused = !use->nft && !use->legacy;
    const auto default_kind =
        choice == FirewallChoice::iptables && unused ? default_iptables() : std::optional<RuleSystem>();
    const auto chosen = choose_rule_system(choice, *use, in_use_, default_kind);
    if (choice == FirewallChoice::iptables && chosen == RuleSystem::nftables)
        complaint_ = "--firewall=iptables, but iptables is not installed: nftables is used";
    if (keeper(chosen)) return chosen;
    complaint_ = fmt::format("this host has rules of {0}, but {0} is not installed: nftables is used, and where the "
                             "FORWARD policy is DROP nothing of weft's can help",
                             to_string(chosen));
    return RuleSystem::nftables;
}

Status Firewall::remove_from_others(std::optional<RuleSystem> kept, std::vector<std::string> &done) {
    for (const auto system : kRuleSystems) {
        auto *other = system == kept ? nullptr : keeper(system);
        if (!other) continue;
        auto removed = other->remove();
        if (!removed) return fail_as_is(std::move(removed));
        if (*removed) done.push_back(fmt::format("removed from {}", to_string(system)));
    }
    others_clean_at_ = Clock::now();
    return {};
}

Result<bool> Firewall::write(RuleSystem system, const FirewallConfig &config) {
    auto *writer = keeper(system);
    if (!writer) return fail(fmt::format("{} cannot be used", to_string(system)), ENOENT);
    return writer->ensure(config);
}

Result<std::vector<std::string>> Firewall::ensure(const FirewallConfig &config, FirewallChoice choice) {
    std::vector<std::string> done;
    std::optional<RuleSystem> chosen;
    const auto now = Clock::now();
    if (!config.wants_nothing()) {
        auto system = choose(config, choice);
        if (!system) return fail_as_is(std::move(system));
        if (*system != RuleSystem::nftables && refused_at_ && now < *refused_at_ + kLookAgain) {
            complaint_ = refusal_;
            system = RuleSystem::nftables;
        }
        auto written = write(*system, config);
        if (!written && written.error().code() == EIO && *system != RuleSystem::nftables) {
            // A hand-made nftables table with iptables' names, say: better pods that reach the world than pure doctrine.
            complaint_ = refusal_ = written.error().sentence() + ": nftables is used";
            refused_at_ = now;
            others_clean_at_.reset(); // one of its tables may have been written
            system = RuleSystem::nftables;
            written = write(*system, config);
        }
        if (!written) return fail_as_is(std::move(written));
        chosen = *system;
        if (*written) done.push_back(fmt::format("written to {}", to_string(*chosen)));
    }
    if (chosen != in_use_) others_clean_at_.reset();
    in_use_ = chosen;
    if (!others_clean_at_ || *others_clean_at_ + kLookAgain <= now)
        if (auto removed = remove_from_others(chosen, done); !removed) return fail_as_is(std::move(removed));
    // Last: a kernel without nf_tables has its other rules all the same.
    auto guarded = guard_.ensure(config.guard);
    if (!guarded) return fail_in(std::move(guarded), "guard of the tunnel's socket");
    if (*guarded)
        done.push_back(config.guard ? "the tunnel's socket is guarded" : "the tunnel's socket is not guarded");
    return done;
}

Result<std::vector<std::string>> Firewall::differences(const FirewallConfig &config) {
    auto lines = guard_.differences(config.guard);
    if (!lines) return fail_in(std::move(lines), "guard of the tunnel's socket");
    if (auto *used = in_use_ ? keeper(*in_use_) : nullptr) {
        auto others = used->differences(config);
        if (!others) return others;
        std::ranges::move(*others, std::back_inserter(*lines));
    } else if (!config.wants_nothing()) {
        lines->emplace_back("not written yet");
    }
    return lines;
}

Status remove_firewall_rules() {
    Status all;
    if (auto nft = Nft::open()) {
        auto removed = SocketGuardRules(std::move(*nft)).ensure(std::nullopt);
        if (!removed) all = fail_as_is(std::move(removed));
    }
    for (const auto system : kRuleSystems) {
        auto keeper = make_keeper(system);
        if (!keeper && keeper.error().code() == ENOENT) continue; // then nothing of ours is there either
        Status removed;
        if (!keeper)
            removed = fail_as_is(std::move(keeper));
        else if (auto done = (*keeper)->remove(); !done)
            removed = fail_as_is(std::move(done));
        if (all && !removed) all = std::move(removed);
    }
    return all;
}

std::vector<std::string> list_firewall_rules() {
    std::vector<std::string> lines;
    if (auto nft = Nft::open()) lines = SocketGuardRules(std::move(*nft)).list();
    for (const auto system : kRuleSystems) {
        const auto keeper = make_keeper(system);
        if (!keeper) continue;
        for (auto &line : (*keeper)->list()) lines.push_back(std::move(line));
    }
    return lines;
}

} // namespace weft

// SPDX-License-Identifier: Apache-2.0
// `weftctl audit`: what the next apply() of everything would write, without writing it.
#include <fmt/format.h>

#include "daemon/reconcile.hpp"

namespace weft {
namespace {

void list(const std::vector<Action> &plan, std::vector<std::string> &lines) {
    for (const auto &action : plan) lines.push_back(fmt::format("{}: {}", item_of(action), deed_of(action)));
}

} // namespace

Result<std::vector<std::string>> Reconciler::audit(TimePoint now) {
    if (!ready()) return fail(fmt::format("weftd is not ready yet: {}", to_string(state())), EAGAIN);
    std::vector<std::string> lines;
    const auto host = wanted_host();
    const auto actual_host = kernel_.read_host(host);
    if (!actual_host) return std::unexpected(actual_host.error());
    list(diff(host, *actual_host), lines);
    const auto actual_maps = kernel_.read_maps(nullptr);
    if (!actual_maps) return std::unexpected(actual_maps.error());
    resolve(nullptr, now); // those that are forgotten at the moment
    const auto maps = desired_maps(view_, hops_, *actual_maps, subnet_capacity(view_.networks), nullptr, Census{});
    list(diff(maps.maps, *actual_maps), lines);
    const auto pods = kernel_.read_pods();
    if (!pods) return std::unexpected(pods.error());
    list(plan_pods(*pods, view_.own), lines);
    const auto allowed = kernel_.read_allowed();
    if (!allowed) return std::unexpected(allowed.error());
    list(plan_allowed(*allowed), lines);
    const auto missing = kernel_.read_missing();
    if (!missing) return std::unexpected(missing.error());
    for (const auto &what : *missing) lines.push_back(what + ": missing");
    const auto rules = kernel_.read_firewall_differences(wanted_rules());
    if (!rules) return std::unexpected(rules.error());
    for (const auto &what : *rules) lines.push_back("firewall rules: " + what);
    return lines;
}

} // namespace weft

// SPDX-License-Identifier: Apache-2.0
// The steps of Reconciler::apply() that take a node over from flannel.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include "daemon/reconcile.hpp"
#include "daemon/takeover.hpp"
#include "firewall/flannel_rules.hpp"

namespace weft {
namespace {

constexpr const char *kItem = "take over from flannel";
/// An empty bridge is left alone for so long: a pod may be about to be put on it.
constexpr auto kBridgePatience = std::chrono::seconds(10);

} // namespace

/// @return whether the node may be worked on: not while a flanneld that is alive has its device up. It repairs what is
/// taken from it, and both would tell the cluster about one node.
bool Reconciler::look_for_flannel(TimePoint now) {
    if (!check_flannel_) return true;
    if (!flannel_failures_.due(kItem, now)) return !(flannel_.daemon && is_place_taken(flannel_));
    auto left = kernel_.read_flannel(view_.backend, !looked_for_flannels_rules_ || !flannel_.devices.empty());
    if (!left) {
        failed(flannel_failures_, kItem, left.error(), now);
        return true;
    }
    if (!flannel_.rules.empty() && left->rules.empty()) left->rules = flannel_.rules;
    if (is_place_taken(*left) != is_place_taken(flannel_)) check_host();
    flannel_ = std::move(*left);
    looked_for_flannels_rules_ = true;
    if (flannel_.daemon && is_place_taken(flannel_)) {
        failed(flannel_failures_, kItem,
               Error(EBUSY, fmt::format("a flanneld runs on this node (process {}) and its {} is up: stop it, weft "
                                        "goes on with what it leaves",
                                        *flannel_.daemon, fmt::join(flannel_.on_port, " and "))),
               now);
        return false;
    }
    std::set<std::string> items;
    for (const auto &action : leavings_of_flannel(flannel_, view_.others)) items.insert(item_of(action));
    if (flannel_.bridge) items.insert(item_of(RemoveLink{flannel_.bridge->link}));
    flannel_failures_.keep_only(items); // what has gone by itself is nobody's failure any more
    check_flannel_ = false;
    return true;
}

/// After the maps are filled and before the uplink's programs are attached: those hand to weft.1 what they leave to the host's
/// stack, and until here flannel.1 takes it from the socket as it always did.
/// @return whether weft.1 has its place.
bool Reconciler::take_over(TimePoint now) {
    if (!is_place_taken(flannel_)) return true;
    if (!filled_ || !flannel_failures_.due(kItem, now)) return false;
    if (auto attached = kernel_.attach_vtep(); !attached) {
        failed(flannel_failures_, kItem, attached.error(), now);
        return false;
    }
    const auto swap = swap_with(flannel_, desired_host(view_, around_, narrow_));
    if (!perform(swap, kItem, flannel_failures_, spdlog::level::info, now)) {
        check_flannel_ = true; // it may have got half way
        return false;
    }
    flannel_.on_port.clear();
    check_host();
    apply_host(now);
    return true;
}

/// What weft has done by now, flannel's things are no longer needed for: they go last.
void Reconciler::clear_after_flannel(TimePoint now) {
    const bool in_place = ready() && rules_ && !step_failures_.all().contains("firewall rules");
    if (!in_place || is_place_taken(flannel_)) return;
    const auto plan = leavings_of_flannel(flannel_, view_.others);
    if (plan.empty()) return;
    if (flannel_.daemon) {
        failed(flannel_failures_, kItem,
               Error(EBUSY, fmt::format("a flanneld runs on this node (process {}): stop it, its {} is in the way",
                                        *flannel_.daemon, item_of(plan.front()))),
               now);
        check_flannel_ = true;
        return;
    }
    warn_of_masquerade();
    bool done = true;
    for (const auto &action : plan)
        if (const auto item = item_of(action); flannel_failures_.due(item, now))
            done = perform(action, item, flannel_failures_, spdlog::level::info, now) && done;
        else
            done = false;
    if (done) flannel_ = {.bridge = std::move(flannel_.bridge)};
}

/// cni0, once its last pod has gone: the bridge plugin leaves it, with the gateway's address and the subnet's route.
/// Whoever goes on using that plugin gets it again with the next pod.
void Reconciler::remove_empty_bridge(TimePoint now) {
    const auto is_empty = [&] {
        return flannel_.bridge && flannel_.bridge->ports == 0 && around_.bridges.contains(flannel_.bridge->link.name);
    };
    if (!is_empty() || flannel_.daemon || !ready()) {
        bridge_goes_at_.reset();
        return;
    }
    if (!bridge_goes_at_) bridge_goes_at_ = now + kBridgePatience;
    if (now < *bridge_goes_at_) return;
    bridge_goes_at_.reset();
    if (auto left = kernel_.read_flannel(view_.backend, false)) flannel_.bridge = std::move(left->bridge);
    if (!is_empty()) return;
    if (const RemoveLink removal{flannel_.bridge->link};
        perform(removal, item_of(removal), flannel_failures_, spdlog::level::info, now))
        flannel_.bridge.reset();
}

void Reconciler::warn_of_masquerade() {
    if (!options_.masquerade && flannel_masquerades(flannel_.rules))
        log_.warn("flannel masqueraded what pods send out of the pod network, and this weftd was not told to: "
                  "--ip-masq");
}

} // namespace weft

// SPDX-License-Identifier: Apache-2.0
#include "daemon/reconcile.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "daemon/takeover.hpp"

#include "base/crash_point.hpp"

namespace weft {
namespace {

/// A write can make the next one possible (a device its settings), but three levels of that are all there are: more
/// passes would be a fight with somebody over the same object.
constexpr int kMaxPasses = 4;

/// From so many writes on they go to the kernel together, and nobody asks what each of them is called.
constexpr std::size_t kMany = 64;

std::uint8_t encap_bits(const std::set<weft_encap> &encaps) {
    unsigned bits = 0;
    for (const auto encap : encaps) bits |= 1U << encap;
    return static_cast<std::uint8_t>(bits);
}

std::vector<Ip> addresses_of(const Uplink &uplink) {
    std::vector<Ip> addresses;
    for (const bool v4 : {true, false})
        if (const auto address = uplink.address(v4)) addresses.push_back(*address);
    return addresses;
}

} // namespace

std::string_view to_string(NodeState state) {
    switch (state) {
    case NodeState::waiting_config: return "waiting_config";
    case NodeState::acquiring: return "acquiring";
    case NodeState::syncing: return "syncing";
    case NodeState::synced: return "synced";
    }
    return "unknown";
}

void Reconciler::set_uplink(const Uplink &uplink) {
    if (has_uplink_ && view_.uplink == uplink) return;
    view_.uplink = uplink;
    has_uplink_ = true;
    check_host();
    forget_next_hops();
    check_attachments();
}

void Reconciler::set_config(const NetConf &conf, const BackendConf &backend) {
    view_.networks.clear();
    if (conf.enable_ipv4) view_.networks.push_back({conf.network, conf.subnet_len});
    if (conf.enable_ipv6) view_.networks.push_back({conf.ipv6_network, conf.ipv6_subnet_len});
    view_.backend = backend;
    view_.also = options_.also;
    prefer_nftables_ = conf.enable_nftables;
    has_config_ = true;
    check_host();
    check_maps();
}

void Reconciler::set_own(const Subnet &own) {
    view_.own = own;
    check_surroundings();
    check_maps();
    has_own_ = true;
}

void Reconciler::set_leases(const std::vector<LeasePtr> &leases) {
    view_.others = Leases(leases);
    snapshot_seen_ = true;
    check_host(); // from the first one on, what is too much goes
    check_maps();
}

void Reconciler::put_lease(LeasePtr lease) {
    remove_lease(lease->subnet);
    changed_.add(*lease);
    view_.others.put(std::move(lease));
}

void Reconciler::remove_lease(const Subnet &subnet) {
    const auto lease = view_.others.find(subnet);
    if (!lease) return;
    changed_.add(*lease); // its entry may name the node that it had
    view_.others.erase(subnet);
}

bool Reconciler::set_neighbour(int ifindex, const Ip &address, const Mac &mac) {
    if (!view_.encaps().contains(WEFT_ENCAP_DIRECT)) return false;
    const auto hop = hops_.find(address);
    if (hop == hops_.end() || !hop->second || hop->second->ifindex != ifindex || hop->second->mac == mac) return false;
    hop->second->mac = mac;
    for (const Lease *lease : view_.others.of_node(address)) changed_.add(*lease);
    return true;
}

void Reconciler::forget_next_hops() {
    hops_.clear();
    check_maps();
}

NodeState Reconciler::state() const {
    if (!has_config_) return NodeState::waiting_config;
    if (!has_own_) return NodeState::acquiring;
    const bool clean = std::ranges::all_of(all_failures(), [](const Backoff *some) { return some->all().empty(); });
    return ready() && clean ? NodeState::synced : NodeState::syncing;
}

std::map<std::string, Backoff::Failure> Reconciler::failures() const {
    std::map<std::string, Backoff::Failure> all;
    for (const auto *some : all_failures()) all.insert(some->all().begin(), some->all().end());
    return all;
}

std::optional<Reconciler::TimePoint> Reconciler::apply(TimePoint now) {
    if (!view()) return std::nullopt;
    if (look_for_flannel(now)) {
        apply_host(now);
        apply_rules(now);
        if (load(now) && snapshot_seen_) {
            apply_leases(now);
            apply_rules(now); // the links that lead to nodes are known now
            apply_pods(now);
            const bool waited = is_place_taken(flannel_);
            const bool in_place = take_over(now);
            if (waited && in_place)
                return now; // the rest takes its time, and peers may have to be told of the swap first
            if (in_place) attach(now);
            clear_after_flannel(now);
            remove_empty_bridge(now);
        }
    }
    auto next = bridge_goes_at_;
    for (const auto *some : all_failures())
        if (const auto at = some->next(now); at && (!next || *at < *next)) next = at;
    return next;
}

HostState Reconciler::wanted_host() const {
    auto desired = desired_host(view_, around_, narrow_);
    return is_place_taken(flannel_) ? before_swap(std::move(desired)) : desired;
}

void Reconciler::apply_host(TimePoint now) {
    if (!check_host_ && !check_surroundings_ && host_failures_.all().empty() &&
        !step_failures_.all().contains("read host"))
        return;
    check_host_ = false;
    if (check_surroundings_)
        if (const auto network = kernel_.read_network()) {
            around_ = surroundings(view_.own, *network);
            check_surroundings_ = false;
        }
    const auto desired = wanted_host();
    settings_ = desired.sysctls;
    const auto planner = [&]() -> Result<std::vector<Action>> {
        auto actual = kernel_.read_host(desired);
        if (!actual) return fail_as_is(std::move(actual));
        vtep_ifindex_ = actual->vtep_ifindex;
        return diff(desired, *actual);
    };
    repairs_ += converge("host", planner, host_failures_, spdlog::level::info, now);
}

/// @return whether programs and maps are there for this view.
bool Reconciler::load(TimePoint now) {
    const std::string item = "load programs";
    if (vtep_ifindex_ == 0 || !step_failures_.due(item, now)) return false;
    std::vector<Net> networks;
    for (const auto &network : view_.networks) networks.push_back(network.net);
    const DatapathConfig config{
        .networks = networks,
        .subnets = view_.own.nets(),
        .nodes = addresses_of(view_.uplink),
        .vtep_mac = view_.mac_of_vtep(),
        .port = view_.backend.port,
        .udp_port = view_.backend.udp_port,
        .encaps = encap_bits(view_.encaps()),
        .vni = view_.backend.vni,
        .max_leases = subnet_capacity(view_.networks),
        .uplink_ifindex = view_.uplink.ifindex,
        .vtep_ifindex = vtep_ifindex_,
        .mode = options_.mode,
        .fast_path = options_.fast_path,
        .checks = options_.checks,
        .bpf_dir = options_.bpf_dir,
    };
    if (auto loaded = kernel_.load(config); !loaded) {
        failed(step_failures_, item, loaded.error(), now);
        return false;
    }
    step_failures_.succeeded(item);
    return true;
}

void Reconciler::apply_leases(TimePoint now) {
    const bool everything = std::exchange(check_maps_, false) || crowded_ || !map_failures_.all().empty() ||
                            step_failures_.all().contains("read maps") || hop_failures_.any_due(now);
    auto part = std::exchange(changed_, {});
    if (!everything && part.empty()) return;
    if (everything)
        ++comparisons_;
    else
        close(part, view_);
    resolve(everything ? nullptr : &part, now);
    apply_maps(everything ? nullptr : &part, now);
}

void Reconciler::resolve(const MapPart *part, TimePoint now) {
    std::set<Ip> wanted;
    for (const auto &[subnet, lease] : leased(view_, part))
        if (const auto node = node_of(view_, subnet, lease->attrs)) wanted.insert(*node);
    const auto item_of_hop = [](const Ip &node) { return "next hop " + node.to_string(); };
    if (part) {
        for (const Ip &node : part->nodes) {
            if (wanted.contains(node)) continue;
            hops_.erase(node);
            hop_failures_.succeeded(item_of_hop(node));
        }
    } else {
        std::erase_if(hops_, [&](const auto &hop) { return !wanted.contains(hop.first); });
        if (!hop_failures_.all().empty()) { // also of nodes whose hop has been forgotten before they went
            std::set<std::string> items;
            std::ranges::transform(wanted, std::inserter(items, items.end()), item_of_hop);
            hop_failures_.keep_only(items);
        }
    }
    std::vector<Ip> unknown;
    for (const auto &node : wanted) {
        const auto hop = hops_.find(node);
        if (hop == hops_.end() || (!hop->second && hop_failures_.due(item_of_hop(node), now))) unknown.push_back(node);
    }
    auto found = kernel_.resolve(unknown, view_.uplink);
    for (std::size_t i = 0; i < unknown.size(); ++i) {
        const auto item = item_of_hop(unknown[i]);
        if (!found[i])
            failed(hop_failures_, item, found[i].error(), now);
        else if (hop_failures_.succeeded(item))
            log_.info("{}: found again", item);
        hops_.insert_or_assign(unknown[i], std::move(found[i]));
    }
}

void Reconciler::apply_maps(const MapPart *part, TimePoint now) {
    const auto capacity = subnet_capacity(view_.networks);
    auto narrow = narrow_;
    std::optional<Census> beside;
    if (!part) beside.emplace();
    const auto planner = [&]() -> Result<std::vector<Action>> {
        auto actual = kernel_.read_maps(part);
        if (!actual) return fail_as_is(std::move(actual));
        if (!beside) {
            beside = census_;
            beside->remove(actual->leases);
        }
        auto desired = desired_maps(view_, hops_, *actual, capacity, part, *beside);
        report(desired.unusable, part);
        note_narrow(desired.maps, part, narrow);
        census_ = std::move(desired.census);
        crowded_ = desired.crowded;
        return diff(desired.maps, *actual);
    };
    converge("maps", planner, map_failures_, spdlog::level::debug, now);
    crash_point("maps-filled");
    if (narrow != narrow_) {
        narrow_ = std::move(narrow);
        check_host();
        apply_host(now);
    }
    if (step_failures_.all().contains("read maps")) return;
    filled_ = true;
}

void Reconciler::note_narrow(const MapState &desired, const MapPart *part, NarrowSubnets &narrow) const {
    std::erase_if(narrow, [&](const auto &entry) { return !part || part->subnets.contains(entry.first); });
    for (const auto &[subnet, lease] : desired.leases)
        if (lease.encap == WEFT_ENCAP_VXLAN6 && lease.mtu < view_.overlay_mtu()) narrow.emplace(subnet, lease.mtu);
}

std::optional<SocketGuard> Reconciler::wanted_guard() const {
    const auto mode = options_.checks.socket_guard;
    if (mode == WEFT_CHECK_OFF) return std::nullopt;
    std::set<int> links{view_.uplink.ifindex};
    for (const auto &[node, hop] : hops_)
        if (hop) links.insert(hop->ifindex);
    return SocketGuard{.port = view_.backend.port,
                       .links = {links.begin(), links.end()},
                       .addresses = addresses_of(view_.uplink),
                       .drop = mode == WEFT_CHECK_ENFORCE};
}

FirewallConfig Reconciler::wanted_rules() const {
    FirewallConfig wanted{.ipv4 = std::nullopt,
                          .ipv6 = std::nullopt,
                          .masquerade = options_.masquerade,
                          .random_ports = options_.random_ports,
                          .forward = options_.forward_rules};
    wanted.guard = wanted_guard();
    for (const Net &own : view_.own.nets())
        if (const auto *network = view_.network_of(own.address()))
            (own.is_v4() ? wanted.ipv4 : wanted.ipv6) = PodPrefixes{network->net, own};
    return wanted;
}

void Reconciler::apply_rules(TimePoint now) {
    const std::string item = "firewall rules";
    const auto wanted = wanted_rules();
    if ((!check_rules_ && rules_ == wanted) || !step_failures_.due(item, now)) return;
    const bool open = options_.firewall == FirewallChoice::automatic;
    auto done =
        kernel_.ensure_firewall(wanted, open && prefer_nftables_ ? FirewallChoice::nftables : options_.firewall);
    if (!done) {
        check_rules_ = true; // also where those of before are wanted again: it may have got half way
        failed(step_failures_, item, done.error(), now);
        return;
    }
    if (auto said = kernel_.firewall_state().complaint; said != rules_said_) {
        if (!said.empty()) log_.warn("{}: {}", item, said);
        rules_said_ = std::move(said);
    }
    const bool lost = !step_failures_.succeeded(item) && rules_ == wanted;
    for (const auto &deed : *done) log_.info("{}: {}{}", item, deed, lost ? " again, somebody had changed them" : "");
    rules_ = wanted;
    check_rules_ = false;
}

/// After the maps are filled: programs that meet empty maps would drop what their forerunners carry.
void Reconciler::attach(TimePoint now) {
    const std::string item = "attach programs";
    const std::pair links{view_.uplink.ifindex, vtep_ifindex_};
    const bool wanted =
        check_attachments_ || !attached_ || attached_links_ != links || kernel_.datapath_mode() == "none";
    if (!filled_ || !wanted || !step_failures_.due(item, now)) return;
    auto lines = kernel_.attach();
    if (!lines) {
        attached_ = false;
        failed(step_failures_, item, lines.error(), now);
        return;
    }
    for (const auto &line : *lines) log_.info("attached {}", line);
    repairs_ += lines->size();
    step_failures_.succeeded(item);
    attached_ = true;
    attached_links_ = links;
    check_attachments_ = false;
}

/// The plugin's ADD has the veth there before the entry, its DEL longer. But what runs before the first attach() is carried by
/// the programs and maps of another weft: all pods are wanted in the new ones at once.
void Reconciler::wait_for_plugin(std::vector<PodState> &pods, TimePoint now) {
    constexpr std::chrono::milliseconds kPluginsTime{500};
    const auto before = std::exchange(unlisted_since_, {});
    std::erase_if(pods, [&](const PodState &pod) {
        if (pod.listed || !attached_) return false;
        const std::pair key{pod.address, pod.endpoint.ifindex};
        const auto known = before.find(key);
        const auto since = known == before.end() ? now : known->second;
        if (now - since >= kPluginsTime) return false;
        unlisted_since_.emplace(key, since);
        return true;
    });
}

/// No condition of being ready: the plugin has written all that a pod needs. But before attach(), which swaps the programs of
/// all pods that are listed.
void Reconciler::apply_pods(TimePoint now) {
    if (!check_pods_ && pod_failures_.all().empty() && !step_failures_.all().contains("read pods")) return;
    check_pods_ = false;
    const auto planner = [&]() -> Result<std::vector<Action>> {
        auto pods = kernel_.read_pods();
        if (!pods) return fail_as_is(std::move(pods));
        wait_for_plugin(*pods, now);
        check_attachments_ |= !std::ranges::all_of(*pods, &PodState::listed);
        auto plan = plan_pods(*pods, view_.own);
        const auto allowed = kernel_.read_allowed();
        if (!allowed) return std::unexpected(allowed.error());
        std::ranges::copy(plan_allowed(*allowed), std::back_inserter(plan));
        return plan;
    };
    repairs_ += converge("pods", planner, pod_failures_, spdlog::level::info, now);
}

/// @return how many writes the kernel took
std::size_t Reconciler::converge(const char *what, const Planner &planner, Backoff &failures,
                                 spdlog::level::level_enum level, TimePoint now) {
    const auto reading = fmt::format("read {}", what);
    std::set<std::string> done;
    std::size_t written = 0;
    for (int pass = 0; pass < kMaxPasses; ++pass) {
        auto plan = planner();
        if (!plan) {
            failed(step_failures_, reading, plan.error(), now);
            return written;
        }
        step_failures_.succeeded(reading);
        if (pass == 0 && plan->size() >= kMany && failures.all().empty() && snapshot_seen_ &&
            perform_all(*plan, level)) {
            written += plan->size();
            continue;
        }
        std::set<std::string> pending, now_done;
        for (const auto &action : *plan) {
            if (is_removal(action) && !snapshot_seen_) continue;
            const auto item = item_of(action);
            pending.insert(item);
            if (!failures.due(item, now)) {
                if (is_foundation(action)) break;
                continue;
            }
            const auto deed = item + ": " + deed_of(action);
            if (done.contains(deed)) {
                failed(failures, item, Error(EAGAIN, "the kernel took it, but does not have it"), now);
                continue;
            }
            if (perform(action, item, failures, level, now))
                now_done.insert(deed);
            else if (is_foundation(action))
                break;
        }
        failures.keep_only(pending); // what is as it should be is nobody's failure any more
        if (now_done.empty()) break;
        written += now_done.size();
        done.merge(now_done);
    }
    if (written > 0 && level == spdlog::level::debug) log_.info("{}: brought up to date writes={}", what, written);
    return written;
}

/// @return whether all of it is done: otherwise one after another will show what is not.
bool Reconciler::perform_all(const std::vector<Action> &plan, spdlog::level::level_enum level) {
    if (!kernel_.perform_all(plan)) return false;
    if (log_.should_log(level))
        for (const auto &action : plan) log_.log(level, "{}: {}", item_of(action), deed_of(action));
    return true;
}

bool Reconciler::perform(const Action &action, const std::string &item, Backoff &failures,
                         spdlog::level::level_enum level, TimePoint now) {
    if (auto done = kernel_.perform(action); !done) {
        failed(failures, item, done.error(), now);
        return false;
    }
    const bool recovered = failures.succeeded(item);
    log_.log(recovered ? spdlog::level::info : level, "{}: {}", item, deed_of(action));
    return true;
}

void Reconciler::report(const std::vector<Unusable> &unusable, const MapPart *part) {
    auto before = unusable_;
    std::erase_if(unusable_, [&](const auto &entry) { return !part || part->subnets.contains(entry.first); });
    for (const auto &[subnet, why] : unusable) {
        if (const auto known = before.find(subnet); known == before.end() || known->second != why)
            log_.warn("lease {} is not used: {}", subnet.to_string(), why);
        unusable_.insert_or_assign(subnet, why);
    }
}

void Reconciler::failed(Backoff &failures, const std::string &item, const Error &error, TimePoint now) {
    if (failures.failed(item, error, now)) log_.warn("{}: {}", item, error.sentence());
}

} // namespace weft

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <spdlog/logger.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "config/backend.hpp"
#include "config/net_conf.hpp"
#include "daemon/backoff.hpp"
#include "daemon/desired.hpp"
#include "daemon/kernel.hpp"
#include "lease/lease.hpp"

namespace weft {

/// Where a node stands.
enum class NodeState : std::uint8_t {
    waiting_config, ///< no configuration from etcd yet; nothing is touched, what was attached goes on forwarding
    acquiring,      ///< no lease yet
    syncing,        ///< the kernel is not yet, or no longer, what it should be
    synced,
};
[[nodiscard]] std::string_view to_string(NodeState state);

struct NodeOptions {
    DatapathMode mode = DatapathMode::automatic;
    std::filesystem::path bpf_dir = "/sys/fs/bpf/weft";
    std::set<weft_encap> also; ///< see ClusterView
    bool masquerade = false;
    bool random_ports = true;
    bool forward_rules = false;
    FirewallChoice firewall = FirewallChoice::automatic;
    bool fast_path = true;
    CheckModes checks;
};

/// Turns what is known of the cluster into what the kernel holds.
///
/// Contract: the setters only edit inputs. apply() reads what the kernel has of what may have changed, works out the difference
/// (pure, diff.hpp), writes it in the order of dependence and reads again, until nothing is left to write. Where one lease
/// changed that is its part of the maps (map_part.hpp); everything is looked at after any other change, as long as a write
/// fails, and when told to (check_host(), check_maps(), ...), so that what nobody tells of lasts until the next audit.
/// Nothing is removed, no map is written and no program is attached before the first complete snapshot of leases: until then
/// a node that was forwarding goes on as it was. A write that fails keeps a back-off of its own and holds up nobody else.
/// Threads: one. Time is passed in.
class Reconciler {
public:
    using TimePoint = Backoff::TimePoint;

    Reconciler(Kernel &kernel, spdlog::logger &log, NodeOptions options)
        : kernel_(kernel), log_(log), options_(std::move(options)) {}

    void set_uplink(const Uplink &uplink);
    void set_config(const NetConf &conf, const BackendConf &backend);
    void set_own(const Subnet &own);
    /// Every other node's lease: what is not among them is gone.
    void set_leases(const std::vector<LeasePtr> &leases);
    void put_lease(LeasePtr lease);
    void remove_lease(const Subnet &subnet);
    /// The kernel has learnt a neighbour's MAC. @return whether it is a node's, and was not known.
    bool set_neighbour(int ifindex, const Ip &address, const Mac &mac);
    /// Routes or links changed: nodes may be reached another way.
    void forget_next_hops();
    /// Something of the host's own state may have changed: the next apply() looks.
    void check_host() { check_host_ = true; }
    /// The same for the maps as a whole; what a lease's change can touch is looked at anyway.
    void check_maps() { check_maps_ = true; }
    /// Attachments may be gone: the next apply() looks.
    void check_attachments() { check_attachments_ = true; }
    /// An address or a default route came or went: the next apply() looks what there is beside weft's own links.
    void check_surroundings() { check_surroundings_ = true; }
    /// Something of a pod's veth may have changed: the next apply() looks.
    void check_pods() { check_pods_ = true; }
    /// The same for firewall rules.
    void check_rules() { check_rules_ = true; }
    /// Something of a flannel's may have come or gone: the next apply() looks what there is to be taken over from it.
    void check_flannel() { check_flannel_ = true; }
    /// Whether a flannel's device may still take this node's tunnel packets.
    [[nodiscard]] bool waits_for_flannel() const { return check_flannel_ || !flannel_.on_port.empty(); }
    /// Whether flannel's pods are, or were, on a bridge of this node.
    [[nodiscard]] bool has_flannels_bridge() const { return flannel_.bridge.has_value(); }
    /// weft.1's MAC, if it is to be another than the uplink's.
    void set_known_mac(const std::optional<Mac> &mac) { view_.known_mac = mac; }
    [[nodiscard]] Mac mac_of_vtep() const { return view_.mac_of_vtep(); }

    /// @return when a failed item wants to be tried again.
    std::optional<TimePoint> apply(TimePoint now);

    /// A pod without an entry was seen, and may be one that the plugin is just wiring or taking off: to be looked at again.
    [[nodiscard]] bool pods_unsure() const { return !unlisted_since_.empty(); }

    /// What differs from what should be, a line each ("lease 10.5.3.0/24: set ..."); writes nothing.
    /// Errors: EAGAIN before everything was written once.
    [[nodiscard]] Result<std::vector<std::string>> audit(TimePoint now);

    [[nodiscard]] NodeState state() const;
    /// Programs are attached, and the leases of the first snapshot were in the maps: pods can be wired.
    [[nodiscard]] bool ready() const { return attached_ && filled_; }
    /// What is known; nullptr until configuration, lease and uplink are.
    [[nodiscard]] const ClusterView *view() const { return has_uplink_ && has_config_ && has_own_ ? &view_ : nullptr; }
    [[nodiscard]] const std::vector<PodNetwork> &networks() const { return view_.networks; }
    [[nodiscard]] int vtep_ifindex() const { return vtep_ifindex_; } ///< 0: there is none
    /// How many things have been put right beside the maps.
    [[nodiscard]] std::uint64_t repairs() const { return repairs_; }
    /// How often the maps have been compared as a whole, which takes memory for a moment.
    [[nodiscard]] std::size_t comparisons() const { return comparisons_; }
    [[nodiscard]] std::size_t programmed() const { return census_.leases(); }
    [[nodiscard]] const std::map<Net, std::string> &unusable() const { return unusable_; }
    /// The host's settings that are kept: path below /proc/sys to value.
    [[nodiscard]] const std::map<std::string, std::optional<std::string>> &settings() const { return settings_; }
    /// Item to what is wrong with it.
    [[nodiscard]] std::map<std::string, Backoff::Failure> failures() const;

private:
    using Planner = std::function<Result<std::vector<Action>>()>;

    [[nodiscard]] HostState wanted_host() const;
    [[nodiscard]] FirewallConfig wanted_rules() const;
    void apply_host(TimePoint now);
    bool load(TimePoint now);
    void apply_leases(TimePoint now);
    void resolve(const MapPart *part, TimePoint now);
    void apply_maps(const MapPart *part, TimePoint now);
    void attach(TimePoint now);
    void apply_pods(TimePoint now);
    void wait_for_plugin(std::vector<PodState> &pods, TimePoint now);
    [[nodiscard]] std::optional<SocketGuard> wanted_guard() const;
    void apply_rules(TimePoint now);
    bool look_for_flannel(TimePoint now);
    bool take_over(TimePoint now);
    void clear_after_flannel(TimePoint now);
    void remove_empty_bridge(TimePoint now);
    void warn_of_masquerade();
    std::size_t converge(const char *what, const Planner &planner, Backoff &failures, spdlog::level::level_enum level,
                         TimePoint now);
    bool perform_all(const std::vector<Action> &plan, spdlog::level::level_enum level);
    bool perform(const Action &action, const std::string &item, Backoff &failures, spdlog::level::level_enum level,
                 TimePoint now);
    void report(const std::vector<Unusable> &unusable, const MapPart *part);
    void note_narrow(const MapState &desired, const MapPart *part, NarrowSubnets &narrow) const;
    void failed(Backoff &failures, const std::string &item, const Error &error, TimePoint now);

    [[nodiscard]] std::array<const Backoff *, 6> all_failures() const {
        return {&host_failures_, &hop_failures_, &map_failures_, &pod_failures_, &step_failures_, &flannel_failures_};
    }

    Kernel &kernel_;
    spdlog::logger &log_;
    NodeOptions options_;

    ClusterView view_;
    bool has_uplink_ = false, has_config_ = false, has_own_ = false;
    bool snapshot_seen_ = false;

    NextHops hops_;
    Backoff host_failures_, hop_failures_, map_failures_, pod_failures_, step_failures_;
    int vtep_ifindex_ = 0;
    MapPart changed_; ///< since the last apply(), by others' leases
    Census census_;   ///< of the maps as last written
    std::uint64_t repairs_ = 0;
    std::size_t comparisons_ = 0;
    std::map<std::pair<Ip, std::uint32_t>, TimePoint> unlisted_since_; ///< pods without an entry, by veth
    std::map<Net, std::string> unusable_;
    std::optional<std::pair<int, int>> attached_links_; ///< uplink and weft.1 when last attached
    Surroundings around_;
    NarrowSubnets narrow_;
    FlannelLeft flannel_;
    Backoff flannel_failures_;
    std::optional<TimePoint> bridge_goes_at_;
    std::map<std::string, std::optional<std::string>> settings_;
    bool filled_ = false, attached_ = false, check_host_ = true, check_maps_ = true, check_attachments_ = true,
         check_surroundings_ = true, check_pods_ = true, check_rules_ = true, check_flannel_ = true,
         looked_for_flannels_rules_ = false, crowded_ = false;
    std::optional<FirewallConfig> rules_; ///< as last written
    bool prefer_nftables_ = false;        ///< EnableNFTables, where --firewall leaves it open
    std::string rules_said_;
};

} // namespace weft

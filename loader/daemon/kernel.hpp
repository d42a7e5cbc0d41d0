// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "daemon/desired.hpp"
#include "daemon/diff.hpp"
#include "daemon/drop_history.hpp"
#include "daemon/flannel_left.hpp"
#include "daemon/pods.hpp"
#include "daemon/uplink.hpp"
#include "datapath/datapath.hpp"
#include "firewall/firewall.hpp"

namespace weft {

/// What changes without a notification, but for weftd's own writes to maps. Two that are equal: nothing did.
struct Pulse {
    DatapathFingerprint datapath;
    std::map<std::string, std::optional<std::string>> settings;

    bool operator==(const Pulse &) const = default;
};

/// Everything weftd reads from and writes to the operating system's network: the one seam, so that a fake of it can stand
/// in tests for a whole host.
///
/// Contract: reads show what the kernel has, not what was written. perform() does one write and says whether the kernel
/// took it. Maps can be read and written from the first successful load() on.
/// Threads: one. Errors: name the object; nothing throws.
class Kernel {
public:
    virtual ~Kernel() = default;

    /// What uplink selection looks at.
    [[nodiscard]] virtual Result<HostNetwork> read_network() = 0;
    [[nodiscard]] virtual Result<net::RouteAnswer> route_to(const Ip &destination) = 0;

    /// @param desired names the settings to read.
    [[nodiscard]] virtual Result<HostState> read_host(const HostState &desired) = 0;
    [[nodiscard]] virtual Status perform(const Action &action) = 0;
    /// All of them, in order and many at once where the kernel can. An error is one of them's, it is not said whose; what
    /// was done stays.
    [[nodiscard]] virtual Status perform_all(std::span<const Action> actions) = 0;

    /// How each of `nodes` is reached by a packet from the uplink's address of its family; one answer each, in their order.
    [[nodiscard]] virtual std::vector<Result<NextHop>> resolve(const std::vector<Ip> &nodes, const Uplink &uplink) = 0;

    /// Loads the programs unless they are loaded for this very config. What was attached stays until attach().
    [[nodiscard]] virtual Status load(const DatapathConfig &config) = 0;
    /// @return one line for each attachment that was missing.
    [[nodiscard]] virtual Result<std::vector<std::string>> attach() = 0;
    /// The part of attach() that is weft.1's.
    [[nodiscard]] virtual Status attach_vtep() = 0;
    /// What attach() would make, a line each.
    [[nodiscard]] virtual Result<std::vector<std::string>> read_missing() = 0;
    /// "tc" or "xdp" once attached, "none" before.
    [[nodiscard]] virtual std::string_view datapath_mode() const = 0;
    /// What the programs do in another way here than they would; empty while none are loaded.
    [[nodiscard]] virtual std::vector<datapath::Lack> datapath_lacks() const = 0;
    /// @param part only these entries, and all prefix lengths; nullptr: everything
    [[nodiscard]] virtual Result<MapState> read_maps(const MapPart *part) = 0;
    /// Since the maps were made; nullopt while they cannot be read.
    [[nodiscard]] virtual std::optional<Drops> read_drops() const = 0;
    /// Every pod of this node that is listed or wired.
    [[nodiscard]] virtual Result<std::vector<PodState>> read_pods() = 0;
    [[nodiscard]] virtual Result<AllowedState> read_allowed() = 0;
    /// @param settings to read, by their paths.
    [[nodiscard]] virtual Result<Pulse>
    read_pulse(const std::map<std::string, std::optional<std::string>> &settings) = 0;
    /// Whether that link is a pod's with this address and the programs know it by another MAC. False also when nobody knows.
    [[nodiscard]] virtual bool has_other_mac(int ifindex, const Ip &pod, const Mac &mac) = 0;

    /// What flannel left on this node; see there.
    [[nodiscard]] virtual Result<FlannelLeft> read_flannel(const BackendConf &backend, bool with_rules) = 0;
    [[nodiscard]] virtual Result<std::optional<Mac>> read_known_mac(const BackendConf &backend, bool v4) = 0;
    /// Of flannel's device for IPv6 beside IPv4, while it is up.
    [[nodiscard]] virtual Result<std::optional<Mac>> read_flannels_mac6(const BackendConf &backend) = 0;

    /// Makes the firewall's rules of ours be `wanted`. @return one line for each thing that was done.
    [[nodiscard]] virtual Result<std::vector<std::string>> ensure_firewall(const FirewallConfig &wanted,
                                                                           FirewallChoice choice) = 0;
    /// What ensure_firewall() would write, a line each.
    [[nodiscard]] virtual Result<std::vector<std::string>> read_firewall_differences(const FirewallConfig &wanted) = 0;
    /// Whether rules can change without a notification: where iptables-legacy's tables are.
    [[nodiscard]] virtual bool rules_change_silently() const = 0;
    struct FirewallState {
        std::string_view rules = "none"; ///< where they are: "nftables", "iptables-nft", "iptables-legacy"
        std::string complaint;           ///< why they are not where they should be
    };
    [[nodiscard]] virtual FirewallState firewall_state() const = 0;
};

/// The kernel of the network namespace that the calling thread is in.
/// @param run_dir where the CNI plugin notes what pods are allowed
[[nodiscard]] Result<std::unique_ptr<Kernel>> open_kernel(const std::filesystem::path &run_dir);

} // namespace weft

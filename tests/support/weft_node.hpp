// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "dirs.hpp"
#include "netns.hpp"
#include "notify_socket.hpp"
#include "pod.hpp"

namespace weft::test {

/// Packets by "program/reason" ("from_pod/encap"), as `weftctl counters` tells them; what never occurred is absent.
using Counters = std::map<std::string, std::uint64_t>;

/// What was counted between two readings, without what did not change.
[[nodiscard]] Counters operator-(const Counters &after, const Counters &before);
[[nodiscard]] std::string to_string(const Counters &counters);
/// Packets counted for `name` ("from_pod/encap").
[[nodiscard]] std::uint64_t count(const Counters &counters, const std::string &name);
/// One reading of a node's counters.
struct CounterReading {
    Counters all;
    Counters dropped; ///< the part of `all` whose verdict is "drop"
};

/// A node of a weft cluster: weftd, the CNI plugin and weftctl of this build in a network namespace of their own, with
/// directories of their own for everything that lives in fixed places on a real node.
///
/// Contract: the uplink eth0 is plugged in by the caller before start(). Everything goes with the object.
class WeftNode {
public:
    struct Options {
        std::string etcd_endpoint;
        std::string datapath = "auto"; ///< --datapath
        bool ip_masq = true;
        std::vector<std::string> flags; ///< more flags for weftd
        std::vector<std::string> env;   ///< "NAME=value", for weftd
        std::vector<std::string> under; ///< a command that runs it, with its own flags
        std::string program = "weftd";  ///< of this build
    };

    [[nodiscard]] static Result<WeftNode> create(std::string_view name);
    /// On a host that is there already.
    [[nodiscard]] static Result<WeftNode> create(std::string_view name, Netns ns);

    [[nodiscard]] const Netns &netns() const { return ns_; }
    [[nodiscard]] const std::string &name() const { return name_; }
    [[nodiscard]] const std::filesystem::path &dir() const { return dir_.path(); }
    [[nodiscard]] std::filesystem::path run_dir() const { return dir_ / "run"; }
    [[nodiscard]] std::filesystem::path subnet_file() const { return dir_ / "flannel" / "subnet.env"; }
    [[nodiscard]] const std::filesystem::path &bpf_dir() const { return bpf_.path(); }

    /// Starts weftd without waiting for anything.
    Status launch(const Options &options);
    /// launch(), and waits until it tells its service manager that it is ready.
    Status start(const Options &options);
    /// Ends weftd with SIGTERM. An error unless it ends with 0 in time.
    Status stop();
    /// SIGKILL.
    void kill();
    [[nodiscard]] std::optional<Process> &daemon() { return weftd_; }
    [[nodiscard]] NotifySocket &notify() { return notify_; }

    /// Waits until the packet path knows exactly `count` leases of other nodes, each family of a lease counted for itself.
    [[nodiscard]] Status wait_for_leases(std::size_t count, std::chrono::milliseconds timeout = 10s);

    /// `<base>` of this node's lease, the address of weft.1: "10.244.1.0", "fd00:244:0:1::"; from subnet.env.
    [[nodiscard]] Result<std::string> base_address(Family family = Family::v4) const;

    /// A pod through the CNI plugin's ADD, with a traffic server.
    Result<Pod *> add_pod();
    Status del_pod(Pod &pod);
    /// What pods to come are wired with: "veth" or "netkit". Until then what WEFT_POD_DEVICE says, or "veth".
    void set_pod_device(std::string device) { pod_device_ = std::move(device); }
    /// The network configuration that the plugin gets on stdin, as a container runtime makes it from the conflist.
    [[nodiscard]] std::string cni_config() const;
    /// One call of the CNI plugin. @return stdout; an error carries its error object.
    Result<std::string> cni(std::string_view command, const std::string &container_id,
                            const std::string &pod_netns) const;

    /// weftctl's answer in JSON; its exit code must be 0.
    [[nodiscard]] Result<nlohmann::json> weftctl(std::string_view command) const;
    [[nodiscard]] Result<CounterReading> counters() const;

private:
    WeftNode(std::string name, Netns ns, TempDir dir, BpfDir bpf, NotifySocket notify)
        : name_(std::move(name)), dir_(std::move(dir)), bpf_(std::move(bpf)), notify_(std::move(notify)),
          ns_(std::move(ns)) {}

    std::string name_;
    TempDir dir_;
    BpfDir bpf_;
    NotifySocket notify_;
    Netns ns_; ///< after the directories: what runs in it ends before they go
    std::optional<Process> weftd_;
    std::list<Pod> pods_; ///< a list: pointers to pods stay good
    unsigned pods_made_ = 0;
    std::string pod_device_;
};

} // namespace weft::test

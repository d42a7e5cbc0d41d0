// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <list>
#include <memory>
#include <string>
#include <string_view>

#include "base/addr.hpp"
#include "base/error.hpp"
#include "etcd_server.hpp"
#include "families.hpp"
#include "flannel_backend.hpp"
#include "netns.hpp"
#include "pod.hpp"

namespace weft::test {

/// Every lease below `prefix`, one entry for each family of it. A part whose node has no address of the family is left out:
/// nobody reaches it that way.
[[nodiscard]] Result<std::vector<FlannelPeer>> read_leases(EtcdServer &etcd,
                                                           std::string_view prefix = "/coreos.com/network");

/// A node as flannel with its bridge plugin sets it up, without flannel: its backend's devices and routes, the bridge cni0 with
/// hairpin ports, flannel's iptables chains, and the lease in etcd as flannel writes it; for IPv4, IPv6 or both.
///
/// It does not watch etcd: `sync()` makes it learn and forget, which keeps tests in control of the order of things.
/// Contract: the uplink eth0 is plugged in by the caller before start().
class FlannelNode {
public:
    struct Options {
        std::vector<FlannelFamily> families; ///< IPv4 first
        std::string backend = "vxlan";
    };

    [[nodiscard]] static Result<FlannelNode> create(std::string_view name, const Options &options);

    [[nodiscard]] const Netns &netns() const { return ns_; }
    [[nodiscard]] const std::string &name() const { return name_; }
    [[nodiscard]] const std::vector<FlannelFamily> &families() const { return options_.families; }
    [[nodiscard]] Mac vtep_mac(Family family = Family::v4) const { return stand_in_vtep_mac(of(family).public_ip); }
    [[nodiscard]] std::string base_address(Family family = Family::v4) const { return of(family).base().to_string(); }

    /// Makes the devices and rules, and puts the lease into `etcd`.
    Status start(EtcdServer &etcd);
    /// start() and sync() on a node where flannel ran before and weft since then: with what the bridge plugin left.
    Status start_again(EtcdServer &etcd);
    /// Programs exactly the peers whose leases are in `etcd` now. An error where flannel ends: it is IPv4 only, and a lease has
    /// an IPv6 part.
    Status sync(EtcdServer &etcd);
    /// As flannel writes it once it has its lease.
    Status write_subnet_env(const std::filesystem::path &file) const;
    /// A pod as the bridge plugin makes it, with a traffic server. Addresses count up from .2 and ::2.
    Result<Pod *> add_pod();

private:
    FlannelNode(Netns ns, const Options &options, std::unique_ptr<FlannelBackend> backend);
    [[nodiscard]] FlannelBackend::Node place() const { return {&ns_, options_.families}; }
    [[nodiscard]] const FlannelFamily &of(Family family) const;
    [[nodiscard]] unsigned mtu() const { return 1500 - backend_->overhead(); }
    Status make_bridge();
    Status make_rules(const FlannelFamily &family);

    Netns ns_;
    std::string name_;
    Options options_;
    std::unique_ptr<FlannelBackend> backend_; ///< after the namespace: a process of it ends first
    std::list<Pod> pods_;                     ///< a list: pointers to pods stay good
};

} // namespace weft::test

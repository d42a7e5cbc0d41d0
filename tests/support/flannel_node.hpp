// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <list>
#include <string>
#include <string_view>

#include "base/addr.hpp"
#include "base/error.hpp"
#include "etcd_server.hpp"
#include "netns.hpp"
#include "pod.hpp"

namespace weft::test {

/// A lease as it stands in etcd, as far as a vxlan node uses it.
struct VxlanPeer {
    Net4 subnet;
    Ip4 public_ip;
    Mac vtep_mac;
};

/// Every lease below `prefix` that a vxlan node would use.
[[nodiscard]] Result<std::vector<VxlanPeer>> read_leases(EtcdServer &etcd,
                                                         std::string_view prefix = "/coreos.com/network");

/// A node as flannel with its bridge plugin sets it up, without flannel: the kernel's own vxlan device `flannel.1`
/// (nolearning, port 8472, VNI 1), one neighbour, FDB and onlink route entry for each peer, the bridge cni0 with hairpin
/// ports, flannel's iptables chains, and the lease in etcd as flannel writes it.
///
/// It does not watch etcd: `sync()` makes it learn and forget, which keeps tests in control of the order of things.
/// Contract: the uplink eth0 is plugged in by the caller before start().
class FlannelNode {
public:
    struct Options {
        Net4 network;  ///< the cluster's
        Net4 subnet;   ///< this node's
        Ip4 public_ip; ///< eth0's address
        unsigned mtu = 1450;
    };

    [[nodiscard]] static Result<FlannelNode> create(std::string_view name, const Options &options);

    [[nodiscard]] const Netns &netns() const { return ns_; }
    [[nodiscard]] const Mac &vtep_mac() const { return vtep_mac_; }
    [[nodiscard]] std::string base_address() const { return options_.subnet.canonical().address().to_string(); }

    /// Makes the devices and rules, and puts the lease into `etcd`.
    Status start(EtcdServer &etcd);
    /// Programs exactly the peers whose leases are in `etcd` now.
    Status sync(EtcdServer &etcd);
    /// A pod as the bridge plugin makes it, with a traffic server. Addresses count up from .2.
    Result<Pod *> add_pod();

private:
    FlannelNode(Netns ns, const Options &options);
    Status make_devices();
    Status make_rules();

    Netns ns_;
    std::string name_;
    Options options_;
    Mac vtep_mac_;
    std::vector<VxlanPeer> known_;
    std::list<Pod> pods_; ///< a list: pointers to pods stay good
};

} // namespace weft::test

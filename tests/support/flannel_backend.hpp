// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/addr.hpp"
#include "base/error.hpp"
#include "netns.hpp"

namespace weft::test {

/// One family of a lease as it stands in etcd, as far as a node of any backend uses it.
struct FlannelPeer {
    Net subnet;
    Ip public_ip;
    Mac vtep_mac; ///< zero where the backend has none

    bool operator==(const FlannelPeer &) const = default;
};

/// One family of a node. Flannel makes everything once for each: vxlan devices, routes, rules.
struct FlannelFamily {
    Net network, subnet; ///< the cluster's, this node's
    Ip public_ip;        ///< eth0's address

    [[nodiscard]] Ip base() const { return subnet.canonical().address(); }
    [[nodiscard]] bool holds(const FlannelPeer &peer) const { return peer.subnet.is_v4() == subnet.is_v4(); }
};

/// The MAC that the vxlan device of a stand-in's family has: any locally administered unicast address; flannel draws them at
/// random.
[[nodiscard]] Mac stand_in_vtep_mac(const Ip &public_ip);

/// How a flannel node reaches the others: the devices and entries that one of its backends makes, by ip and bridge.
class FlannelBackend {
public:
    struct Node {
        const Netns *ns;
        std::vector<FlannelFamily> families; ///< IPv4 first
    };

    virtual ~FlannelBackend() = default;
    /// @param name "vxlan", "direct" (vxlan with DirectRouting), "host-gw" or "udp".
    [[nodiscard]] static Result<std::unique_ptr<FlannelBackend>> create(std::string_view name);

    virtual Status start(const Node &node) = 0;
    /// From now on exactly these peers are reached. All are of families that the node has.
    virtual Status program(const Node &node, const std::vector<FlannelPeer> &peers) = 0;
    /// The value of the node's lease, as flannel writes it.
    [[nodiscard]] std::string lease_value(const Node &node) const;
    [[nodiscard]] virtual unsigned overhead() const = 0;

private:
    [[nodiscard]] virtual std::string lease_type() const = 0; ///< "" for none
    [[nodiscard]] virtual bool has_vtep() const { return false; }
};

} // namespace weft::test

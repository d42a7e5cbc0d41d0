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

/// A lease as it stands in etcd, as far as a node of any backend uses it.
struct FlannelPeer {
    Net4 subnet;
    Ip4 public_ip;
    Mac vtep_mac; ///< zero where the backend has none

    friend bool operator==(const FlannelPeer &a, const FlannelPeer &b) {
        return a.subnet == b.subnet && a.public_ip == b.public_ip && a.vtep_mac == b.vtep_mac;
    }
};

/// The MAC that a vxlan stand-in with this address has: any locally administered unicast address; flannel draws one at random.
[[nodiscard]] Mac stand_in_vtep_mac(const Ip4 &public_ip);

/// How a flannel node reaches the others: the devices and entries that one of its backends makes, by ip and bridge.
class FlannelBackend {
public:
    struct Node {
        const Netns *ns;
        Net4 network, subnet; ///< the cluster's, this node's
        Ip4 public_ip;        ///< eth0's address
    };

    virtual ~FlannelBackend() = default;
    /// @param name "vxlan", "direct" (vxlan with DirectRouting), "host-gw" or "udp".
    [[nodiscard]] static Result<std::unique_ptr<FlannelBackend>> create(std::string_view name);

    virtual Status start(const Node &node) = 0;
    /// From now on exactly these peers are reached.
    virtual Status program(const Node &node, const std::vector<FlannelPeer> &peers) = 0;
    [[nodiscard]] virtual std::string lease_value(const Node &node) const = 0;
    [[nodiscard]] virtual unsigned overhead() const = 0;
};

} // namespace weft::test

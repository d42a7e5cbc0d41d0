// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "netns.hpp"

namespace weft::test {

/// What the host's rules are written in.
enum class RuleSystem { iptables, nftables };
[[nodiscard]] std::string_view name_of(RuleSystem system);

/// A Kubernetes Service as kube-proxy sees it, on one port number.
struct Service {
    std::string name;
    std::string cluster_ip;
    std::uint16_t port = 0;
    std::uint16_t node_port = 0;       ///< 0: none
    bool local_policy = false;         ///< externalTrafficPolicy: Local
    std::vector<std::string> backends; ///< pods' addresses, serving on `port`
    bool udp = true;                   ///< for UDP as well as for TCP
};

/// A pod's port published on its node, as the portmap plugin does it.
struct HostPort {
    std::string pod; ///< its address; the container's network is this /32
    std::uint16_t host_port = 0;
    std::uint16_t port = 0;
};

/// What kube-proxy and portmap know on one node.
struct NodeRules {
    std::string cluster_cidr = "10.244.0.0/16";
    std::vector<Service> services;
    std::vector<std::string> local_pods; ///< addresses of the pods on this node
    std::vector<HostPort> host_ports;
};

/// `count` TCP services nobody calls, with a node port each and one or two backends: what a real cluster's rules look like.
[[nodiscard]] std::vector<Service> other_services(unsigned count);

/// The rules that kube-proxy (iptables mode and nftables mode of Kubernetes 1.31) and portmap would have made on this
/// node: same tables, chains, order of rules and marks, less comments and what is for features not used here.
/// In nftables mode the drop of what conntrack calls invalid is the iptables mode's, in a chain of kube-proxy's table.
[[nodiscard]] std::string iptables_rules(const NodeRules &rules);
[[nodiscard]] std::string nftables_rules(const NodeRules &rules);

/// Loads them beside whatever rules the namespace has.
Status load_rules(const Netns &node, RuleSystem system, const NodeRules &rules);

/// Packets that the rule against invalid ones has dropped so far.
[[nodiscard]] Result<std::uint64_t> invalid_drops(const Netns &node, RuleSystem system);
/// What conntrack itself has called invalid so far, dropped or not.
[[nodiscard]] Result<std::uint64_t> conntrack_invalid(const Netns &node);

} // namespace weft::test

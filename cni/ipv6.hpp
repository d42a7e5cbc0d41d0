// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/addr.hpp"
#include "base/error.hpp"
#include "net/netlink.hpp"
#include "net/netns.hpp"

namespace weft::cni {

/// What IPv6 asks of the two ends of a pod's veth beyond addresses, routes and neighbours.
///
/// IPv4 answers ARP for any address of the host on any link; IPv6 answers for a link's own addresses only, and the pod's
/// gateway is weft.1's. So the host end answers as a proxy, and has a link-local address to ask the pod's MAC from
/// (docs/adr/0013).

/// Whether this node can wire IPv6 with that MTU. Errors: names the setting that is in the way.
[[nodiscard]] Status require_ipv6(unsigned mtu);

/// For a pod without IPv6: its router advertisements must not configure the host. A kernel without IPv6 is no error.
[[nodiscard]] Status close_host_end(const std::string &ifname);

/// The link's settings, while it is down: a router that learns nothing from the pod.
[[nodiscard]] Status prepare_host_end(const std::string &ifname);

/// Once it is up: its link-local address, and answers to who asks for one of these gateways.
[[nodiscard]] Status answer_pod(net::NlSocket &host, int host_ifindex, const Mac &host_mac,
                                const std::vector<Ip> &gateways);

/// The pod's end, while it is down: nothing is configured but by weft. IPv6 is switched on where the runtime's defaults have
/// it off, for lo too, by which a pod talks to itself.
[[nodiscard]] Status prepare_pod_end(const net::Netns &pod, const std::string &ifname);

/// Waits until the pod takes what is sent to its address. The kernel enters an address's local route from a work queue
/// (addrconf_dad_work; 6.18), after it has said that the address is set: a busy machine was seen to drop packets for a second.
/// Errors: ETIMEDOUT after ten seconds, which is what the plugins of others wait for an address.
[[nodiscard]] Status await_own_address(net::NlSocket &pod, const Ip &address);

/// The pod's end, once it is up: a MAC that changes is told to neighbours, as arp_notify does for IPv4.
[[nodiscard]] Status tell_of_new_macs(const net::Netns &pod, const std::string &ifname);

} // namespace weft::cni

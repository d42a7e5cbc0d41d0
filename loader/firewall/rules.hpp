// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/addr.hpp"

namespace weft {

/// Firewalls keep IPv4 and IPv6 apart: either has tables of its own and, with iptables, programs of its own.
enum class RuleFamily : std::uint8_t { ipv4, ipv6 };
inline constexpr RuleFamily kRuleFamilies[] = {RuleFamily::ipv4, RuleFamily::ipv6};

/// The pod network in one family.
struct PodPrefixes {
    Net network; ///< the cluster's
    Net subnet;  ///< this node's

    bool operator==(const PodPrefixes &) const = default;
};

/// Who may reach the kernel's vxlan socket: tunnel packets from the links that lead to other nodes, to the addresses that they
/// know.
struct SocketGuard {
    std::uint16_t port = 0;
    std::vector<int> links; ///< ifindexes; one at least
    std::vector<Ip> addresses;
    bool drop = true; ///< false: what it refuses is counted only

    bool operator==(const SocketGuard &) const = default;
};

/// What the host's firewall should do for the pod network: flannel's --ip-masq and --iptables-forward-rules.
struct FirewallConfig {
    std::optional<PodPrefixes> ipv4, ipv6; ///< absent: the family is off, and gets no rules
    bool masquerade = false;  ///< what leaves the pod network, or enters it from outside, gets this host's address
    bool random_ports = true; ///< fully random source ports, against races between flows that want one port
    bool forward = false;     ///< accept what is forwarded from and to pods, where the host's own rules drop by default
    std::optional<SocketGuard> guard;

    bool operator==(const FirewallConfig &) const = default;
    [[nodiscard]] const std::optional<PodPrefixes> &of(RuleFamily family) const {
        return family == RuleFamily::ipv4 ? ipv4 : ipv6;
    }
    [[nodiscard]] bool wants_nothing() const { return !masquerade && !forward; }
};

/// A rule as both rule systems can say it, in either family.
struct PacketRule {
    enum class Verdict : std::uint8_t {
        leave,      ///< the rest of the chain is not for this packet
        masquerade, ///< with PacketRule::random_ports
        accept,
    };
    struct Prefix {
        std::string text;
        bool except = false; ///< every address but these

        bool operator==(const Prefix &) const = default;
    };
    bool kube_mark = false; ///< only what kube-proxy has marked for its own masquerade
    std::optional<Prefix> source, destination;
    Verdict verdict = Verdict::leave;
    bool random_ports = false;

    bool operator==(const PacketRule &) const = default;
};

/// flannel's rules in flannel's order; empty when they are not wanted.
[[nodiscard]] std::vector<PacketRule> masquerade_rules(const FirewallConfig &config, RuleFamily family);
[[nodiscard]] std::vector<PacketRule> forward_rules(const FirewallConfig &config, RuleFamily family);

} // namespace weft

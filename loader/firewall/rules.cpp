// SPDX-License-Identifier: Apache-2.0
#include "firewall/rules.hpp"

namespace weft {

std::vector<PacketRule> masquerade_rules(const FirewallConfig &config, RuleFamily family) {
    const auto &pods = config.of(family);
    if (!config.masquerade || !pods) return {};
    using enum PacketRule::Verdict;
    using Prefix = PacketRule::Prefix;
    const Prefix cluster{pods->network.canonical().to_string()}, own{pods->subnet.canonical().to_string()};
    const Prefix multicast{family == RuleFamily::ipv4 ? "224.0.0.0/4" : "ff00::/8"};
    const auto not_in = [](Prefix prefix) {
        prefix.except = true;
        return prefix;
    };
    return {
        // kube-proxy masquerades what it marks; other bits of the mark are other people's.
        {.kube_mark = true},
        {.source = own, .destination = cluster},
        {.source = cluster, .destination = own},
        // Pods of this node see who really calls them.
        {.source = not_in(cluster), .destination = own},
        {.source = cluster,
         .destination = not_in(multicast),
         .verdict = masquerade,
         .random_ports = config.random_ports},
        {.source = not_in(cluster), .destination = cluster, .verdict = masquerade, .random_ports = config.random_ports},
    };
}

std::vector<PacketRule> forward_rules(const FirewallConfig &config, RuleFamily family) {
    const auto &pods = config.of(family);
    if (!config.forward || !pods) return {};
    const PacketRule::Prefix cluster{pods->network.canonical().to_string()};
    return {{.source = cluster, .verdict = PacketRule::Verdict::accept},
            {.destination = cluster, .verdict = PacketRule::Verdict::accept}};
}

} // namespace weft

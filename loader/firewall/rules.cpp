// SPDX-License-Identifier: Apache-2.0
#include "firewall/rules.hpp"

namespace weft {

std::vector<PacketRule> masquerade_rules(const FirewallConfig &config) {
    if (!config.masquerade) return {};
    using enum PacketRule::Verdict;
    using Prefix = PacketRule::Prefix;
    const Prefix cluster{config.network.canonical().to_string()}, own{config.subnet.canonical().to_string()};
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
         .destination = not_in({"224.0.0.0/4"}),
         .verdict = masquerade,
         .random_ports = config.random_ports},
        {.source = not_in(cluster), .destination = cluster, .verdict = masquerade, .random_ports = config.random_ports},
    };
}

std::vector<PacketRule> forward_rules(const FirewallConfig &config) {
    if (!config.forward) return {};
    const PacketRule::Prefix cluster{config.network.canonical().to_string()};
    return {{.source = cluster, .verdict = PacketRule::Verdict::accept},
            {.destination = cluster, .verdict = PacketRule::Verdict::accept}};
}

} // namespace weft

// SPDX-License-Identifier: Apache-2.0
// The cluster's configuration in etcd, written by hand by operators.
#include "config/net_conf.hpp"
#include "config/backend.hpp"
#include "fuzz.hpp"
#include "lease/allocator.hpp"

void weft::fuzz::one(std::string_view input) {
    const auto conf = parse_net_conf(input);
    if (!conf) return expect(!conf.error().sentence().empty(), "a refusal says why");
    if (!validate(*conf)) return;
    if (conf->enable_ipv4) {
        expect(conf->subnet_len > conf->network.prefix_length(), "a subnet is smaller than the network");
        expect(contains(conf->network, conf->subnet_min) && contains(conf->network, conf->subnet_max),
               "what is leased lies in the network");
    }
    if (conf->enable_ipv6)
        expect(contains(conf->ipv6_network, conf->ipv6_subnet_min), "what is leased lies in the network");
    const auto backend = parse_backend(*conf);
    if (backend) expect(backend->vni < 1U << 24, "a VNI has 24 bits");

    // Whoever is first gets a subnet of it, if it is but one.
    const auto plan = plan_lease({}, *conf, {}, [](std::size_t) { return std::size_t{0}; });
    if (!plan) return;
    if (conf->enable_ipv4)
        expect(plan->subnet.v4 && contains(conf->network, plan->subnet.v4->address()), "in the network");
    expect(parse_subnet_key(format_subnet_key(plan->subnet)) == plan->subnet, "its key can be read",
           format_subnet_key(plan->subnet));
}

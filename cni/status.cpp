// SPDX-License-Identifier: Apache-2.0
#include "cni/endpoints.hpp"
#include "cni/ipam.hpp"
#include "cni/ipv6.hpp"
#include "cni/ops.hpp"

namespace weft::cni {

Done status(const Context &context) {
    auto env = load_subnet(context.conf, kNotAvailable);
    if (!env) return pass_on(std::move(env));
    if (env->ipv6_subnet)
        if (auto able = require_ipv6(context.conf.mtu != 0 ? context.conf.mtu : env->mtu); !able)
            return refuse(kNotAvailable, std::move(able));
    // Without programs and maps, what runs is cut off as well: the map is the only thing that delivers to pods.
    auto endpoints = Endpoints::open(context.conf.bpf_dir);
    if (!endpoints)
        return refuse(kLimited, "weftd has not set up this node since boot: " + endpoints.error().sentence());
    auto program = maps::open_pin(context.conf.bpf_dir, WEFT_PIN_FROM_POD);
    if (!program) return refuse(kLimited, "weftd has not set up this node since boot: " + program.error().sentence());
    return make_ipam(context)->status();
}

} // namespace weft::cni

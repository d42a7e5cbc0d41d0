// SPDX-License-Identifier: Apache-2.0
#include "cni/pod_netns.hpp"

#include <fmt/format.h>

namespace weft::cni {

Outcome<net::Netns> open_pod_netns(const Context &context) {
    auto netns = net::Netns::open(context.call.netns);
    if (!netns) return refuse(kInvalidEnvironment, "CNI_NETNS: " + netns.error().sentence());
    auto own = net::Netns::current();
    if (!own) return refuse(kKernelRefused, std::move(own));
    if (*netns == *own)
        return refuse(kInvalidNetns,
                      fmt::format("CNI_NETNS: {} is the host's own network namespace", context.call.netns));
    return std::move(*netns);
}

} // namespace weft::cni

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "net/netlink.hpp"

namespace weft::net {

/// A queueing discipline as the kernel lists it.
struct Qdisc {
    int ifindex = 0;
    std::string kind; ///< "noqueue", "tbf", "ingress", ...
    std::uint32_t parent = 0;

    bool operator==(const Qdisc &) const = default;
};

/// Whether a qdisc of this kind delays, drops or redirects what passes its link: neither the absence of a queue nor the
/// place where BPF programs hang.
[[nodiscard]] bool shapes(std::string_view kind);

/// Every qdisc of the socket's namespace.
[[nodiscard]] Result<std::vector<Qdisc>> list_qdiscs(NlSocket &sock);

} // namespace weft::net

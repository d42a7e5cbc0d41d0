// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "base/addr.hpp"
#include "base/error.hpp"
#include "net/netlink.hpp"

namespace weft::net {

/// IPv4 addresses of links. A Net4 here is an address with its prefix length ("10.5.3.1/24" keeps the .1).

/// Adds the address with scope global; one that is there already is no error.
[[nodiscard]] Status set_address(NlSocket &sock, int ifindex, const Net4 &address);

/// @return whether it was there.
[[nodiscard]] Result<bool> remove_address(NlSocket &sock, int ifindex, const Net4 &address);

/// A link's addresses in the kernel's order, the primary first. @param ifindex 0: every link's.
struct LinkAddress {
    int ifindex = 0;
    Net4 address;
    unsigned scope = 0; ///< RT_SCOPE_*
    unsigned flags = 0; ///< IFA_F_*

    bool operator==(const LinkAddress &) const = default;
};
[[nodiscard]] Result<std::vector<LinkAddress>> list_addresses(NlSocket &sock, int ifindex = 0);

} // namespace weft::net

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "base/addr.hpp"
#include "base/error.hpp"
#include "net/netlink.hpp"

namespace weft::net {

/// Addresses of links. A Net here is an address with its prefix length ("10.5.3.1/24" keeps the .1).

/// Adds the address with scope global; one that is there already is no error.
/// An IPv6 address is usable at once, without duplicate address detection (IFA_F_NODAD): weft gives out none twice. It
/// goes when its link goes down, unlike an IPv4 one. A /128 brings no route to itself (IFA_F_NOPREFIXROUTE).
/// Errors: EACCES if the link has disable_ipv6 set.
[[nodiscard]] Status set_address(NlSocket &sock, int ifindex, const Net &address);

/// @return whether it was there.
[[nodiscard]] Result<bool> remove_address(NlSocket &sock, int ifindex, const Net &address);

/// A link's addresses in the kernel's order, the primary first, IPv4 before IPv6. @param ifindex 0: every link's.
struct LinkAddress {
    int ifindex = 0;
    Net address;
    unsigned scope = 0; ///< RT_SCOPE_*
    unsigned flags = 0; ///< IFA_F_*

    bool operator==(const LinkAddress &) const = default;
};
[[nodiscard]] Result<std::vector<LinkAddress>> list_addresses(NlSocket &sock, int ifindex = 0);

} // namespace weft::net

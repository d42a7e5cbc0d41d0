// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/error.hpp"
#include "net/netlink.hpp"

namespace weft::cni {

/// Deletes the veth whose host end this is, with everything that hangs on its ends. Gone already is fine.
///
/// Contract: when it returns, neither namespace has the device, its addresses, routes, neighbours or filter any more. The
/// kernel may still be freeing it: that takes 15 to 25 ms of waiting for RCU (docs/adr/0014), for which a child is left
/// behind. Dying half way changes nothing: the child goes on.
[[nodiscard]] Status delete_veth(net::NlSocket &host, int index);

} // namespace weft::cni

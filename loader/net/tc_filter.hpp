// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/error.hpp"
#include "net/netlink.hpp"

namespace weft::net {

/// Whether anybody has a filter on either side of an interface's clsact qdisc.
/// @return nothing to tell apart: false also when there is no such qdisc or interface.
[[nodiscard]] Result<bool> has_clsact_filters(NlSocket &sock, int ifindex);

} // namespace weft::net

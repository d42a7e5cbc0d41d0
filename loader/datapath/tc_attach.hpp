// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/error.hpp"

namespace weft::datapath {

enum class TcHook { ingress, egress };

/// Puts a program on a clsact hook of an interface of this namespace, at weft's own priority and handle, making the qdisc if it
/// is missing. A program of ours that is there already is replaced in one step: no packet sees neither.
/// @return whether anything was changed; false when exactly this program is in place.
/// Errors: name the interface and hook; ENODEV when the interface is gone.
[[nodiscard]] Result<bool> attach_tc(int program_fd, int ifindex, TcHook hook);

} // namespace weft::datapath

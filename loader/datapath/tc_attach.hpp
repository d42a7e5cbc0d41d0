// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/error.hpp"

namespace weft::datapath {

enum class TcHook { ingress, egress };

/// Puts a tc program first on a hook of an interface of this namespace: by TCX where the kernel has it (6.6), else as a
/// filter on a clsact qdisc at weft's own priority and handle. A program of ours that is there already is replaced in one
/// step: no packet sees neither. The attachment belongs to the interface and ends with it; nothing is pinned for it.
///
/// TCX first, because it needs no qdisc: the CNI bandwidth plugin adds an ingress qdisc of its own to a pod's veth, which a
/// clsact there refuses, and nobody's `tc qdisc del` takes it off.
/// @return whether anything was changed; false when exactly this program is in place.
/// Errors: name the interface and hook; ENODEV when the interface is gone.
[[nodiscard]] Result<bool> attach_tc(int program_fd, int ifindex, TcHook hook);

/// As attach_tc() of an interface without a program of ours, by a clsact filter on every kernel. attach_tc() then replaces it
/// where it is. For what cannot wait: a TCX attachment takes an RCU grace period with the rtnl lock held (median 13 ms, at
/// best 7, on Linux 6.18), a clsact qdisc and its filter 0.2 ms.
[[nodiscard]] Status attach_clsact(int program_fd, int ifindex, TcHook hook);

/// The id of the weft program on that hook; none when there is none.
[[nodiscard]] Result<std::optional<std::uint32_t>> attached_tc(int ifindex, TcHook hook);

/// All programs on that hook by TCX, in the order in which they run. Errors: EINVAL from a kernel without TCX.
[[nodiscard]] Result<std::vector<std::uint32_t>> tcx_programs(int ifindex, TcHook hook);
/// The programs of others that run on that hook before ours, in their order: TCX programs. Empty where ours is not there.
[[nodiscard]] Result<std::vector<std::uint32_t>> tcx_before_ours(int ifindex, TcHook hook);
/// Takes weft's program off the hook, by whichever way it is there. An empty clsact qdisc may stay.
/// @return whether there was one. An interface that is gone has none.
[[nodiscard]] Result<bool> detach_tc(int ifindex, TcHook hook);

/// Removes the clsact qdisc with all that hangs on it.
[[nodiscard]] Status remove_clsact(int ifindex);

/// The kernel's id of a loaded program.
[[nodiscard]] Result<std::uint32_t> program_id(int program_fd);

} // namespace weft::datapath

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bpf/libbpf.h>

#include <string_view>

#include "base/error.hpp"

namespace weft::datapath {

/// Attaches the XDP program `program_name` of `object` to an interface in native mode through libxdp: behind its dispatcher,
/// beside other programs, where the kernel can do that, else alone. Loads the object. An older program of the same name is
/// replaced in one step where it is alone; behind the dispatcher it is taken off first, and in between packets take the tc
/// program's way, so none is lost.
/// Errors: EBUSY in words when a foreign program that shares with nobody holds the interface; EOPNOTSUPP when the driver has no
/// native XDP (generic XDP is slower than tc and is not tried).
[[nodiscard]] Status attach_xdp(bpf_object &object, std::string_view program_name, int ifindex);

/// The same without libxdp, where nothing else is attached: its dispatcher of before 1.5 changes no packet, and kernels that
/// look (6.13, and older ones with their updates) let nothing that does run behind it: attach_xdp() ends with EINVAL.
[[nodiscard]] Status attach_xdp_alone(bpf_object &object, std::string_view program_name, int ifindex);

/// Whether what is attached to the interface runs behind no dispatcher: others cannot join it.
[[nodiscard]] bool xdp_is_alone(int ifindex);

/// Whether a program of this name is attached to the interface, alone or behind the dispatcher.
[[nodiscard]] bool xdp_is_attached(std::string_view program_name, int ifindex);

/// Takes programs of this name off the interface. @return whether there was one.
[[nodiscard]] Result<bool> detach_xdp(std::string_view program_name, int ifindex);

} // namespace weft::datapath

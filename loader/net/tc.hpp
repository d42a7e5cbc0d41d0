// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "net/netlink.hpp"

namespace weft::net {

/// Classic tc (clsact) attachments of BPF programs. TCX is not used here: libbpf 1.1 has no helpers for it, and clsact
/// is there on every kernel that weft runs on.
enum class TcHook { ingress, egress };

/// Where a filter sits: its place is its identity, so attaching twice replaces.
struct TcPlace {
    int ifindex = 0;
    TcHook hook = TcHook::ingress;
    std::uint16_t priority = 0;
    std::uint32_t handle = 0;

    bool operator==(const TcPlace &) const = default;
};

/// Gives the link a clsact qdisc; one that is there already is no error.
[[nodiscard]] Status ensure_clsact(NlSocket &sock, int ifindex);

/// Attaches a loaded sched_cls program in direct-action mode, replacing atomically what is at that place.
/// The kernel holds its own reference: `program_fd` may be closed afterwards. @param name shown by tc.
[[nodiscard]] Status attach_program(NlSocket &sock, const TcPlace &place, int program_fd, std::string_view name);

/// @return whether there was a filter.
[[nodiscard]] Result<bool> detach_program(NlSocket &sock, const TcPlace &place);

/// A BPF filter as the kernel reports it.
struct TcProgram {
    TcPlace place;
    std::string name;
    std::uint32_t program_id = 0;
    bool direct_action = false;
};
/// BPF filters of one hook of one link; none (and no error) where there is no clsact.
[[nodiscard]] Result<std::vector<TcProgram>> list_programs(NlSocket &sock, int ifindex, TcHook hook);

} // namespace weft::net

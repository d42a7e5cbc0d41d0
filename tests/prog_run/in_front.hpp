// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/addr.hpp"
#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace weft::prog_run {

/// What the kernel's vxlan device says of a packet that it has taken off.
struct TunnelKey {
    Ip sender;
    std::uint32_t vni = 1;
};

/// A program as behind that device. BPF_PROG_RUN makes packets without tunnel metadata, so another program in front gives them
/// some. Needs bpf_tunnel_key's local addresses (kernel 6.0): what is sent from here is what the other end sees.
class BehindTunnel {
public:
    [[nodiscard]] static Result<BehindTunnel> create(int program_fd);
    /// For the packets from now on; nullopt: none.
    Status set_key(const std::optional<TunnelKey> &key);
    [[nodiscard]] int program_fd() const { return program_.get(); }

private:
    BehindTunnel() = default;
    UniqueFd settings_, next_, program_;
};

/// A program as behind a device that takes VLAN tags off packets and keeps them beside, the last of these outermost; likewise.
class BehindTags {
public:
    [[nodiscard]] static Result<BehindTags> create(int program_fd, const std::vector<std::uint16_t> &tags);
    [[nodiscard]] int program_fd() const { return program_.get(); }

private:
    BehindTags() = default;
    UniqueFd next_, program_;
};

} // namespace weft::prog_run

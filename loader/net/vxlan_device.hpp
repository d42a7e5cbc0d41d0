// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "base/addr.hpp"
#include "base/error.hpp"
#include "net/netlink.hpp"

namespace weft::net {

/// The device through which the host's own packets enter and leave the pod network, whatever the VNI.
inline constexpr const char *kVtepName = "weft.1";

/// A vxlan device with what weft sets on it.
struct VxlanDevice {
    std::string name;
    bool external = true;   ///< collect-metadata mode: the tunnel key travels with each packet
    std::uint16_t port = 0; ///< UDP, host byte order
    bool learning = false;
    bool zero_csum6_rx = false; ///< takes what comes over IPv6 without a UDP checksum
    Mac mac;
    unsigned mtu = 0;
    bool noarp = true;
    bool up = true;

    bool operator==(const VxlanDevice &) const = default;
    /// Whether this device can become `wanted` without being made anew.
    [[nodiscard]] bool can_become(const VxlanDevice &wanted) const {
        return external == wanted.external && port == wanted.port && learning == wanted.learning &&
               zero_csum6_rx == wanted.zero_csum6_rx;
    }
};

struct FoundVxlan {
    int ifindex = 0;
    VxlanDevice device;
};

/// The device of that name. Nothing if there is none, or if a device of another kind has the name (find_link() tells).
[[nodiscard]] Result<std::optional<FoundVxlan>> find_vxlan(NlSocket &sock, const std::string &name);

/// A vxlan device other than `except` that is up on this UDP port: only one of them can be.
[[nodiscard]] Result<std::optional<std::string>> vxlan_holding_port(NlSocket &sock, std::uint16_t port,
                                                                    const std::set<std::string> &except);

/// Makes the device, down. The MAC is set at creation, so that udev's MACAddressPolicy leaves it alone.
/// Errors: EEXIST if the name is taken or another external device has the port.
[[nodiscard]] Status create_vxlan(NlSocket &sock, const VxlanDevice &device);

} // namespace weft::net

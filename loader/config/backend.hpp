// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "config/net_conf.hpp"
#include "weft_abi.h"

namespace weft {

/// flannel's BackendType of an encapsulation: "vxlan", "host-gw", ...
[[nodiscard]] std::string_view backend_name(weft_encap encap);
/// Those that weft carries: "vxlan, host-gw, ...".
[[nodiscard]] std::string backend_names();
/// The encapsulation that a BackendType stands for; nullopt for one that weft does not carry. "" is flannel's udp, which writes
/// none into its leases.
[[nodiscard]] std::optional<weft_encap> encap_of_backend(std::string_view name);

/// Formats that say nowhere what is inside: flannel's carry IPv4 alone, and a node that put IPv6 in would not be understood.
[[nodiscard]] bool is_ipv4_only(weft_encap encap);

/// Bytes between the underlay's IP packet and the inner one.
[[nodiscard]] unsigned overhead_of(weft_encap encap);

/// IP version of the underlay that carries a tunnel packet: its header's length is part of the overhead.
enum class Underlay { ipv4, ipv6 };

/// The `Backend` object of the network configuration: how the nodes of this cluster reach each other.
struct BackendConf {
    weft_encap encap = WEFT_ENCAP_VXLAN;
    std::uint32_t vni = WEFT_DEFAULT_VNI;           ///< vxlan
    std::uint16_t port = WEFT_DEFAULT_PORT;         ///< vxlan's
    std::uint16_t udp_port = WEFT_DEFAULT_UDP_PORT; ///< udp's
    std::optional<unsigned> mtu;                    ///< of the underlay; absent: that of the uplink
    bool direct_routing = false; ///< vxlan, ipip: nodes of the same segment are reached without headers
    bool ipv6 = false;           ///< what is carried may be IPv6

    /// Keys that are set and not honoured, one sentence each.
    std::vector<std::string> remarks;

    [[nodiscard]] std::string_view name() const { return backend_name(encap); }
    /// 70 bytes for vxlan over IPv6. (Flannel counts 50 there too, so its full-sized packets do not fit.)
    [[nodiscard]] unsigned overhead(Underlay underlay = Underlay::ipv4) const;
    /// The least MTU of the underlay: what every link must carry has room inside, 68 bytes of IPv4 (RFC 791) and 1280 of
    /// IPv6 (RFC 8200), below which the kernel takes IPv6 off the pod's link.
    [[nodiscard]] unsigned least_mtu(Underlay underlay = Underlay::ipv4) const {
        return (ipv6 ? 1280 : 68) + overhead(underlay);
    }

    bool operator==(const BackendConf &) const = default;
};

/// Fails on a backend that weft does not carry, or not with IPv6 (udp and ipip, as with flannel, where it is no error and no
/// pod's IPv6 works), on a key of the wrong type, on values that flannel passes on unchecked though no device can have them
/// (VNI over 24 bits, Port over 65535, too small an MTU), and on GBP, which changes what is on the wire and is not spoken
/// here. Port 0 means the default.
[[nodiscard]] Result<BackendConf> parse_backend(const NetConf &conf);

} // namespace weft

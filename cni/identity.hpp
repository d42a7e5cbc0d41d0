// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/addr.hpp"
#include "cni/netconf.hpp"
#include "net/link.hpp"

namespace weft::cni {

/// The names by which everything of an attachment is found again, by a later call with no memory of the first.

/// "weft" and 11 hex digits of a hash of both: exactly as long as the kernel allows.
[[nodiscard]] std::string host_ifname(const Attachment &attachment);

/// "weft:<network>:<container id>:<ifname>", the host end's alias: the full names behind the hash.
[[nodiscard]] std::string alias_of(std::string_view network, const Attachment &attachment);

struct Identity {
    std::string network;
    Attachment attachment;

    bool operator==(const Identity &) const = default;
};
[[nodiscard]] std::optional<Identity> parse_alias(std::string_view alias);

/// Whether the link is the host end of a pod of ours. One without alias is: ADD died between making and naming it.
[[nodiscard]] bool is_host_end(const net::Link &link);

/// As is_host_end(), of this attachment of this network.
[[nodiscard]] bool is_host_end_of(const net::Link &link, std::string_view network, const Attachment &attachment);

/// MACs of a pod's veth, made from its first address: of an IPv4 one unique within the cluster, and readable in a capture;
/// an IPv6 one is hashed. Locally administered, so the kernel and udev keep them.
[[nodiscard]] Mac pod_mac(const Ip &address);
[[nodiscard]] Mac host_mac(const Ip &address);

/// The link-local address that goes with a MAC (RFC 4291, appendix A).
[[nodiscard]] Ip6 link_local(const Mac &mac);

} // namespace weft::cni

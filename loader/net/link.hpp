// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <net/if.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/addr.hpp"
#include "base/error.hpp"
#include "net/netlink.hpp"

namespace weft::net {

/// A network device as the kernel reports it. A value: a snapshot, not a handle.
struct Link {
    int index = 0;
    std::string name;
    std::string kind;  ///< IFLA_INFO_KIND: "veth", "netkit", "vxlan", "bridge"; empty for hardware and lo
    std::string alias; ///< IFLA_IFALIAS; weft's own devices say in it whose they are
    Mac mac;           ///< all zero where the device has no Ethernet address
    unsigned mtu = 0;
    unsigned flags = 0;    ///< IFF_*
    unsigned hardware = 0; ///< ARPHRD_*
    int link = 0; ///< IFLA_LINK: the other end of a pair (an index of the peer's own namespace), a vxlan's lower device
    int link_netns = -1; ///< IFLA_LINK_NETNSID: the namespace of `link`, as this one numbers it; -1: this one
    int master = 0;      ///< bridge or bond it is enslaved to

    [[nodiscard]] bool up() const { return (flags & IFF_UP) != 0; }
    /// Up and the lower layer says it can send: operational state UP or UNKNOWN.
    [[nodiscard]] bool running() const { return (flags & IFF_RUNNING) != 0; }
    [[nodiscard]] bool loopback() const { return (flags & IFF_LOOPBACK) != 0; }
    /// One end of what pods are wired with.
    [[nodiscard]] bool paired() const { return kind == "veth" || kind == "netkit"; }

    bool operator==(const Link &) const = default;
};

/// One link of the socket's namespace; nullopt if there is none of that name or index.
[[nodiscard]] Result<std::optional<Link>> find_link(NlSocket &sock, std::string_view name);
[[nodiscard]] Result<std::optional<Link>> find_link(NlSocket &sock, int index);
[[nodiscard]] Result<std::vector<Link>> list_links(NlSocket &sock);
/// The other end of a pair, wherever that is; nullopt while the kernel does not tell.
[[nodiscard]] Result<std::optional<Link>> find_peer(NlSocket &sock, const Link &end);

/// A pair of devices: one end here, the other created directly in another namespace. Both start down.
/// MACs given here are set at creation (addr_assign_type NET_ADDR_SET), so that udev's MACAddressPolicy leaves them alone;
/// all zero: the kernel draws one.
struct PairSpec {
    std::string kind = "veth"; ///< or "netkit", with link-layer addresses
    std::string name;
    Mac mac;
    std::string peer_name;
    Mac peer_mac;
    int peer_netns_fd = -1;
    unsigned mtu = 0; ///< of both ends; 0: the kernel's default
};

/// Errors: EEXIST if either name is taken in its namespace; EOPNOTSUPP if the kernel has no such devices.
[[nodiscard]] Status create_pair(NlSocket &sock, const PairSpec &spec);

/// What to change on a link; unset members are left as they are. One message, applied in the kernel's own order (alias
/// and MTU before up).
struct LinkChange {
    std::optional<bool> up;
    std::optional<bool> noarp;
    std::optional<unsigned> mtu;
    std::optional<Mac> mac;
    std::optional<std::string> alias; ///< at most kMaxAliasLen octets
    std::optional<bool> arp_notify;   ///< gratuitous ARP when the link comes up or changes its MAC
};
inline constexpr std::size_t kMaxAliasLen = 255;

/// Errors: ENODEV if the link is gone.
[[nodiscard]] Status change_link(NlSocket &sock, int index, const LinkChange &change);

/// @return whether there was such a link. Deleting one end of a pair deletes both.
[[nodiscard]] Result<bool> delete_link(NlSocket &sock, int index);

} // namespace weft::net

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "base/addr.hpp"
#include "base/error.hpp"
#include "net/netlink.hpp"

namespace weft::net {

/// A neighbour entry, of ARP or of IPv6's neighbour discovery.
struct Neighbour {
    int ifindex = 0;
    Ip address;
    std::optional<Mac> mac;  ///< none while unresolved
    std::uint16_t state = 0; ///< NUD_*

    bool operator==(const Neighbour &) const = default;
};

/// The entry that a message of RTM_NEWNEIGH tells of; nullopt for any other message or family.
[[nodiscard]] std::optional<Neighbour> parse_neighbour(nlmsghdr &msg);

/// Whether packets would be sent with the entry's MAC.
[[nodiscard]] bool is_valid(const Neighbour &neighbour);

/// Makes `address` on that link resolve to `mac` for ever (NUD_PERMANENT), in place of any other entry.
[[nodiscard]] Status set_permanent_neighbour(NlSocket &sock, int ifindex, const Ip &address, const Mac &mac);

/// Makes `address` on that link resolve to `mac` until the protocol knows better (NUD_STALE): the first packet waits for
/// nobody.
[[nodiscard]] Status suggest_neighbour(NlSocket &sock, int ifindex, const Ip &address, const Mac &mac);

/// Has the kernel ask for its MAC, as if there were a packet for it (NTF_USE).
[[nodiscard]] Status ask_for_neighbour(NlSocket &sock, int ifindex, const Ip &address);

/// Makes this host answer for `address` on that link (NTF_PROXY). IPv6 answers with proxy_ndp and forwarding on only; the
/// entry goes with the link.
[[nodiscard]] Status set_proxy_neighbour(NlSocket &sock, int ifindex, const Ip &address);

/// Of both families, without proxy entries. @param ifindex 0: every link's.
[[nodiscard]] Result<std::vector<Neighbour>> list_neighbours(NlSocket &sock, int ifindex = 0);

} // namespace weft::net

// SPDX-License-Identifier: Apache-2.0
#include "daemon/only_one.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>
#include <string_view>

namespace weft {

Result<UniqueFd> claim_network_namespace() {
    // Abstract names of Unix sockets (those with a zero in front) belong to a network namespace, as weft.1 does.
    constexpr std::string_view kName("\0weftd", 6);
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    std::memcpy(address.sun_path, kName.data(), kName.size());
    UniqueFd claim(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!claim) return fail_errno(errno, "claim the network namespace");
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + kName.size());
    if (::bind(claim.get(), reinterpret_cast<const sockaddr *>(&address), size) == 0) return claim;
    if (errno != EADDRINUSE) return fail_errno(errno, "claim the network namespace");
    return fail("another weftd runs in this network namespace: stop it first", EADDRINUSE);
}

} // namespace weft

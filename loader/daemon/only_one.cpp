// SPDX-License-Identifier: Apache-2.0
#include "daemon/only_one.hpp"

#include <sys/socket.h>
#include <sys/un.h>

#include <cstddef>
#include <cstring>
#include <string_view>

namespace weft {
namespace {

/// Whether who listens there is root, by the credentials that the kernel took when it began to.
bool belongs_to_root(const sockaddr *name, socklen_t size) {
    const UniqueFd caller(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
    if (!caller || ::connect(caller.get(), name, size) != 0) return false;
    ucred holder{};
    socklen_t length = sizeof holder;
    return ::getsockopt(caller.get(), SOL_SOCKET, SO_PEERCRED, &holder, &length) == 0 && holder.uid == 0;
}

} // namespace

Result<UniqueFd> claim_network_namespace() {
    // Abstract names of Unix sockets (those with a zero in front) belong to a network namespace, as weft.1 does.
    constexpr std::string_view kName("\0weftd", 6);
    sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
    std::memcpy(address.sun_path, kName.data(), kName.size());
    const auto *name = reinterpret_cast<const sockaddr *>(&address);
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + kName.size());
    UniqueFd claim(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (!claim) return fail_errno(errno, "claim the network namespace");
    if (::bind(claim.get(), name, size) == 0) {
        if (::listen(claim.get(), SOMAXCONN) != 0) return fail_errno(errno, "claim the network namespace");
        return claim;
    }
    if (errno != EADDRINUSE) return fail_errno(errno, "claim the network namespace");
    if (belongs_to_root(name, size))
        return fail("another weftd runs in this network namespace: stop it first", EADDRINUSE);
    return UniqueFd(); // any user can take such a name, and must not keep weftd from starting
}

} // namespace weft

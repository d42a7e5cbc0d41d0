// SPDX-License-Identifier: Apache-2.0
#include "cni/unwire.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <optional>

#include "base/unique_fd.hpp"
#include "net/link.hpp"

namespace weft::cni {
namespace {

/// A netlink socket that hears of this link's end and of nothing else: when fifty pods go at once, each of their plugins would
/// otherwise be woken for every other's.
Result<UniqueFd> listen_for_end(int index) {
    UniqueFd sock(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
    if (!sock) return fail_errno(errno, "netlink socket");
    // A classic filter loads in network byte order.
    constexpr unsigned kIndexAt = NLMSG_HDRLEN + offsetof(ifinfomsg, ifi_index);
    std::array code{
        sock_filter{BPF_LD | BPF_H | BPF_ABS, 0, 0, offsetof(nlmsghdr, nlmsg_type)},
        sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 0, 2, htons(RTM_DELLINK)},
        sock_filter{BPF_LD | BPF_W | BPF_ABS, 0, 0, kIndexAt},
        sock_filter{BPF_JMP | BPF_JEQ | BPF_K, 1, 0, htonl(static_cast<std::uint32_t>(index))},
        sock_filter{BPF_RET | BPF_K, 0, 0, 0},
        sock_filter{BPF_RET | BPF_K, 0, 0, UINT32_MAX},
    };
    const sock_fprog program{.len = code.size(), .filter = code.data()};
    if (::setsockopt(sock.get(), SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) != 0)
        return fail_errno(errno, "filter link changes");
    sockaddr_nl address{};
    address.nl_family = AF_NETLINK;
    address.nl_groups = RTMGRP_LINK;
    if (::bind(sock.get(), reinterpret_cast<const sockaddr *>(&address), sizeof(address)) != 0)
        return fail_errno(errno, "listen for link changes");
    return sock;
}

/// In a child that nobody waits for. @return readable once the child has ended; nothing where there can be no child.
std::optional<UniqueFd> delete_behind(int index) {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return std::nullopt;
    UniqueFd ended(ends[0]);
    const UniqueFd alive(ends[1]);
    const pid_t child = ::fork();
    if (child < 0) return std::nullopt;
    if (child > 0) return ended;
    // Runtimes read our stdout and stderr until the last one who has them is gone.
    const UniqueFd null(::open("/dev/null", O_RDWR | O_CLOEXEC));
    if (!null) ::_exit(EXIT_FAILURE); // the parent sees the end of the child, and not the link's
    for (const int fd : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) ::dup2(null.get(), fd);
    ::setsid();
    try {
        if (auto own = net::NlSocket::open()) (void)net::delete_link(*own, index);
    } catch (const std::bad_alloc &) {
        ::_exit(EXIT_FAILURE);
    }
    ::_exit(EXIT_SUCCESS);
}

/// Whether the kernel tells of the link's end, before the child's.
bool sees_end(const UniqueFd &link, const UniqueFd &child) {
    std::array<pollfd, 2> fds{pollfd{.fd = link.get(), .events = POLLIN}, pollfd{.fd = child.get(), .events = POLLIN}};
    while (::poll(fds.data(), fds.size(), -1) < 0)
        if (errno != EINTR) return false;
    return (fds[0].revents & POLLIN) != 0;
}

} // namespace

Status delete_veth(net::NlSocket &host, int index) {
    // The kernel tells of a link's end when it has taken it out of its namespace; the request's own answer comes after it has
    // waited for every reader that may still hold it.
    if (const auto link = listen_for_end(index))
        if (const auto child = delete_behind(index); child && sees_end(*link, *child)) return {};
    auto deleted = net::delete_link(host, index);
    return deleted ? Status() : fail_as_is(std::move(deleted));
}

} // namespace weft::cni

// SPDX-License-Identifier: Apache-2.0
#include "raw_socket.hpp"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

namespace weft::test {

Status send_frame(const Netns &ns, const std::string &interface, const Bytes &frame) {
    return ns.run_in([&]() -> Status {
        const UniqueFd fd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
        if (!fd) return fail_errno(errno, "packet socket");
        sockaddr_ll to{.sll_family = AF_PACKET, .sll_ifindex = static_cast<int>(::if_nametoindex(interface.c_str()))};
        if (::sendto(fd.get(), frame.data(), frame.size(), 0, reinterpret_cast<sockaddr *>(&to), sizeof to) < 0)
            return fail_errno(errno, "send on " + interface);
        return {};
    });
}

Result<RawSocket> RawSocket::open(const Netns &ns, std::uint8_t protocol) {
    UniqueFd fd;
    auto made = ns.run_in([&]() -> Status {
        fd = UniqueFd(::socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, protocol));
        if (!fd) return fail_errno(errno, "raw socket");
        return {};
    });
    if (!made) return fail_as_is(std::move(made));
    const timeval patience{.tv_sec = 2};
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    ::setsockopt(fd.get(), SOL_SOCKET, SO_BROADCAST, &on, sizeof on);
    return RawSocket(std::move(fd));
}

Status RawSocket::send(const std::string &to, const Bytes &payload, int tos) const {
    ::setsockopt(fd_.get(), IPPROTO_IP, IP_TOS, &tos, sizeof tos);
    sockaddr_in address{.sin_family = AF_INET};
    ::inet_pton(AF_INET, to.c_str(), &address.sin_addr);
    if (::sendto(fd_.get(), payload.data(), payload.size(), 0, reinterpret_cast<sockaddr *>(&address), sizeof address) <
        0)
        return fail_errno(errno, "send to " + to);
    return {};
}

Result<Bytes> RawSocket::receive(const std::function<bool(const Bytes &)> &wanted) const {
    while (true) {
        Bytes packet(65536);
        const auto n = ::recv(fd_.get(), packet.data(), packet.size(), 0);
        if (n < 0) return fail_errno(errno, "nothing arrived");
        packet.resize(static_cast<std::size_t>(n));
        if (wanted(packet)) return packet;
    }
}

} // namespace weft::test

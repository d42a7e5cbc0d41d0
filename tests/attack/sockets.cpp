// SPDX-License-Identifier: Apache-2.0
#include "sockets.hpp"

#include <arpa/inet.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>

namespace weft::attack {
namespace {

/// A packet socket on `interface`, for `protocol` in host byte order; 0 receives nothing.
Result<std::pair<UniqueFd, int>> packet_socket(const test::Netns &ns, const std::string &interface, int protocol) {
    UniqueFd fd;
    int ifindex = 0;
    auto made = ns.run_in([&]() -> Status {
        fd = UniqueFd(::socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0));
        if (!fd) return fail_errno(errno, "packet socket");
        ifindex = static_cast<int>(::if_nametoindex(interface.c_str()));
        if (ifindex == 0) return fail_errno(errno, interface);
        const sockaddr_ll place{.sll_family = AF_PACKET,
                                .sll_protocol = htons(static_cast<std::uint16_t>(protocol)),
                                .sll_ifindex = ifindex};
        if (::bind(fd.get(), reinterpret_cast<const sockaddr *>(&place), sizeof place) < 0)
            return fail_errno(errno, "bind to " + interface);
        return {};
    });
    if (!made) return fail_as_is(std::move(made));
    return std::pair(std::move(fd), ifindex);
}

/// Room for everything that may come between two looks, and a count of what did not fit.
Status make_room(const UniqueFd &fd) {
    const int bytes = 64 << 20, on = 1;
    if (::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &bytes, sizeof bytes) < 0 ||
        ::setsockopt(fd.get(), SOL_SOCKET, SO_RXQ_OVFL, &on, sizeof on) < 0)
        return fail_errno(errno, "receive buffer");
    return {};
}

/// How many packets the socket had to drop, as told beside a received one.
std::uint32_t overflows(msghdr &message) {
    for (auto *part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SO_RXQ_OVFL)
            return *reinterpret_cast<const std::uint32_t *>(CMSG_DATA(part));
    }
    return 0;
}

} // namespace

Result<FrameSender> FrameSender::open(const test::Netns &ns, const std::string &interface) {
    auto made = packet_socket(ns, interface, 0);
    if (!made) return fail_as_is(std::move(made));
    return FrameSender(std::move(made->first), made->second);
}

Status FrameSender::send(const std::vector<Bytes> &frames) const {
    sockaddr_ll to{.sll_family = AF_PACKET, .sll_ifindex = ifindex_};
    for (const auto &frame : frames) {
        if (::sendto(fd_.get(), frame.data(), frame.size(), 0, reinterpret_cast<sockaddr *>(&to), sizeof to) < 0)
            return fail_errno(errno, "send a frame");
    }
    return {};
}

Result<Ears> Ears::of_interface(const test::Netns &ns, const std::string &interface) {
    auto made = packet_socket(ns, interface, ETH_P_ALL);
    if (!made) return fail_as_is(std::move(made));
    if (auto room = make_room(made->first); !room) return fail_as_is(std::move(room));
    Ears ears;
    ears.sockets_.push_back({std::move(made->first), Received::From::link, 0});
    return ears;
}

Result<Ears> Ears::of_host(const test::Netns &ns) {
    Ears ears;
    auto made = ns.run_in([&]() -> Status {
        constexpr std::pair<int, int> kKinds[] = {{AF_INET, IPPROTO_ICMP}, {AF_INET, IPPROTO_TCP},
                                                  {AF_INET, IPPROTO_UDP},  {AF_INET6, IPPROTO_ICMPV6},
                                                  {AF_INET6, IPPROTO_TCP}, {AF_INET6, IPPROTO_UDP}};
        for (const auto &[family, protocol] : kKinds) {
            UniqueFd fd(::socket(family, SOCK_RAW | SOCK_CLOEXEC, protocol));
            if (!fd) return fail_errno(errno, "raw socket");
            if (auto room = make_room(fd); !room) return room;
            ears.sockets_.push_back({std::move(fd), family == AF_INET ? Received::From::ip4 : Received::From::ip6,
                                     static_cast<std::uint8_t>(protocol)});
        }
        return {};
    });
    if (!made) return fail_as_is(std::move(made));
    return ears;
}

Result<std::vector<Received>> Ears::take() const {
    std::vector<Received> all;
    for (const auto &[fd, from, protocol] : sockets_) {
        while (true) {
            Bytes packet(65536);
            sockaddr_ll source{};
            alignas(cmsghdr) char control[64];
            iovec data{packet.data(), packet.size()};
            msghdr message{.msg_name = &source,
                           .msg_namelen = sizeof source,
                           .msg_iov = &data,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof control};
            const auto n = ::recvmsg(fd.get(), &message, MSG_DONTWAIT);
            if (n < 0 && errno == EAGAIN) break;
            if (n < 0) return fail_errno(errno, "receive");
            if (overflows(message) > 0) return fail("a judge's socket has lost packets", ENOBUFS);
            if (from == Received::From::link && source.sll_pkttype == PACKET_OUTGOING) continue;
            packet.resize(static_cast<std::size_t>(n));
            all.push_back({from, protocol, std::move(packet)});
        }
    }
    return all;
}

} // namespace weft::attack

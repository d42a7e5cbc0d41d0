// SPDX-License-Identifier: Apache-2.0
#include "net/monitor.hpp"

#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <asio/posix/stream_descriptor.hpp>
#include <optional>

#include "net/attr.hpp"
#include "net/neigh.hpp"
#include "net/netlink.hpp"

namespace weft::net {
namespace {

constexpr int kReceiveBuffer = 4 << 20; // 200 pods at once make some thousand messages

bool leads_nowhere(const std::optional<Ip> &destination) {
    return destination && destination->is_v6() &&
           (destination->to_v6().is_link_local() || destination->to_v6().is_multicast());
}

std::optional<NetworkChange> change_in(nlmsghdr *header) {
    using enum NetworkChange::Kind;
    NetworkChange change;
    switch (header->nlmsg_type) {
    case RTM_DELLINK:
    case RTM_NEWLINK: {
        change.removed = header->nlmsg_type == RTM_DELLINK;
        change.ifindex = static_cast<const ifinfomsg *>(nlmsg_data(header))->ifi_index;
        if (const nlattr *name = nlmsg_find_attr(header, sizeof(ifinfomsg), IFLA_IFNAME))
            change.link_name = nla_get_string(name);
        return change;
    }
    case RTM_DELADDR:
    case RTM_NEWADDR:
        if (leads_nowhere(attr::Attrs<IFA_MAX>(*header, sizeof(ifaddrmsg)).ip(IFA_ADDRESS))) return std::nullopt;
        change.kind = address;
        change.removed = header->nlmsg_type == RTM_DELADDR;
        change.ifindex = static_cast<int>(static_cast<const ifaddrmsg *>(nlmsg_data(header))->ifa_index);
        return change;
    case RTM_DELNEIGH:
    case RTM_NEWNEIGH:
        change.kind = neighbour;
        change.removed = header->nlmsg_type == RTM_DELNEIGH;
        change.ifindex = static_cast<const ndmsg *>(nlmsg_data(header))->ndm_ifindex;
        if (const auto entry = parse_neighbour(*header)) {
            change.neighbour_address = entry->address;
            if (is_valid(*entry)) change.mac = entry->mac;
        }
        return change;
    case RTM_DELQDISC:
    case RTM_NEWQDISC:
        change.kind = qdisc;
        change.removed = header->nlmsg_type == RTM_DELQDISC;
        change.ifindex = static_cast<const tcmsg *>(nlmsg_data(header))->tcm_ifindex;
        if (const nlattr *kind = nlmsg_find_attr(header, sizeof(tcmsg), TCA_KIND))
            change.qdisc_kind = nla_get_string(kind);
        return change;
    case RTM_DELTFILTER:
    case RTM_NEWTFILTER:
        change.kind = filter;
        change.removed = header->nlmsg_type == RTM_DELTFILTER;
        change.ifindex = static_cast<const tcmsg *>(nlmsg_data(header))->tcm_ifindex;
        return change;
    case RTM_DELROUTE:
    case RTM_NEWROUTE:
        if (leads_nowhere(attr::Attrs<RTA_MAX>(*header, sizeof(rtmsg)).ip(RTA_DST))) return std::nullopt;
        change.kind = route;
        change.removed = header->nlmsg_type == RTM_DELROUTE;
        change.protocol = static_cast<const rtmsg *>(nlmsg_data(header))->rtm_protocol;
        if (nlattr *oif = nlmsg_find_attr(header, sizeof(rtmsg), RTA_OIF))
            change.ifindex = static_cast<int>(nla_get_u32(oif));
        return change;
    default: return std::nullopt;
    }
}

} // namespace

class NetworkMonitor::Impl : public std::enable_shared_from_this<Impl> {
public:
    Impl(asio::io_context &io, NlSocket sock, std::function<void(const NetworkChange &)> change,
         std::function<void()> overrun)
        : sock_(std::move(sock)), wait_(io), change_(std::move(change)), overrun_(std::move(overrun)) {}

    Status start() {
        for (const int group : {RTNLGRP_LINK, RTNLGRP_IPV4_IFADDR, RTNLGRP_IPV6_IFADDR, RTNLGRP_NEIGH,
                                RTNLGRP_IPV4_ROUTE, RTNLGRP_IPV6_ROUTE, RTNLGRP_TC})
            if (int err = nl_socket_add_membership(sock_.get(), group); err < 0)
                return fail_nl(err, "watch the network");
        const int fd = nl_socket_get_fd(sock_.get());
        // FORCE needs CAP_NET_ADMIN, which weftd has; without it the default size does, with more resyncs.
        if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof(kReceiveBuffer)) < 0)
            (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof(kReceiveBuffer));
        // The descriptor closes what it is given: it gets a number of its own for the same socket.
        const int own = ::dup(fd);
        if (own < 0) return fail_errno(errno, "watch the network");
        wait_.assign(own);
        wait_for_more();
        return {};
    }

    void stop() {
        asio::error_code ignored;
        wait_.close(ignored);
        change_ = nullptr;
        overrun_ = nullptr;
    }

private:
    void wait_for_more() {
        wait_.async_wait(asio::posix::descriptor_base::wait_read, [self = shared_from_this()](asio::error_code err) {
            if (err || !self->change_) return;
            self->drain();
            if (self->change_) self->wait_for_more();
        });
    }

    void drain() {
        alignas(nlmsghdr) std::array<char, 64 * 1024> buffer;
        while (change_) {
            const ssize_t got = ::recv(wait_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
            if (got < 0) {
                const int err = errno;
                if (err == EINTR) continue;
                if (err == ENOBUFS) {
                    overrun_();
                    continue;
                }
                return; // EAGAIN: all read
            }
            int left = static_cast<int>(got);
            for (auto *header = reinterpret_cast<nlmsghdr *>(buffer.data()); nlmsg_ok(header, left) && change_;
                 header = nlmsg_next(header, &left))
                if (const auto change = change_in(header)) change_(*change);
        }
    }

    NlSocket sock_;
    asio::posix::stream_descriptor wait_;
    std::function<void(const NetworkChange &)> change_;
    std::function<void()> overrun_;
};

NetworkMonitor::NetworkMonitor(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
NetworkMonitor::NetworkMonitor(NetworkMonitor &&) noexcept = default;
NetworkMonitor::~NetworkMonitor() {
    if (impl_) impl_->stop();
}

Result<NetworkMonitor> NetworkMonitor::start(asio::io_context &io, std::function<void(const NetworkChange &)> change,
                                             std::function<void()> overrun) {
    auto sock = NlSocket::open();
    if (!sock) return fail_as_is(std::move(sock));
    auto impl = std::make_shared<Impl>(io, std::move(*sock), std::move(change), std::move(overrun));
    if (auto started = impl->start(); !started) return fail_as_is(std::move(started));
    return NetworkMonitor(std::move(impl));
}

} // namespace weft::net

// SPDX-License-Identifier: Apache-2.0
#include "firewall/monitor.hpp"

#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/socket.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <asio/posix/stream_descriptor.hpp>
#include <optional>
#include <string_view>

#include "net/netlink.hpp"

namespace weft {
namespace {

constexpr int kReceiveBuffer = 1 << 20; // what is lost is a reason to look, and costs no more than what is read

std::string text_attribute(nlmsghdr *header, int type) {
    nlattr *found = nlmsg_find_attr(header, sizeof(nfgenmsg), type);
    return found ? nla_get_string(found) : std::string();
}

std::optional<RuleChange> change_in(nlmsghdr *header) {
    if (NFNL_SUBSYS_ID(header->nlmsg_type) != NFNL_SUBSYS_NFTABLES) return std::nullopt;
    RuleChange change{.message = static_cast<std::uint8_t>(NFNL_MSG_TYPE(header->nlmsg_type)),
                      .family = static_cast<const nfgenmsg *>(nlmsg_data(header))->nfgen_family};
    switch (change.message) {
    case NFT_MSG_NEWTABLE:
    case NFT_MSG_DELTABLE: change.table = text_attribute(header, NFTA_TABLE_NAME); return change;
    case NFT_MSG_NEWCHAIN:
    case NFT_MSG_DELCHAIN:
        change.table = text_attribute(header, NFTA_CHAIN_TABLE);
        change.chain = text_attribute(header, NFTA_CHAIN_NAME);
        return change;
    case NFT_MSG_NEWRULE:
    case NFT_MSG_DELRULE:
        change.table = text_attribute(header, NFTA_RULE_TABLE);
        change.chain = text_attribute(header, NFTA_RULE_CHAIN);
        return change;
    default: return std::nullopt;
    }
}

} // namespace

bool concerns_weft(const RuleChange &change) {
    if (change.family == NFPROTO_INET) return change.table == "weft";
    if (change.family != NFPROTO_IPV4 && change.family != NFPROTO_IPV6) return false;
    if (change.table == "weft") return true;
    if (change.table != "nat" && change.table != "filter") return false;
    if (change.chain.empty() || change.chain.starts_with("WEFT-")) return true;
    // A built-in chain that appears makes the host one of iptables; a rule that goes may have been the jump to ours.
    constexpr std::string_view kNames[] = {"POSTROUTING", "FORWARD", "PREROUTING", "INPUT", "OUTPUT"};
    for (const auto name : kNames)
        if (change.chain == name) return change.message != NFT_MSG_NEWRULE;
    return false;
}

class RuleMonitor::Impl : public std::enable_shared_from_this<Impl> {
public:
    Impl(asio::io_context &io, std::function<void()> changed)
        : sock_(nl_socket_alloc()), wait_(io), changed_(std::move(changed)) {}

    Status start() {
        if (!sock_) return fail("watch nftables: no socket", ENOMEM);
        if (const int err = nl_connect(sock_.get(), NETLINK_NETFILTER); err < 0)
            return net::fail_nl(err, "watch nftables");
        const int fd = nl_socket_get_fd(sock_.get());
        // Too small a buffer means lost messages, which are a reason to look like any other.
        if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBuffer, sizeof(kReceiveBuffer)) < 0)
            (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kReceiveBuffer, sizeof(kReceiveBuffer));
        if (const int err = nl_socket_add_membership(sock_.get(), NFNLGRP_NFTABLES); err < 0)
            return net::fail_nl(err, "watch nftables");
        const int own = ::dup(fd); // the descriptor closes what it is given
        if (own < 0) return fail_errno(errno, "watch nftables");
        wait_.assign(own);
        wait_for_more();
        return {};
    }

    void stop() {
        asio::error_code ignored;
        wait_.close(ignored);
        changed_ = nullptr;
    }

private:
    void wait_for_more() {
        wait_.async_wait(asio::posix::descriptor_base::wait_read, [self = shared_from_this()](asio::error_code err) {
            if (err || !self->changed_) return;
            if (self->drain()) self->changed_();
            if (self->changed_) self->wait_for_more();
        });
    }

    /// @return whether anything in it concerns us.
    bool drain() {
        alignas(nlmsghdr) std::array<char, 64 * 1024> buffer;
        bool concerned = false;
        for (;;) {
            const ssize_t got = ::recv(wait_.native_handle(), buffer.data(), buffer.size(), MSG_DONTWAIT);
            if (got < 0) {
                const int err = errno;
                if (err == EINTR) continue;
                if (err != ENOBUFS) return concerned; // EAGAIN: all read
                concerned = true;
                continue;
            }
            int left = static_cast<int>(got);
            for (auto *header = reinterpret_cast<nlmsghdr *>(buffer.data()); nlmsg_ok(header, left);
                 header = nlmsg_next(header, &left)) {
                if (concerned) break; // the rest cannot change the answer
                const auto change = change_in(header);
                concerned = change && concerns_weft(*change);
            }
        }
    }

    net::NlPtr<nl_sock, nl_socket_free> sock_;
    asio::posix::stream_descriptor wait_;
    std::function<void()> changed_;
};

RuleMonitor::RuleMonitor(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
RuleMonitor::RuleMonitor(RuleMonitor &&) noexcept = default;
RuleMonitor::~RuleMonitor() {
    if (impl_) impl_->stop();
}

Result<RuleMonitor> RuleMonitor::start(asio::io_context &io, std::function<void()> changed) {
    auto impl = std::make_shared<Impl>(io, std::move(changed));
    if (auto started = impl->start(); !started) return fail_as_is(std::move(started));
    return RuleMonitor(std::move(impl));
}

} // namespace weft

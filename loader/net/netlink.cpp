// SPDX-License-Identifier: Apache-2.0
#include "net/netlink.hpp"

#include <fmt/format.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <sys/socket.h>

#include <cstdlib>
#include <optional>
#include <string>

namespace weft::net {
namespace {

/// What the kernel said to one request: filled by the callbacks below.
struct Reply {
    bool done = false;
    int errnum = 0;
    std::string ext_ack;
};

/// NLMSGERR_ATTR_MSG of an NLMSG_ERROR message; present with NETLINK_EXT_ACK, directly behind the header with
/// NETLINK_CAP_ACK (kernel 4.12 and 4.3).
std::string ext_ack_text(nlmsghdr &header) {
    if (!(header.nlmsg_flags & NLM_F_ACK_TLVS)) return {};
    auto *first = reinterpret_cast<nlattr *>(static_cast<char *>(nlmsg_data(&header)) + sizeof(nlmsgerr));
    const int len = static_cast<int>(header.nlmsg_len) - static_cast<int>(NLMSG_HDRLEN + sizeof(nlmsgerr));
    const nlattr *text = len > 0 ? nla_find(first, len, NLMSGERR_ATTR_MSG) : nullptr;
    return text ? std::string(nla_get_string(text)) : std::string();
}

int on_error(sockaddr_nl *, nlmsgerr *err, void *arg) {
    auto &reply = *static_cast<Reply *>(arg);
    auto *header = reinterpret_cast<nlmsghdr *>(reinterpret_cast<char *>(err) - NLMSG_HDRLEN);
    reply.errnum = -err->error;
    reply.ext_ack = ext_ack_text(*header);
    reply.done = true;
    return NL_STOP;
}

int on_ack(nl_msg *, void *arg) {
    static_cast<Reply *>(arg)->done = true;
    return NL_STOP;
}

} // namespace

NlMsg make_request(int type, int flags) {
    NlMsg msg(nlmsg_alloc_simple(type, NLM_F_REQUEST | flags));
    if (!msg) std::abort();
    return msg;
}

Result<NlSocket> NlSocket::open() {
    nl_sock *raw = nl_socket_alloc();
    if (!raw) return fail_errno(ENOMEM, "netlink socket");
    NlSocket sock(raw);
    if (int err = nl_connect(raw, NETLINK_ROUTE); err < 0) return fail_nl(err, "netlink connect");
    const int on = 1;
    // Both only improve error texts, so an old kernel's refusal is no error of ours.
    (void)setsockopt(nl_socket_get_fd(raw), SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
    (void)setsockopt(nl_socket_get_fd(raw), SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on));
    return sock;
}

Status NlSocket::request(nl_msg &msg, std::string_view what) {
    nlmsg_hdr(&msg)->nlmsg_flags |= NLM_F_ACK;
    if (int err = nl_send_auto(get(), &msg); err < 0) return fail_nl(err, what);

    Reply reply;
    NlPtr<nl_cb, nl_cb_put> callbacks(nl_cb_alloc(NL_CB_DEFAULT));
    if (!callbacks) return fail_errno(ENOMEM, what);
    nl_cb_err(callbacks.get(), NL_CB_CUSTOM, on_error, &reply);
    nl_cb_set(callbacks.get(), NL_CB_ACK, NL_CB_CUSTOM, on_ack, &reply);
    while (!reply.done) {
        const int err = nl_recvmsgs(get(), callbacks.get());
        if (err < 0 && !reply.done) return fail_nl(err, what);
    }
    if (reply.errnum == 0) return {};
    if (reply.ext_ack.empty()) return fail_errno(reply.errnum, what);
    auto failed = fail_errno(reply.errnum, what);
    return fail(fmt::format("{} ({})", failed.error().sentence(), reply.ext_ack), reply.errnum);
}

std::unexpected<Error> fail_nl(int nl_error, std::string_view what) {
    // libnl folds errno into its own numbers; these are the ones that callers branch on.
    const auto errnum = [&] {
        switch (nl_error < 0 ? -nl_error : nl_error) {
        case NLE_EXIST: return EEXIST;
        case NLE_OBJ_NOTFOUND: return ENOENT;
        case NLE_NODEV: return ENODEV;
        case NLE_PERM: return EPERM;
        case NLE_NOACCESS: return EACCES;
        case NLE_NOMEM: return ENOMEM;
        case NLE_BUSY: return EBUSY;
        case NLE_AGAIN: return EAGAIN;
        case NLE_OPNOTSUPP: return EOPNOTSUPP;
        default: return EIO;
        }
    }();
    return fail(fmt::format("{}: {}", what, nl_geterror(nl_error)), errnum);
}

} // namespace weft::net

// SPDX-License-Identifier: Apache-2.0
#include "net/netlink.hpp"

#include <fmt/format.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/errno.h>
#include <sys/socket.h>

#include <array>
#include <new>
#include <string>

namespace weft::net {
namespace {

/// A dump that keeps being interrupted is a system changing faster than it can be read.
constexpr int kMaxDumpAttempts = 16;

/// What the kernel said to one request: filled by the callbacks below.
struct Reply {
    unsigned request = 0; ///< its sequence number
    bool done = false;
    int errnum = 0;
    std::string ext_ack;
    const std::function<void(nlmsghdr &)> *each = nullptr;
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

int on_message(nl_msg *msg, void *arg) {
    const auto &reply = *static_cast<Reply *>(arg);
    if (reply.each) (*reply.each)(*nlmsg_hdr(msg));
    return NL_OK;
}

/// An answer to another request is of one that was given up half way: libnl's own count would take it for this one's.
int on_sequence(nl_msg *msg, void *arg) {
    return nlmsg_hdr(msg)->nlmsg_seq == static_cast<Reply *>(arg)->request ? NL_OK : NL_SKIP;
}

/// Reads what an exchange that failed has left: the kernel begins no other dump on a socket whose last one is not at its end.
void discard_rest(nl_sock *sock) {
    std::array<char, 16384> rest;
    while (::recv(nl_socket_get_fd(sock), rest.data(), rest.size(), MSG_DONTWAIT | MSG_TRUNC) > 0) {
    }
}

/// Sends and receives until the kernel has acknowledged, ended its dump or refused.
/// @return 0 or a libnl error (-NLE_DUMP_INTR once the interrupted dump is read to its end).
int exchange(nl_sock *sock, nl_msg &msg, Reply &reply) {
    nlmsg_hdr(&msg)->nlmsg_seq = NL_AUTO_SEQ; // a message that is sent again gets a number of its own
    if (int err = nl_send_auto(sock, &msg); err < 0) return err;
    reply.request = nlmsg_hdr(&msg)->nlmsg_seq;
    NlPtr<nl_cb, nl_cb_put> callbacks(nl_cb_alloc(NL_CB_DEFAULT));
    if (!callbacks) return -NLE_NOMEM;
    nl_cb_err(callbacks.get(), NL_CB_CUSTOM, on_error, &reply);
    nl_cb_set(callbacks.get(), NL_CB_ACK, NL_CB_CUSTOM, on_ack, &reply);
    nl_cb_set(callbacks.get(), NL_CB_FINISH, NL_CB_CUSTOM, on_ack, &reply);
    nl_cb_set(callbacks.get(), NL_CB_VALID, NL_CB_CUSTOM, on_message, &reply);
    nl_cb_set(callbacks.get(), NL_CB_SEQ_CHECK, NL_CB_CUSTOM, on_sequence, &reply);
    while (!reply.done) {
        const int err = nl_recvmsgs(sock, callbacks.get());
        if (err == -NLE_DUMP_INTR) return err;
        if (err < 0 && !reply.done) {
            discard_rest(sock);
            return err;
        }
    }
    return 0;
}

/// The kernel's verdict, with its own words where it had some.
Status verdict(const Reply &reply, std::string_view what) {
    if (reply.errnum == 0) return {};
    auto failed = fail_errno(reply.errnum, what);
    if (reply.ext_ack.empty()) return failed;
    return fail(fmt::format("{} ({})", failed.error().sentence(), reply.ext_ack), reply.errnum);
}

} // namespace

NlMsg make_request(int type, int flags) {
    NlMsg msg(nlmsg_alloc_simple(type, NLM_F_REQUEST | flags));
    if (!msg) throw std::bad_alloc();
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
    Reply reply;
    if (int err = exchange(get(), msg, reply); err < 0) return fail_nl(err, what);
    return verdict(reply, what);
}

Status NlSocket::query_each(nl_msg &msg, std::string_view what, const std::function<void()> &restart,
                            const std::function<void(nlmsghdr &)> &each) {
    // Without one, nothing would end the exchange.
    auto &flags = nlmsg_hdr(&msg)->nlmsg_flags;
    if ((flags & NLM_F_DUMP) != NLM_F_DUMP) flags |= NLM_F_ACK;
    for (int attempt = 1;; ++attempt) {
        Reply reply{.each = &each};
        const int err = exchange(get(), msg, reply);
        if (err == 0) return verdict(reply, what);
        if (err != -NLE_DUMP_INTR || attempt == kMaxDumpAttempts) return fail_nl(err, what);
        restart();
    }
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

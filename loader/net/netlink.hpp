// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/object.h>
#include <netlink/socket.h>

#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.hpp"

namespace weft::net {

/// Deleter for libnl's reference-counted and plain objects: `NlPtr<rtnl_link, rtnl_link_put>`.
template <auto Free> struct NlFree {
    template <class T> void operator()(T *p) const { Free(p); }
};
template <class T, auto Free> using NlPtr = std::unique_ptr<T, NlFree<Free>>;
using NlMsg = NlPtr<nl_msg, nlmsg_free>;

/// A request message of rtnetlink type `type` with NLM_F_REQUEST and `flags`; never null: it throws as `new` does.
[[nodiscard]] NlMsg make_request(int type, int flags = 0);

/// One route netlink socket of the network namespace in which it was opened.
///
/// Contract: requests are synchronous; every error carries errno and the kernel's extended-ack text where there is one
/// ("add route 10.244.0.0/16: Invalid argument (Nexthop has invalid gateway)").
/// Dumps that something changed half way (NLM_F_DUMP_INTR) are started over.
/// Threads: one socket, one thread.
class NlSocket {
public:
    [[nodiscard]] static Result<NlSocket> open();

    /// Sends `msg`, waits for the kernel's acknowledgement. @param what names the operation in an error.
    [[nodiscard]] Status request(nl_msg &msg, std::string_view what);

    /// Sends a get or dump request and parses every message of the answer; nullopt from `parse` skips one.
    /// @param parse std::optional<T>(nlmsghdr &)
    template <class T, class Parse>
    [[nodiscard]] Result<std::vector<T>> query(nl_msg &msg, std::string_view what, Parse parse) {
        std::vector<T> found;
        auto done = query_each(
            msg, what, [&] { found.clear(); },
            [&](nlmsghdr &header) {
                if (std::optional<T> item = parse(header)) found.push_back(std::move(*item));
            });
        if (!done) return fail_as_is(std::move(done));
        return found;
    }

    [[nodiscard]] nl_sock *get() const { return sock_.get(); }

private:
    explicit NlSocket(nl_sock *sock) : sock_(sock) {}
    [[nodiscard]] Status query_each(nl_msg &msg, std::string_view what, const std::function<void()> &restart,
                                    const std::function<void(nlmsghdr &)> &each);

    NlPtr<nl_sock, nl_socket_free> sock_;
};

/// A libnl error (negative NLE_*) as an Error with the nearest errno.
[[nodiscard]] std::unexpected<Error> fail_nl(int nl_error, std::string_view what);

} // namespace weft::net

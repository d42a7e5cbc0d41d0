// SPDX-License-Identifier: Apache-2.0
#include "net/tc_filter.hpp"

#include <fmt/format.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>

#include "net/attr.hpp"

namespace weft::net {

Result<bool> has_clsact_filters(NlSocket &sock, int ifindex) {
    for (const std::uint32_t side : {TC_H_MIN_INGRESS, TC_H_MIN_EGRESS}) {
        auto msg = make_request(RTM_GETTFILTER, NLM_F_DUMP);
        attr::put_header(
            *msg, tcmsg{.tcm_family = AF_UNSPEC, .tcm_ifindex = ifindex, .tcm_parent = TC_H_MAKE(TC_H_CLSACT, side)});
        auto filters = sock.query<bool>(*msg, fmt::format("list filters of link {}", ifindex), [](nlmsghdr &header) {
            return header.nlmsg_type == RTM_NEWTFILTER ? std::optional(true) : std::nullopt;
        });
        if (!filters && (filters.error().code() == EINVAL || filters.error().code() == ENODEV)) return false;
        if (!filters) return fail_as_is(std::move(filters));
        if (!filters->empty()) return true;
    }
    return false;
}

} // namespace weft::net

// SPDX-License-Identifier: Apache-2.0
#include "net/route_query.hpp"

#include <fmt/format.h>
#include <linux/rtnetlink.h>
#include <sys/socket.h>

#include <algorithm>

#include "net/attr.hpp"

namespace weft::net {
namespace {

std::optional<RouteAnswer> parse_answer(nlmsghdr &msg) {
    if (msg.nlmsg_type != RTM_NEWROUTE) return std::nullopt;
    const attr::Attrs<RTA_MAX> attrs(msg, sizeof(rtmsg));
    if (!attrs.valid()) return std::nullopt;
    const attr::Attrs<RTAX_MAX> metrics(attrs.at(RTA_METRICS));
    return RouteAnswer{
        .ifindex = static_cast<int>(attrs.u32(RTA_OIF)),
        .gateway = attrs.ip(RTA_GATEWAY),
        .source = attrs.ip(RTA_PREFSRC),
        .mtu = metrics.u32(RTAX_MTU),
        .type = static_cast<RouteType>(static_cast<const rtmsg *>(nlmsg_data(&msg))->rtm_type),
    };
}

std::optional<DefaultRoute> parse_default(nlmsghdr &msg) {
    if (msg.nlmsg_type != RTM_NEWROUTE) return std::nullopt;
    const auto &header = *static_cast<const rtmsg *>(nlmsg_data(&msg));
    const attr::Attrs<RTA_MAX> attrs(msg, sizeof(rtmsg));
    if (!attrs.valid() || !attr::is_ip_family(header.rtm_family) || header.rtm_dst_len != 0 ||
        header.rtm_type != RTN_UNICAST || attrs.u32(RTA_TABLE, header.rtm_table) != RT_TABLE_MAIN)
        return std::nullopt;
    DefaultRoute route{.v4 = header.rtm_family == AF_INET,
                       .ifindex = static_cast<int>(attrs.u32(RTA_OIF)),
                       .metric = attrs.u32(RTA_PRIORITY)};
    if (nlattr *multipath = attrs.at(RTA_MULTIPATH)) {
        int left = nla_len(multipath);
        auto *hop = static_cast<rtnexthop *>(nla_data(multipath));
        route.next_hops = 0;
        for (; RTNH_OK(hop, left); left -= NLMSG_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop))
            if (route.next_hops++ == 0) route.ifindex = hop->rtnh_ifindex;
    }
    return route;
}

} // namespace

Result<RouteAnswer> query_route(NlSocket &sock, const Ip &destination, const std::optional<Ip> &source) {
    const auto length = static_cast<std::uint8_t>(host_net(destination).prefix_length());
    auto msg = make_request(RTM_GETROUTE);
    attr::put_header(*msg, rtmsg{.rtm_family = attr::family_of(destination),
                                 .rtm_dst_len = length,
                                 .rtm_src_len = source ? length : std::uint8_t{0}});
    attr::put(*msg, RTA_DST, destination);
    if (source) attr::put(*msg, RTA_SRC, *source);
    const auto what = fmt::format("route to {}", destination.to_string());
    auto answers = sock.query<RouteAnswer>(*msg, what, parse_answer);
    if (!answers) return fail_as_is(std::move(answers));
    if (answers->empty()) return fail(fmt::format("{}: the kernel gave no answer", what), EPROTO);
    // IPv6 gives as an answer what is an error in IPv4.
    switch (answers->front().type) {
    case RouteType::unreachable: return fail_errno(EHOSTUNREACH, what);
    case RouteType::blackhole: return fail_errno(EINVAL, what);
    case RouteType::prohibit: return fail_errno(EACCES, what);
    default: return answers->front();
    }
}

Result<std::vector<DefaultRoute>> list_default_routes(NlSocket &sock) {
    auto msg = make_request(RTM_GETROUTE, NLM_F_DUMP);
    attr::put_header(*msg, rtmsg{.rtm_family = AF_UNSPEC});
    auto routes = sock.query<DefaultRoute>(*msg, "list default routes", parse_default);
    if (routes)
        std::ranges::stable_sort(*routes, {},
                                 [](const DefaultRoute &route) { return std::pair(!route.v4, route.metric); });
    return routes;
}

} // namespace weft::net

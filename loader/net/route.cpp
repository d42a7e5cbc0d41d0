// SPDX-License-Identifier: Apache-2.0
#include "net/route.hpp"

#include <fmt/format.h>
#include <sys/socket.h>

#include "net/attr.hpp"

namespace weft::net {
namespace {

/// IP6_RT_PRIO_USER: what the kernel makes of a metric that is not given.
constexpr std::uint32_t kIp6Metric = 1024;

NlMsg route_request(int type, int flags, const Route &route) {
    const Net destination = route.destination.canonical();
    auto msg = make_request(type, flags);
    attr::put_header(*msg, rtmsg{.rtm_family = attr::family_of(destination.address()),
                                 .rtm_dst_len = static_cast<std::uint8_t>(destination.prefix_length()),
                                 .rtm_table = RT_TABLE_UNSPEC, // RTA_TABLE has room for all 32 bits
                                 .rtm_protocol = route.protocol,
                                 .rtm_scope = route.scope,
                                 .rtm_type = static_cast<std::uint8_t>(route.type),
                                 .rtm_flags = route.onlink ? static_cast<unsigned>(RTNH_F_ONLINK) : 0U});
    attr::put(*msg, RTA_TABLE, route.table);
    if (destination.prefix_length() > 0) attr::put(*msg, RTA_DST, destination.address());
    if (route.gateway) attr::put(*msg, RTA_GATEWAY, *route.gateway);
    if (route.ifindex != 0) attr::put(*msg, RTA_OIF, static_cast<std::uint32_t>(route.ifindex));
    if (route.source) attr::put(*msg, RTA_PREFSRC, *route.source);
    // Without one, IPv6 would remove a route of any metric.
    const std::uint32_t metric = route.metric == 0 && !destination.is_v4() ? kIp6Metric : route.metric;
    if (metric != 0) attr::put(*msg, RTA_PRIORITY, metric);
    return msg;
}

void put_metrics(nl_msg &msg, const Route &route) {
    if (route.mtu == 0 && route.advmss == 0) return;
    const attr::Nest metrics(msg, RTA_METRICS);
    if (route.mtu != 0) attr::put(msg, RTAX_MTU, route.mtu);
    if (route.advmss != 0) attr::put(msg, RTAX_ADVMSS, route.advmss);
}

/// IPv6's way of telling into IPv4's.
void level(Route &route) {
    if (route.metric == kIp6Metric) route.metric = 0;
    if (route.type != RouteType::unicast && route.type != RouteType::local)
        route.ifindex = 0;
    else if (!route.gateway)
        route.scope = RT_SCOPE_LINK;
}

std::optional<Route> parse_route(nlmsghdr &msg) {
    if (msg.nlmsg_type != RTM_NEWROUTE) return std::nullopt;
    const attr::Attrs<RTA_MAX> attrs(msg, sizeof(rtmsg));
    const auto &header = *static_cast<rtmsg *>(nlmsg_data(&msg));
    // RTM_F_CLONED: an entry of the exception cache, not a route.
    const bool wanted = attrs.valid() && attr::is_ip_family(header.rtm_family) && !(header.rtm_flags & RTM_F_CLONED);
    if (!wanted) return std::nullopt;
    const bool v4 = header.rtm_family == AF_INET;
    const attr::Attrs<RTAX_MAX> metrics(attrs.at(RTA_METRICS));
    Route route{
        .destination = Net(attrs.ip(RTA_DST).value_or(v4 ? Ip(Ip4()) : Ip(Ip6())), header.rtm_dst_len),
        .gateway = attrs.ip(RTA_GATEWAY),
        .ifindex = static_cast<int>(attrs.u32(RTA_OIF)),
        .source = attrs.ip(RTA_PREFSRC),
        .type = static_cast<RouteType>(header.rtm_type),
        .scope = header.rtm_scope,
        .protocol = header.rtm_protocol,
        .metric = attrs.u32(RTA_PRIORITY),
        .table = attrs.u32(RTA_TABLE, header.rtm_table),
        .onlink = (header.rtm_flags & RTNH_F_ONLINK) != 0,
        .mtu = metrics.u32(RTAX_MTU),
        .advmss = metrics.u32(RTAX_ADVMSS),
    };
    nlattr *multipath = attrs.at(RTA_MULTIPATH);
    if (multipath && nla_len(multipath) >= static_cast<int>(sizeof(rtnexthop)))
        route.ifindex = static_cast<rtnexthop *>(nla_data(multipath))->rtnh_ifindex;
    if (!v4) level(route);
    return route;
}

} // namespace

std::string to_string(const Route &route) {
    std::string text = route.destination.to_string();
    if (route.type == RouteType::unreachable) text.insert(0, "unreachable ");
    if (route.type == RouteType::blackhole) text.insert(0, "blackhole ");
    if (route.gateway) text += fmt::format(" via {}", route.gateway->to_string());
    if (route.ifindex != 0) text += fmt::format(" dev {}", route.ifindex);
    if (route.source) text += fmt::format(" src {}", route.source->to_string());
    if (route.metric != 0) text += fmt::format(" metric {}", route.metric);
    if (route.table != RT_TABLE_MAIN) text += fmt::format(" table {}", route.table);
    return text;
}

Status add_route(NlSocket &sock, const Route &route, IfExists if_exists) {
    const int flags = if_exists == IfExists::fail      ? NLM_F_EXCL
                      : if_exists == IfExists::replace ? NLM_F_REPLACE
                                                       : NLM_F_APPEND;
    auto msg = route_request(RTM_NEWROUTE, NLM_F_CREATE | flags, route);
    put_metrics(*msg, route);
    return sock.request(*msg, "add route " + to_string(route));
}

Result<bool> remove_route(NlSocket &sock, const Route &route) {
    auto msg = route_request(RTM_DELROUTE, 0, route);
    auto removed = sock.request(*msg, "remove route " + to_string(route));
    if (removed) return true;
    // The link's own end takes its routes with it.
    if (removed.error().code() == ESRCH || removed.error().code() == ENODEV) return false;
    return fail_as_is(std::move(removed));
}

Result<std::vector<Route>> list_routes(NlSocket &sock, const RouteFilter &filter) {
    auto msg = make_request(RTM_GETROUTE, NLM_F_DUMP);
    attr::put_header(*msg, rtmsg{.rtm_family = AF_UNSPEC});
    return sock.query<Route>(*msg, "list routes", [&filter](nlmsghdr &header) {
        auto route = parse_route(header);
        const bool wanted = route && route->table == filter.table &&
                            (!filter.ifindex || route->ifindex == *filter.ifindex) &&
                            (!filter.protocol || route->protocol == *filter.protocol);
        return wanted ? route : std::nullopt;
    });
}

} // namespace weft::net

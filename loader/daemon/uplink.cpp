// SPDX-License-Identifier: Apache-2.0
#include "daemon/uplink.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <linux/if_addr.h>
#include <re2/re2.h>

#include <algorithm>
#include <optional>
#include <tuple>

namespace weft {
namespace {

struct Choice {
    const net::Link *link = nullptr;
    std::optional<Ip> address; ///< where the way of choosing fixed one, of its family
};

bool is_link_local(const Ip &addr) {
    return addr.is_v4() ? contains(Net4(Ip4({169, 254, 0, 0}), 16), addr.to_v4()) : addr.to_v6().is_link_local();
}

bool usable(const net::LinkAddress &found) {
    const auto addr = found.address.address();
    const bool local_only = addr.is_loopback() || addr.is_unspecified() || (addr.is_v6() && is_link_local(addr));
    return !(found.flags & (IFA_F_DEPRECATED | IFA_F_DADFAILED)) && !addr.is_multicast() && !local_only;
}

const char *name_of(bool v4) { return v4 ? "IPv4" : "IPv6"; }

class Selection {
public:
    Selection(const UplinkFlags &flags, const HostNetwork &host, const RouteQuery &route_to, Families families)
        : flags_(flags), host_(host), route_to_(route_to), families_(families) {}

    Result<Uplink> run() {
        auto chosen = flags_.names_an_interface() ? by_flags() : by_default();
        if (!chosen) return fail_as_is(std::move(chosen));
        const auto &link = *chosen->link;
        Uplink uplink{.ifindex = link.index, .name = link.name, .mac = link.mac, .mtu = link.mtu, .v4 = {}, .v6 = {}};
        if (const auto addr = address_in(true, *chosen))
            uplink.v4 = {addr->to_v4(), flags_.public_ip.value_or(addr->to_v4())};
        if (const auto addr = address_in(false, *chosen))
            uplink.v6 = {addr->to_v6(), flags_.public_ipv6.value_or(addr->to_v6())};
        const bool needs_v4 = families_.v4 && (!families_.v6 || flags_.public_ip);
        const bool needs_v6 = families_.v6 && (!families_.v4 || flags_.public_ipv6);
        for (const auto &[lacks, family] :
             {std::pair(needs_v4 && !uplink.v4, "IPv4"), std::pair(needs_v6 && !uplink.v6, "IPv6"),
              std::pair(!uplink.v4 && !uplink.v6, "IPv4 or IPv6")})
            if (lacks) return fail(fmt::format("uplink {} has no usable {} address", link.name, family), EADDRNOTAVAIL);
        if (link.mtu == 0) return fail(fmt::format("uplink {} has an MTU of 0", link.name));
        return uplink;
    }

private:
    Result<Choice> by_flags() {
        for (const auto &iface : flags_.ifaces) {
            if (const auto addr = parse_ip(iface)) {
                if (const auto *link = holder_of(*addr)) return Choice{link, *addr};
            } else if (const auto *link = named(iface)) {
                return Choice{link, std::nullopt};
            }
            tried_.push_back(fmt::format("--iface={}", iface));
        }
        for (const auto &pattern : flags_.iface_regexes) {
            if (auto choice = matching(pattern)) return *choice;
            tried_.push_back(fmt::format("--iface-regex={}", pattern));
        }
        if (flags_.can_reach) {
            const auto route = route_to_(*flags_.can_reach);
            const auto *link = route && route->type == net::RouteType::unicast ? at(route->ifindex) : nullptr;
            if (link) return Choice{link, route->source};
            tried_.push_back(fmt::format("--iface-can-reach={}", flags_.can_reach->to_string()));
        }
        return fail(fmt::format("no interface for {}; there are: {}", fmt::join(tried_, ", "), candidates()), ENODEV);
    }

    Result<Choice> by_default() {
        if (flags_.public_ip && families_.v4) return by_public("--public-ip", *flags_.public_ip);
        if (flags_.public_ipv6 && families_.v6) return by_public("--public-ipv6", *flags_.public_ipv6);
        const net::Link *chosen = nullptr;
        for (const bool v4 : {true, false}) {
            if (!(v4 ? families_.v4 : families_.v6)) continue;
            const auto route = std::ranges::find(host_.default_routes, v4, &net::DefaultRoute::v4);
            if (route == host_.default_routes.end()) continue;
            auto link = link_of(*route);
            if (!link) return fail_as_is(std::move(link));
            if (chosen && *link != chosen)
                return fail(
                    fmt::format("the default route leaves by {} in IPv4 and by {} in IPv6: --iface must name the "
                                "uplink; there are: {}",
                                chosen->name, (*link)->name, candidates()),
                    ENODEV);
            chosen = *link;
        }
        if (chosen) return Choice{chosen, std::nullopt};
        return fail(fmt::format("no {}default route to take the uplink from, and no --iface; there are: {}",
                                families_.v4 ? "" : "IPv6 ", candidates()),
                    ENODEV);
    }

    Result<Choice> by_public(const char *flag, const Ip &address) {
        if (const auto *link = holder_of(address)) return Choice{link, address};
        return fail(fmt::format("no interface holds {}={} (behind NAT --iface is needed, too); there are: {}", flag,
                                address.to_string(), candidates()),
                    ENODEV);
    }

    Result<const net::Link *> link_of(const net::DefaultRoute &route) const {
        if (route.next_hops != 1)
            return fail(
                fmt::format("the {} default route has {} next hops: --iface must name the uplink; there are: {}",
                            name_of(route.v4), route.next_hops, candidates()),
                ENODEV);
        if (const auto *link = at(route.ifindex)) return link;
        return fail(
            fmt::format("the {} default route's interface is gone; there are: {}", name_of(route.v4), candidates()),
            ENODEV);
    }

    /// What the way of choosing fixed, or the best that the link has.
    [[nodiscard]] std::optional<Ip> address_in(bool v4, const Choice &choice) const {
        if (!(v4 ? families_.v4 : families_.v6)) return std::nullopt;
        if (choice.address && choice.address->is_v4() == v4) return choice.address;
        const auto all = addresses_of(*choice.link);
        const auto found = std::ranges::find(all, v4, &Ip::is_v4);
        return found == all.end() ? std::nullopt : std::optional(*found);
    }

    [[nodiscard]] std::optional<Choice> matching(const std::string &pattern) const {
        const RE2 regex(pattern, RE2::Quiet);
        const auto matches = [&](const Ip &addr) { return RE2::PartialMatch(addr.to_string(), regex); };
        for (const auto &link : host_.links) {
            const auto all = addresses_of(link);
            if (const auto found = std::ranges::find_if(all, matches); found != all.end()) return Choice{&link, *found};
        }
        for (const auto &link : host_.links)
            if (eligible(link) && RE2::PartialMatch(link.name, regex)) return Choice{&link, std::nullopt};
        return std::nullopt;
    }

    /// weft.1 by its name, pods' veths by the alias that the CNI plugin gives them.
    static bool eligible(const net::Link &link) { return link.name != "weft.1" && !link.alias.starts_with("weft:"); }

    [[nodiscard]] const net::Link *find(auto &&is_it) const {
        const auto found = std::ranges::find_if(host_.links, is_it);
        return found != host_.links.end() && eligible(*found) ? &*found : nullptr;
    }
    [[nodiscard]] const net::Link *named(const std::string &name) const {
        return find([&](const net::Link &link) { return link.name == name; });
    }
    [[nodiscard]] const net::Link *at(int ifindex) const {
        return find([&](const net::Link &link) { return link.index == ifindex; });
    }
    [[nodiscard]] const net::Link *holder_of(const Ip &addr) const {
        const auto found = std::ranges::find_if(
            host_.addresses, [&](const net::LinkAddress &have) { return have.address.address() == addr; });
        return found == host_.addresses.end() ? nullptr : at(found->ifindex);
    }

    /// The best first; the kernel's order among equals.
    [[nodiscard]] std::vector<Ip> addresses_of(const net::Link &link) const {
        std::vector<net::LinkAddress> have;
        if (!eligible(link)) return {};
        for (const auto &addr : host_.addresses)
            if (addr.ifindex == link.index && usable(addr)) have.push_back(addr);
        std::ranges::stable_sort(have, {}, [](const net::LinkAddress &addr) {
            return std::tuple(is_link_local(addr.address.address()), !(addr.flags & IFA_F_PERMANENT),
                              (addr.flags & IFA_F_TEMPORARY) != 0);
        });
        std::vector<Ip> best_first;
        for (const auto &addr : have) best_first.push_back(addr.address.address());
        return best_first;
    }

    [[nodiscard]] std::string candidates() const {
        std::vector<std::string> lines;
        for (const auto &link : host_.links) {
            if (!eligible(link) || link.loopback()) continue;
            const auto all = addresses_of(link);
            lines.push_back(all.empty() ? link.name : fmt::format("{} ({})", link.name, all.front().to_string()));
        }
        return lines.empty() ? "none" : fmt::format("{}", fmt::join(lines, ", "));
    }

    const UplinkFlags &flags_;
    const HostNetwork &host_;
    const RouteQuery &route_to_;
    Families families_;
    std::vector<std::string> tried_;
};

} // namespace

std::optional<Ip> Uplink::address(bool ip4) const {
    if (ip4) return v4 ? std::optional<Ip>(v4->address) : std::nullopt;
    return v6 ? std::optional<Ip>(v6->address) : std::nullopt;
}

std::optional<Ip> Uplink::public_address(bool ip4) const {
    if (ip4) return v4 ? std::optional<Ip>(v4->public_ip) : std::nullopt;
    return v6 ? std::optional<Ip>(v6->public_ip) : std::nullopt;
}

Result<Uplink> select_uplink(const UplinkFlags &flags, const HostNetwork &host, const RouteQuery &route_to,
                             Families families) {
    return Selection(flags, host, route_to, families).run();
}

bool still_has(const HostNetwork &host, const Uplink &uplink) {
    const auto there = [&](const std::optional<Ip> &address) {
        return !address || std::ranges::any_of(host.addresses, [&](const net::LinkAddress &found) {
            return found.address.address() == *address;
        });
    };
    return there(uplink.address(true)) && there(uplink.address(false));
}

Uplink as_it_is_now(const HostNetwork &host, Uplink uplink) {
    const auto link = std::ranges::find(host.links, uplink.ifindex, &net::Link::index);
    if (link == host.links.end()) return uplink;
    uplink.name = link->name;
    uplink.mac = link->mac;
    uplink.mtu = link->mtu;
    return uplink;
}

std::string public_ips(const Uplink &uplink) {
    std::vector<std::string> texts;
    if (uplink.v4) texts.push_back(uplink.v4->public_ip.to_string());
    if (uplink.v6) texts.push_back(uplink.v6->public_ip.to_string());
    return fmt::format("{}", fmt::join(texts, " "));
}

} // namespace weft

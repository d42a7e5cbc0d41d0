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
    std::optional<Ip4> address; ///< where the way of choosing fixed one
};

bool link_local(const Ip4 &addr) { return (addr.to_uint() >> 16) == 0xa9fe; } // 169.254.0.0/16

bool usable(const net::LinkAddress &found) {
    const auto addr = found.address.address();
    return addr.is_v4() && !(found.flags & IFA_F_DEPRECATED) && !addr.is_loopback() && !addr.is_multicast() &&
           !addr.is_unspecified();
}

class Selection {
public:
    Selection(const UplinkFlags &flags, const HostNetwork &host, const RouteQuery &route_to)
        : flags_(flags), host_(host), route_to_(route_to) {}

    Result<Uplink> run() {
        auto chosen = flags_.names_an_interface() ? by_flags() : by_default();
        if (!chosen) return fail_as_is(std::move(chosen));
        const auto &link = *chosen->link;
        if (!chosen->address) {
            const auto all = addresses_of(link);
            if (all.empty()) return fail(fmt::format("uplink {} has no usable IPv4 address", link.name), EADDRNOTAVAIL);
            chosen->address = all.front();
        }
        if (link.mtu == 0) return fail(fmt::format("uplink {} has an MTU of 0", link.name));
        return Uplink{link.index, link.name,        link.mac,
                      link.mtu,   *chosen->address, flags_.public_ip.value_or(*chosen->address)};
    }

private:
    Result<Choice> by_flags() {
        for (const auto &iface : flags_.ifaces) {
            if (const auto addr = parse_ip4(iface)) {
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
            if (link) return Choice{link, route->source ? std::optional(route->source->to_v4()) : std::nullopt};
            tried_.push_back(fmt::format("--iface-can-reach={}", flags_.can_reach->to_string()));
        }
        return fail(fmt::format("no interface for {}; there are: {}", fmt::join(tried_, ", "), candidates()), ENODEV);
    }

    Result<Choice> by_default() {
        if (flags_.public_ip) {
            if (const auto *link = holder_of(*flags_.public_ip)) return Choice{link, flags_.public_ip};
            return fail(
                fmt::format("no interface holds --public-ip={} (behind NAT --iface is needed, too); there are: {}",
                            flags_.public_ip->to_string(), candidates()),
                ENODEV);
        }
        const auto found = std::ranges::find(host_.default_routes, true, &net::DefaultRoute::v4);
        if (found == host_.default_routes.end())
            return fail(
                fmt::format("no default route to take the uplink from, and no --iface; there are: {}", candidates()),
                ENODEV);
        const auto &route = *found;
        if (route.next_hops != 1)
            return fail(fmt::format("the default route has {} next hops: --iface must name the uplink; there are: {}",
                                    route.next_hops, candidates()),
                        ENODEV);
        if (const auto *link = at(route.ifindex)) return Choice{link, std::nullopt};
        return fail(fmt::format("the default route's interface is gone; there are: {}", candidates()), ENODEV);
    }

    [[nodiscard]] std::optional<Choice> matching(const std::string &pattern) const {
        const RE2 regex(pattern, RE2::Quiet);
        for (const auto &link : host_.links)
            for (const auto &addr : addresses_of(link))
                if (RE2::PartialMatch(addr.to_string(), regex)) return Choice{&link, addr};
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
    [[nodiscard]] const net::Link *holder_of(const Ip4 &addr) const {
        const auto found = std::ranges::find_if(
            host_.addresses, [&](const net::LinkAddress &have) { return have.address.address() == addr; });
        return found == host_.addresses.end() ? nullptr : at(found->ifindex);
    }

    /// The best first; the kernel's order among equals.
    [[nodiscard]] std::vector<Ip4> addresses_of(const net::Link &link) const {
        std::vector<net::LinkAddress> have;
        if (!eligible(link)) return {};
        for (const auto &addr : host_.addresses)
            if (addr.ifindex == link.index && usable(addr)) have.push_back(addr);
        std::ranges::stable_sort(have, {}, [](const net::LinkAddress &addr) {
            return std::tuple(link_local(addr.address.address().to_v4()), !(addr.flags & IFA_F_PERMANENT),
                              (addr.flags & IFA_F_TEMPORARY) != 0);
        });
        std::vector<Ip4> best_first;
        for (const auto &addr : have) best_first.push_back(addr.address.address().to_v4());
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
    std::vector<std::string> tried_;
};

} // namespace

Result<Uplink> select_uplink(const UplinkFlags &flags, const HostNetwork &host, const RouteQuery &route_to) {
    return Selection(flags, host, route_to).run();
}

} // namespace weft

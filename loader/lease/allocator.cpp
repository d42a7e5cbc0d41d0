// SPDX-License-Identifier: Apache-2.0
#include "lease/allocator.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <random>
#include <utility>
#include <vector>

namespace weft {
namespace {

using UInt128 = unsigned __int128;

std::uint32_t to_number(const Ip4 &addr) { return addr.to_uint(); }
UInt128 to_number(const Ip6 &addr) {
    UInt128 number = 0;
    for (const auto byte : addr.to_bytes()) number = number << 8 | byte;
    return number;
}
Ip4 to_addr(std::uint32_t number) { return Ip4(number); }
Ip6 to_addr(UInt128 number) {
    Ip6::bytes_type bytes;
    for (auto byte = bytes.rbegin(); byte != bytes.rend(); ++byte, number >>= 8)
        *byte = static_cast<unsigned char>(number);
    return Ip6(bytes);
}

/// First and last address, both inclusive: no end that overflows at the top of the address space.
template <class Number> struct Interval {
    Number first, last;
    auto operator<=>(const Interval &) const = default;
};

template <class Number> Number host_mask(unsigned prefix_len) {
    constexpr unsigned kBits = sizeof(Number) * 8;
    return prefix_len == 0 ? ~Number{0} : static_cast<Number>((Number{1} << (kBits - prefix_len)) - 1);
}

template <class Net> auto interval(const Net &net) {
    const auto first = to_number(net.canonical().address());
    using Number = std::remove_const_t<decltype(first)>;
    return Interval<Number>{first, static_cast<Number>(first | host_mask<Number>(net.prefix_length()))};
}

/// The first kChoices subnets of `len` from min to max that touch none of `taken`.
template <class Number>
std::vector<Number> first_free(Number min, Number max, unsigned len, std::vector<Interval<Number>> taken) {
    constexpr std::size_t kChoices = 100;
    const Number hosts = host_mask<Number>(len);
    std::sort(taken.begin(), taken.end());
    std::vector<Number> free;
    auto next = taken.begin();
    Number at = min;
    while (free.size() < kChoices && at <= max) {
        while (next != taken.end() && next->last < at) ++next;
        const bool hit = next != taken.end() && next->first <= (at | hosts);
        // A hit may span many subnets: go on behind its end, not one by one.
        const Number last = hit ? static_cast<Number>(next->last | hosts) : static_cast<Number>(at | hosts);
        if (!hit) free.push_back(at);
        if (last >= max) break;
        at = static_cast<Number>(last + 1);
    }
    return free;
}

bool overlap(const Subnet &a, const Subnet &b) {
    return (a.v4 && b.v4 && overlaps(*a.v4, *b.v4)) || (a.v6 && b.v6 && overlaps(*a.v6, *b.v6));
}

/// What the configuration gives out of one family.
template <class Net, class Addr> struct Range {
    std::optional<Net> Subnet::*part;
    unsigned len;
    Addr min, max;

    [[nodiscard]] bool has(const Net &net) const {
        return net.prefix_length() == len && min <= net.address() && net.address() <= max;
    }
};
auto range4(const NetConf &conf) {
    return Range<Net4, Ip4>{&Subnet::v4, conf.subnet_len, conf.subnet_min, conf.subnet_max};
}
auto range6(const NetConf &conf) {
    return Range<Net6, Ip6>{&Subnet::v6, conf.ipv6_subnet_len, conf.ipv6_subnet_min, conf.ipv6_subnet_max};
}

/// The list as one node sees it.
struct Holders {
    std::vector<const ListedLease *> mine; ///< reservations first
    std::vector<const ListedLease *> others;
};

Holders sort_by_holder(std::span<const ListedLease> leases, const LeaseAttrs &self) {
    Holders holders;
    for (const auto &lease : leases) (same_node(lease.attrs, self) ? holders.mine : holders.others).push_back(&lease);
    std::stable_partition(holders.mine.begin(), holders.mine.end(),
                          [](const auto *lease) { return lease->reservation; });
    return holders;
}

template <class Net, class Addr>
const ListedLease *holder_of(const Net &net, const Range<Net, Addr> &range,
                             const std::vector<const ListedLease *> &leases) {
    const auto it = std::find_if(leases.begin(), leases.end(), [&](const auto *lease) {
        const auto &part = lease->subnet.*range.part;
        return part && overlaps(*part, net);
    });
    return it == leases.end() ? nullptr : *it;
}

template <class Net, class Addr>
Result<Net> pick_free(const Range<Net, Addr> &range, const Holders &holders, const Pick &pick) {
    std::vector<decltype(interval(Net()))> taken;
    for (const auto *lease : holders.others)
        if (const auto &part = lease->subnet.*range.part) taken.push_back(interval(*part));
    // Our own leases are about to go, if they are of no use; not so what an operator put there to stay.
    for (const auto *lease : holders.mine)
        if (const auto &part = lease->subnet.*range.part; part && lease->reservation) taken.push_back(interval(*part));
    const auto free = first_free(to_number(range.min), to_number(range.max), range.len, std::move(taken));
    if (free.empty())
        return fail(fmt::format("out of subnets: none of length {} is free from {} to {}", range.len,
                                range.min.to_string(), range.max.to_string()),
                    ENOSPC);
    return Net(to_addr(free[pick(free.size())]), static_cast<unsigned short>(range.len));
}

template <class Net> std::unexpected<Error> taken(const Net &net, const ListedLease &holder) {
    return fail(fmt::format("subnet {} is taken: {} is leased to {}", net.to_string(), holder.subnet.to_string(),
                            holder.attrs.node()),
                EADDRINUSE);
}

template <class Net, class Addr>
Result<Net> choose(const Range<Net, Addr> &range, const Holders &holders, const Wish &wish, const Pick &pick) {
    const auto part_of = [&](const std::optional<Subnet> &subnet) {
        return subnet ? (*subnet).*range.part : std::optional<Net>();
    };
    if (const auto held = part_of(wish.hold)) {
        if (const auto *holder = holder_of(*held, range, holders.others)) return taken(*held, *holder);
        return *held;
    }
    const auto before = part_of(wish.previous);
    std::optional<Net> mine;
    bool is_reserved = false;
    for (const auto *lease : holders.mine)
        if (const auto &part = lease->subnet.*range.part; part && range.has(*part)) {
            if (part == before && wish.has_pods) return *part;
            // Reservations are first in the list, and the one of before goes before the others' of ours.
            if (!mine || (part == before && !is_reserved)) mine = part, is_reserved = lease->reservation;
        }
    if (mine) return *mine;
    if (before && range.has(*before)) {
        const auto *holder = holder_of(*before, range, holders.others);
        if (!holder) return *before;
        if (wish.has_pods) return taken(*before, *holder);
    }
    return pick_free(range, holders, pick);
}

/// A subnet without IPv6 that nobody marked, of a node that runs: its flannel was started before the cluster had IPv6. Only
/// what nobody uses is without an etcd lease: flannel puts its own key on one, whatever an operator made of it.
bool is_of_ipv4_only_flannel(const ListedLease &lease) {
    return lease.subnet.v4 && !lease.subnet.v6 && !lease.attrs.awaits_ipv6 && !lease.reservation;
}

/// Whether our dual-stack key has been seen by all already. (A reservation that nobody used yet names no backend, and
/// flannel passes it over.)
bool has_shown_ipv6(const Holders &holders, const Wish &wish) {
    return (wish.hold && wish.hold->v6) || std::ranges::any_of(holders.mine, [](const auto *lease) {
               return lease->subnet.v6 && !lease->attrs.backend_type.empty();
           });
}

/// Why the node has to do without IPv6 for now, or "".
std::string why_without_ipv6(const Holders &holders, const Wish &wish) {
    constexpr std::size_t kNamed = 3;
    std::vector<std::string> nodes;
    for (const auto *lease : holders.others)
        if (is_of_ipv4_only_flannel(*lease)) nodes.push_back(lease->attrs.node());
    if (nodes.empty() || has_shown_ipv6(holders, wish)) return {};
    const auto more = nodes.size() > kNamed ? fmt::format(" and {} more", nodes.size() - kNamed) : "";
    nodes.resize(std::min(nodes.size(), kNamed));
    return fmt::format(
        "without IPv6 until the daemons of {}{} are restarted: they were started before EnableIPv6, and a "
        "flannel among them would crash at an IPv6 lease",
        fmt::join(nodes, ", "), more);
}

} // namespace

Pick uniform_pick() {
    return [random = std::mt19937(std::random_device{}())](std::size_t n) mutable {
        return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
    };
}

Result<Plan> plan_lease(std::span<const ListedLease> leases, const NetConf &conf, const Wish &wish, const Pick &pick) {
    const auto holders = sort_by_holder(leases, wish.self);
    Plan plan;
    if (conf.enable_ipv4 && conf.enable_ipv6) plan.remark = why_without_ipv6(holders, wish);
    if (conf.enable_ipv4) {
        auto v4 = choose(range4(conf), holders, wish, pick);
        if (!v4) return fail_as_is(std::move(v4));
        plan.subnet.v4 = *v4;
    }
    if (conf.enable_ipv6 && plan.remark.empty()) {
        auto v6 = choose(range6(conf), holders, wish, pick);
        if (!v6) return fail_as_is(std::move(v6));
        plan.subnet.v6 = *v6;
    }
    const auto fits = [&](const Subnet &subnet) {
        return conf.enable_ipv4 == subnet.v4.has_value() && conf.enable_ipv6 == subnet.v6.has_value() &&
               (!subnet.v4 || range4(conf).has(*subnet.v4)) && (!subnet.v6 || range6(conf).has(*subnet.v6));
    };
    for (const auto *lease : holders.mine) {
        if (lease->subnet == plan.subnet) continue;
        const bool included = plan.subnet.includes(lease->subnet);
        if (lease->reservation ? included : included || overlap(lease->subnet, plan.subnet) || !fits(lease->subnet))
            plan.give_up.push_back(lease->subnet);
        plan.reservation |= lease->reservation && included;
    }
    return plan;
}

} // namespace weft

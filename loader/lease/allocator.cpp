// SPDX-License-Identifier: Apache-2.0
#include "lease/allocator.hpp"

#include <fmt/format.h>

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

template <class Addr, class Net, class Number>
Result<Net> pick_one(const Addr &min, const Addr &max, unsigned len, std::vector<Interval<Number>> taken,
                     const Pick &pick) {
    const auto free = first_free<Number>(to_number(min), to_number(max), len, std::move(taken));
    if (free.empty())
        return fail(fmt::format("out of subnets: none of length {} is free from {} to {}", len, min.to_string(),
                                max.to_string()),
                    ENOSPC);
    return Net(to_addr(free[pick(free.size())]), static_cast<unsigned short>(len));
}

bool overlap(const Subnet &a, const Subnet &b) {
    return (a.v4 && b.v4 && overlaps(*a.v4, *b.v4)) || (a.v6 && b.v6 && overlaps(*a.v6, *b.v6));
}

const ListedLease *find_overlap(const Subnet &subnet, std::span<const ListedLease> leases) {
    const auto it =
        std::find_if(leases.begin(), leases.end(), [&](const auto &l) { return overlap(l.subnet, subnet); });
    return it == leases.end() ? nullptr : &*it;
}

template <class Net, class Addr> bool in_range(const Net &net, unsigned len, const Addr &min, const Addr &max) {
    return net.prefix_length() == len && min <= net.address() && net.address() <= max;
}

} // namespace

Pick uniform_pick() {
    return [random = std::mt19937(std::random_device{}())](std::size_t n) mutable {
        return std::uniform_int_distribution<std::size_t>(0, n - 1)(random);
    };
}

bool compatible(const Subnet &subnet, const NetConf &conf) {
    if (conf.enable_ipv4 != subnet.v4.has_value() || conf.enable_ipv6 != subnet.v6.has_value()) return false;
    if (subnet.v4 && !in_range(*subnet.v4, conf.subnet_len, conf.subnet_min, conf.subnet_max)) return false;
    return !subnet.v6 || in_range(*subnet.v6, conf.ipv6_subnet_len, conf.ipv6_subnet_min, conf.ipv6_subnet_max);
}

Result<Subnet> pick_free(std::span<const ListedLease> leases, const NetConf &conf, const Pick &pick) {
    std::vector<Interval<std::uint32_t>> taken4;
    std::vector<Interval<UInt128>> taken6;
    for (const auto &lease : leases) {
        if (lease.subnet.v4) taken4.push_back(interval(*lease.subnet.v4));
        if (lease.subnet.v6) taken6.push_back(interval(*lease.subnet.v6));
    }
    Subnet subnet;
    auto v4 = pick_one<Ip4, Net4>(conf.subnet_min, conf.subnet_max, conf.subnet_len, std::move(taken4), pick);
    if (!v4) return fail_as_is(std::move(v4));
    subnet.v4 = *v4;
    if (!conf.enable_ipv6) return subnet;
    auto v6 =
        pick_one<Ip6, Net6>(conf.ipv6_subnet_min, conf.ipv6_subnet_max, conf.ipv6_subnet_len, std::move(taken6), pick);
    if (!v6) return fail_as_is(std::move(v6));
    subnet.v6 = *v6;
    return subnet;
}

Result<Step> next_step(std::span<const ListedLease> leases, const NetConf &conf, const Ip4 &public_ip,
                       const std::optional<Subnet> &previous, const Pick &pick) {
    const ListedLease *mine = nullptr, *unfit = nullptr;
    for (const auto &lease : leases) {
        if (lease.public_ip != public_ip) continue;
        if (!compatible(lease.subnet, conf)) {
            if (!unfit && !lease.reservation) unfit = &lease;
        } else if (!mine || (lease.reservation && !mine->reservation)) {
            mine = &lease;
        }
    }
    if (mine) return Step(Take{mine->subnet});
    if (unfit) return Step(Delete{unfit->subnet});
    if (previous && compatible(*previous, conf) && !find_overlap(*previous, leases)) return Step(Create{*previous});
    auto subnet = pick_free(leases, conf, pick);
    if (!subnet) return fail_as_is(std::move(subnet));
    return Step(Create{*subnet});
}

Result<Step> step_back_to(const Subnet &subnet, std::span<const ListedLease> leases, const Ip4 &public_ip) {
    const auto *holder = find_overlap(subnet, leases);
    if (!holder) return Step(Create{subnet});
    if (holder->subnet == subnet && holder->public_ip == public_ip) return Step(Take{subnet});
    return fail(fmt::format("subnet {} is taken: {} is leased to {}", subnet.to_string(), holder->subnet.to_string(),
                            holder->public_ip.to_string()),
                EADDRINUSE);
}

} // namespace weft

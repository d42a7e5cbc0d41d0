// SPDX-License-Identifier: Apache-2.0
#include "lease/leases.hpp"

#include <algorithm>
#include <utility>

namespace weft {
namespace {

std::vector<Ip> found_by(const Lease &lease) {
    auto addresses = addresses_of(lease.attrs);
    if (lease.subnet.v4 && lease.subnet.v6) addresses.emplace_back(lease.subnet.v6->address());
    return addresses;
}

} // namespace

std::vector<Ip> addresses_of(const LeaseAttrs &attrs) {
    std::vector<Ip> addresses;
    if (!attrs.public_ip.is_unspecified()) addresses.emplace_back(attrs.public_ip);
    if (attrs.public_ipv6) addresses.emplace_back(*attrs.public_ipv6);
    return addresses;
}

Leases::Leases(const std::vector<LeasePtr> &leases) {
    by_address_.reserve(2 * leases.size());
    for (const auto &lease : leases) put(lease);
}

void Leases::put(LeasePtr lease) {
    erase(lease->subnet);
    for (const Ip &address : found_by(*lease)) by_address_.emplace(address, lease.get());
    by_subnet_.insert(std::move(lease));
}

void Leases::erase(const Subnet &subnet) {
    const auto found = by_subnet_.find(subnet);
    if (found == by_subnet_.end()) return;
    for (const Ip &address : found_by(**found)) {
        const auto [begin, end] = by_address_.equal_range(address);
        const auto mine = std::find_if(begin, end, [&](const auto &entry) { return entry.second == found->get(); });
        if (mine != end) by_address_.erase(mine);
    }
    by_subnet_.erase(found);
}

void Leases::clear() {
    by_address_.clear();
    by_subnet_.clear();
}

LeasePtr Leases::find(const Subnet &subnet) const {
    const auto found = by_subnet_.find(subnet);
    return found == by_subnet_.end() ? nullptr : *found;
}

std::vector<const Lease *> Leases::of_node(const Ip &address) const {
    std::vector<const Lease *> found;
    const auto [begin, end] = by_address_.equal_range(address);
    for (auto it = begin; it != end; ++it)
        if (it->second->attrs.public_ip == address || it->second->attrs.public_ipv6 == address)
            found.push_back(it->second);
    return found;
}

std::vector<const Lease *> Leases::with_part(const Net &part) const {
    std::vector<const Lease *> found;
    const auto is_part = [&](const Lease &lease) { return lease.subnet.v4 == part || lease.subnet.v6 == part; };
    const Subnet alone = part.is_v4() ? Subnet{part.v4(), std::nullopt} : Subnet{std::nullopt, part.v6()};
    for (auto it = by_subnet_.lower_bound(alone); it != by_subnet_.end() && is_part(**it); ++it)
        found.push_back(it->get());
    const auto [begin, end] = by_address_.equal_range(part.address());
    for (auto it = begin; it != end; ++it)
        if (it->second->subnet.v4 && it->second->subnet.v6 == part) found.push_back(it->second);
    return found;
}

} // namespace weft

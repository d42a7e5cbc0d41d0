// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <set>
#include <unordered_map>
#include <vector>

#include "lease/lease.hpp"

namespace weft {

/// One copy of a lease serves all who know of it, whichever thread they are on.
using LeasePtr = std::shared_ptr<const Lease>;

struct BySubnet {
    using is_transparent = void;
    bool operator()(const LeasePtr &a, const LeasePtr &b) const { return a->subnet < b->subnet; }
    bool operator()(const LeasePtr &a, const Subnet &b) const { return a->subnet < b; }
    bool operator()(const Subnet &a, const LeasePtr &b) const { return a < b->subnet; }
};
using LeaseSet = std::set<LeasePtr, BySubnet>;

/// Leases in the order of their subnets, found by what is in them too, so that one lease that comes or goes costs the same
/// among ten others and among a hundred thousand.
class Leases {
public:
    Leases() = default;
    /// @param leases no two with one subnet
    explicit Leases(const std::vector<LeasePtr> &leases);

    void put(LeasePtr lease); ///< in place of the one with the same subnet
    void put(Lease lease) { put(std::make_shared<const Lease>(std::move(lease))); }
    void erase(const Subnet &subnet);
    void clear();

    /// nullptr if there is none.
    [[nodiscard]] LeasePtr find(const Subnet &subnet) const;
    /// Those that name this address as their node's, of either family.
    [[nodiscard]] std::vector<const Lease *> of_node(const Ip &address) const;
    /// Those that this prefix is a part of: several where it has been leased with different parts of the other family.
    [[nodiscard]] std::vector<const Lease *> with_part(const Net &part) const;

    [[nodiscard]] auto begin() const { return by_subnet_.begin(); }
    [[nodiscard]] auto end() const { return by_subnet_.end(); }
    [[nodiscard]] std::size_t size() const { return by_subnet_.size(); }

private:
    LeaseSet by_subnet_;
    /// By the node's addresses, and by the IPv6 part where there is another: that the order above does not find.
    std::unordered_multimap<Ip, const Lease *> by_address_;
};

/// The addresses that a lease names as its node's.
[[nodiscard]] std::vector<Ip> addresses_of(const LeaseAttrs &attrs);

} // namespace weft

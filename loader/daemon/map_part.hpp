// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "abi.hpp"
#include "base/addr.hpp"
#include "lease/leases.hpp"

namespace weft {

struct ClusterView;

/// What of the maps is looked at where not everything is: what a change of one lease can touch.
///
/// A subnet's entry says its node, and a node's entry counts its subnets: so both are here, until nothing outside of the
/// part has a say about anything in it (close()).
struct MapPart {
    std::set<Net> subnets;
    std::set<Ip> nodes;

    /// A lease that comes, goes or changes: its subnets and its node's addresses.
    void add(const Lease &lease);
    [[nodiscard]] bool empty() const { return subnets.empty() && nodes.empty(); }
    void clear();
};

/// Adds to the part what belongs to it by this view.
void close(MapPart &part, const ClusterView &view);

/// The subnets of others' leases, each with its lease, in their order. @param part of these only; nullptr: all
[[nodiscard]] std::vector<std::pair<Net, const Lease *>> leased(const ClusterView &view, const MapPart *part);

/// What leases share in the maps: the slots of lease_stats that are taken, and how many leases there are of each prefix length.
class Census {
public:
    void add(const std::map<Net, weft_lease> &leases);
    void remove(const std::map<Net, weft_lease> &leases);

    [[nodiscard]] std::size_t leases() const { return leases_; }
    [[nodiscard]] bool has_slot(std::uint32_t slot) const { return slot < slots_.size() && slots_[slot]; }
    [[nodiscard]] abi::PrefixLens prefix_lens() const;

private:
    std::size_t leases_ = 0;
    std::vector<bool> slots_;
    std::array<std::array<std::uint32_t, 129>, WEFT_FAMILIES> of_length_{};
};

} // namespace weft

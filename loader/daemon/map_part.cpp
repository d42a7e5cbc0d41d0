// SPDX-License-Identifier: Apache-2.0
#include "daemon/map_part.hpp"

#include <algorithm>

#include "daemon/desired.hpp"

namespace weft {
namespace {

struct InOrder {
    bool operator()(const Lease *a, const Lease *b) const { return a->subnet < b->subnet; }
};

} // namespace

void MapPart::add(const Lease &lease) {
    for (const Net &subnet : lease.subnet.nets()) subnets.insert(subnet);
    for (const Ip &address : addresses_of(lease.attrs)) nodes.insert(address);
}

void MapPart::clear() {
    subnets.clear();
    nodes.clear();
}

void close(MapPart &part, const ClusterView &view) {
    for (std::size_t before = 0, now = 1; before != now; now = part.subnets.size() + part.nodes.size()) {
        before = part.subnets.size() + part.nodes.size();
        for (const Ip &node : part.nodes)
            for (const Lease *lease : view.others.of_node(node))
                for (const Net &subnet : lease->subnet.nets())
                    if (const auto by = node_of(view, subnet, lease->attrs); by && *by == node)
                        part.subnets.insert(subnet);
        for (const Net &subnet : part.subnets)
            for (const Lease *lease : view.others.with_part(subnet))
                if (const auto node = node_of(view, subnet, lease->attrs)) part.nodes.insert(*node);
    }
}

std::vector<std::pair<Net, const Lease *>> leased(const ClusterView &view, const MapPart *part) {
    std::vector<std::pair<Net, const Lease *>> all;
    if (!part) {
        all.reserve(view.others.size());
        for (const auto &lease : view.others)
            for (const Net &subnet : lease->subnet.nets()) all.emplace_back(subnet, lease.get());
        return all;
    }
    std::set<const Lease *, InOrder> leases;
    for (const Net &subnet : part->subnets)
        for (const Lease *lease : view.others.with_part(subnet)) leases.insert(lease);
    for (const Lease *lease : leases)
        for (const Net &subnet : lease->subnet.nets())
            if (part->subnets.contains(subnet)) all.emplace_back(subnet, lease);
    return all;
}

void Census::add(const std::map<Net, weft_lease> &leases) {
    for (const auto &[subnet, lease] : leases) {
        if (lease.stats_index >= slots_.size()) slots_.resize(lease.stats_index + 1);
        slots_[lease.stats_index] = true;
        ++of_length_[abi::family(subnet.address())][subnet.prefix_length()];
    }
    leases_ += leases.size();
}

void Census::remove(const std::map<Net, weft_lease> &leases) {
    for (const auto &[subnet, lease] : leases) {
        if (lease.stats_index < slots_.size()) slots_[lease.stats_index] = false;
        // What somebody else put into the maps was never counted.
        if (auto &count = of_length_[abi::family(subnet.address())][subnet.prefix_length()]; count > 0) --count;
    }
    leases_ -= std::min(leases_, leases.size());
}

abi::PrefixLens Census::prefix_lens() const {
    abi::PrefixLens lens;
    for (std::size_t family = 0; family < of_length_.size(); ++family)
        for (std::size_t length = of_length_[family].size(); length-- > 0;)
            if (of_length_[family][length] > 0) lens.of[family].push_back(static_cast<std::uint8_t>(length));
    return lens;
}

} // namespace weft

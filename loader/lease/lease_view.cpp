// SPDX-License-Identifier: Apache-2.0
#include "lease/lease_view.hpp"

#include <algorithm>
#include <string_view>

namespace weft {

Result<Lease> parse_lease_entry(const std::string &prefix, const etcd::KeyValue &entry) {
    std::string_view name = entry.key;
    if (name.starts_with(prefix)) name.remove_prefix(prefix.size());
    auto subnet = parse_subnet_key(name);
    if (!subnet) return fail_in(std::move(subnet), "etcd key " + entry.key);
    auto attrs = parse_lease_value(entry.value);
    if (!attrs) return fail_in(std::move(attrs), "value of etcd key " + entry.key);
    return Lease{*subnet, *std::move(attrs)};
}

LeasePtr LeaseView::read(const etcd::KeyValue &entry) {
    auto lease = parse_lease_entry(prefix_, entry);
    if (lease) return std::make_shared<const Lease>(*std::move(lease));
    if (reported_.emplace(entry.key, entry.mod_revision).second) report_("skipped: " + lease.error().sentence());
    return nullptr;
}

std::vector<LeasePtr> LeaseView::reset(const std::vector<etcd::KeyValue> &entries) {
    auto before = std::exchange(leases_, {});
    std::vector<LeasePtr> others;
    for (const auto &entry : entries) {
        auto lease = read(entry);
        const auto old = before.find(entry.key);
        if (!lease && old != before.end()) lease = std::move(old->second);
        if (!lease || same_node(lease->attrs, own_)) continue;
        others.push_back(lease);
        leases_.emplace(entry.key, std::move(lease));
    }
    std::erase_if(reported_, [&](const auto &one) {
        return std::none_of(entries.begin(), entries.end(), [&](const auto &entry) { return entry.key == one.first; });
    });
    return others;
}

LeaseView::Change LeaseView::apply(const etcd::Event &event) {
    const auto &key = event.entry.key;
    const auto remove = [&]() -> Change {
        const auto it = leases_.find(key);
        if (it == leases_.end()) return {};
        const Subnet subnet = it->second->subnet;
        leases_.erase(it);
        return subnet;
    };
    if (event.deleted) {
        std::erase_if(reported_, [&](const auto &one) { return one.first == key; });
        return remove();
    }
    auto lease = read(event.entry);
    if (!lease) return {};
    if (same_node(lease->attrs, own_)) return remove(); // was another's until now
    const auto it = leases_.find(key);
    if (it != leases_.end() && *it->second == *lease) return {}; // a renewal
    leases_.insert_or_assign(key, lease);
    return lease;
}

} // namespace weft

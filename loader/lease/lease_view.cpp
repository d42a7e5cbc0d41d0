// SPDX-License-Identifier: Apache-2.0
#include "lease/lease_view.hpp"

#include <algorithm>
#include <string_view>

namespace weft {

namespace {

std::string_view without(std::string_view prefix, std::string_view key) {
    if (key.starts_with(prefix)) key.remove_prefix(prefix.size());
    return key;
}

} // namespace

Result<Lease> parse_lease_entry(const std::string &prefix, const etcd::KeyValue &entry) {
    auto subnet = parse_subnet_key(without(prefix, entry.key));
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

LeaseSet::iterator LeaseView::find(std::string_view key) const {
    const auto subnet = parse_subnet_key(without(prefix_, key));
    return subnet ? leases_.find(*subnet) : leases_.end();
}

std::vector<LeasePtr> LeaseView::reset(const std::vector<etcd::KeyValue> &entries) {
    LeaseSet now;
    std::vector<LeasePtr> others;
    for (const auto &entry : entries) {
        auto lease = read(entry);
        if (!lease)
            if (const auto before = find(entry.key); before != leases_.end()) lease = *before;
        if (!lease || same_node(lease->attrs, own_)) continue;
        others.push_back(lease);
        now.insert(std::move(lease));
    }
    leases_ = std::move(now);
    std::erase_if(reported_, [&](const auto &one) {
        return std::none_of(entries.begin(), entries.end(), [&](const auto &entry) { return entry.key == one.first; });
    });
    return others;
}

LeaseView::Change LeaseView::apply(const etcd::Event &event) {
    const auto &key = event.entry.key;
    const auto known = find(key);
    const auto remove = [&]() -> Change {
        if (known == leases_.end()) return {};
        Subnet subnet = (*known)->subnet;
        leases_.erase(known);
        return subnet;
    };
    if (event.deleted) {
        std::erase_if(reported_, [&](const auto &one) { return one.first == key; });
        return remove();
    }
    auto lease = read(event.entry);
    if (!lease) return {};
    if (same_node(lease->attrs, own_)) return remove(); // was another's until now
    if (known != leases_.end()) {
        if (**known == *lease) return {}; // a renewal
        leases_.erase(known);
    }
    leases_.insert(lease);
    return lease;
}

} // namespace weft

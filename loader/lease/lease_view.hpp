// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.hpp"
#include "etcd/client.hpp"
#include "lease/leases.hpp"

namespace weft {

/// Reads one etcd entry below `prefix` ("<etcd-prefix>/subnets/"). Errors name the etcd key.
[[nodiscard]] Result<Lease> parse_lease_entry(const std::string &prefix, const etcd::KeyValue &entry);

/// Everybody else's leases, from a list and the events that follow it. Pure: no etcd, no thread.
///
/// Contract: an entry that cannot be read changes nothing: it is reported once per revision, the lease that its key held
/// before stays, and a later value that can be read is taken. Leases that name our own node are not part of it.
class LeaseView {
public:
    using Change = std::variant<std::monostate, LeasePtr, Subnet>; ///< nothing, new or changed, removed
    using Report = std::function<void(std::string)>;

    LeaseView(std::string prefix, LeaseAttrs own, Report report)
        : prefix_(std::move(prefix)), own_(std::move(own)), report_(std::move(report)) {}

    /// Starts from a complete list. @return every other lease, in key order
    std::vector<LeasePtr> reset(const std::vector<etcd::KeyValue> &entries);
    Change apply(const etcd::Event &event);

private:
    [[nodiscard]] LeaseSet::iterator find(std::string_view key) const;
    /// The lease, or nullptr when the entry cannot be read (then reported).
    LeasePtr read(const etcd::KeyValue &entry);

    const std::string prefix_;
    const LeaseAttrs own_;
    const Report report_;
    LeaseSet leases_; ///< a subnet has one key, and a key one subnet
    std::set<std::pair<std::string, std::int64_t>> reported_;
};

} // namespace weft

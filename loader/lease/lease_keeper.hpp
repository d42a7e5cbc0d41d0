// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>

#include "etcd/client.hpp"
#include "lease/allocator.hpp"
#include "lease/lease.hpp"
#include "lease/lease_manager.hpp"

namespace weft {

/// Steps on our own key, each one blocking. When to take which is LeaseManager's business.
///
/// Contract: every write compares the key's revision with the one that was looked at, so nobody else's key is ever
/// written. A key without an etcd lease (a reservation) stays without. An etcd lease that was granted and found no use
/// is revoked.
/// Errors: etcd's; ENOSPC out of subnets; EADDRINUSE another node has the subnet; EAGAIN the race was lost ten times.
class LeaseKeeper {
public:
    /// @param pick chooses among free subnets; between the list and the write, so a test can act there
    LeaseKeeper(std::shared_ptr<etcd::Client> client, std::string subnets_prefix, LeaseRequest request, NetConf conf,
                std::chrono::seconds ttl, Pick pick = uniform_pick());

    /// Finds or makes our key by flannel's rules. @param back_to only this subnet will do
    [[nodiscard]] Result<Subnet> acquire(const std::stop_token &stop, const std::optional<Subnet> &back_to = {});

    enum class Write {
        if_damaged, ///< look, and write only over a value that cannot be read
        same_lease, ///< publish the value again
        renew,      ///< the same with a new etcd lease
    };
    /// Looks at our key and writes it. @return whether it is still ours
    [[nodiscard]] Result<bool> refresh(const std::stop_token &stop, const Subnet &subnet, Write write);

    [[nodiscard]] std::string key_of(const Subnet &subnet) const { return prefix_ + format_subnet_key(subnet); }
    [[nodiscard]] const LeaseAttrs &attrs() const { return request_.attrs; }

private:
    class Grant;
    /// @return the subnet, or nothing when the world changed between the list and the write
    Result<std::optional<Subnet>> try_acquire(const std::stop_token &stop, const std::optional<Subnet> &back_to,
                                              Grant &grant);
    Result<bool> write(const std::stop_token &stop, const Subnet &subnet, const etcd::KeyValue *current, Grant &grant);

    const std::shared_ptr<etcd::Client> client_;
    const std::string prefix_; ///< "<etcd-prefix>/subnets/"
    LeaseRequest request_;
    const NetConf conf_;
    const std::chrono::seconds ttl_;
    const std::string value_;
    const Pick pick_;
};

} // namespace weft

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
#include "lease/own_key.hpp"

namespace weft {

/// What our key gives us.
struct Holding {
    Subnet subnet;
    std::string remark; ///< why it has no IPv6 part though the cluster has; "" if it lacks nothing
};

/// Steps on our own key, each one blocking. When to take which is LeaseManager's business.
///
/// Contract: every write compares the key's revision with the one that was looked at, so nobody else's key is ever
/// written. A key without an etcd lease (a reservation) stays without. An etcd lease that was granted and found no use
/// is revoked. Where one subnet gives way to another, the old key goes and the new one comes in one transaction: no moment
/// shows both or none.
/// Errors: etcd's; ENOSPC out of subnets; EADDRINUSE another node has the subnet; EAGAIN the race was lost ten times.
class LeaseKeeper {
public:
    /// @param own outlives a keeper, so that the next one knows the key again when the node's address has changed
    /// @param pick chooses among free subnets; between the list and the write, so a test can act there
    LeaseKeeper(std::shared_ptr<etcd::Client> client, std::string subnets_prefix, LeaseRequest request, NetConf conf,
                std::chrono::seconds ttl, std::shared_ptr<OwnKey> own = std::make_shared<OwnKey>(),
                Pick pick = uniform_pick());

    /// Finds or makes our key by flannel's rules. @param back_to only with these parts
    [[nodiscard]] Result<Holding> acquire(const std::stop_token &stop, const std::optional<Subnet> &back_to = {});

    /// Adds to the subnet that we hold what has become possible. @return what we hold now; nothing is written if it is the same
    [[nodiscard]] Result<Holding> extend(const std::stop_token &stop, const Subnet &subnet);

    enum class Write {
        if_damaged, ///< look, and write only over a value that cannot be read
        same_lease, ///< publish the value again
        renew,      ///< the same with a new etcd lease
    };
    /// Looks at our key and writes it. @return whether it is still ours
    [[nodiscard]] Result<bool> refresh(const std::stop_token &stop, const Subnet &subnet, Write write);

    [[nodiscard]] std::string key_of(const Subnet &subnet) const { return prefix_ + format_subnet_key(subnet); }
    /// What we publish with this subnet.
    [[nodiscard]] LeaseAttrs attrs_of(const Subnet &subnet) const;

private:
    class Grant;
    /// @param held nothing is to be written if the plan says the same
    /// @return what we hold, or nothing when the world changed between the list and the write
    Result<std::optional<Holding>> try_acquire(const std::stop_token &stop, const Wish &wish,
                                               const std::optional<Subnet> &held, Grant &grant);
    Result<Holding> acquire_until_won(const std::stop_token &stop, const Wish &wish, const std::optional<Subnet> &held);
    Result<bool> carry_out(const std::stop_token &stop, const Plan &plan, const etcd::Listing &listing, Grant &grant);
    Result<bool> rewrite(const std::stop_token &stop, const Subnet &subnet, const etcd::KeyValue &current,
                         std::int64_t lease);

    const std::shared_ptr<etcd::Client> client_;
    const std::string prefix_; ///< "<etcd-prefix>/subnets/"
    const NetConf conf_;
    const LeaseRequest request_;
    const std::chrono::seconds ttl_;
    const std::shared_ptr<OwnKey> own_;
    const Pick pick_;
};

} // namespace weft

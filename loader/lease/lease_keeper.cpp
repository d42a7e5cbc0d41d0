// SPDX-License-Identifier: Apache-2.0
#include "lease/lease_keeper.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "base/crash_point.hpp"
#include "lease/lease_view.hpp"

namespace weft {
namespace {

constexpr int kRaces = 10; ///< lost ones before the attempt is given up, as flannel documents

/// Flannel's reader of a lease sees an address where there is none: BackendData of a lease without IPv4 makes it route
/// 0.0.0.0/0 to that node, and BackendV6Data without PublicIPv6 ends it. Without those fields it passes the lease over.
LeaseRequest safe_for_flannel(LeaseRequest request, const NetConf &conf) {
    if (!conf.enable_ipv4) request.attrs.backend_data = nullptr;
    if (!request.attrs.public_ipv6) request.attrs.backend_v6_data = nullptr;
    return request;
}

} // namespace

/// An etcd lease for our key, granted when first needed, kept for the next try after a lost race, and revoked at the end
/// if no key hangs on it.
class LeaseKeeper::Grant {
public:
    Grant(etcd::Client &client, const std::stop_token &stop, std::chrono::seconds ttl)
        : client_(client), stop_(stop), ttl_(ttl) {}
    Grant(const Grant &) = delete;
    ~Grant() {
        if (id_ != 0 && !used_) (void)client_.revoke(stop_, id_); // else it runs out by itself, without a key
    }
    Result<std::int64_t> id() {
        if (id_ != 0) return id_;
        auto granted = client_.grant(stop_, ttl_);
        if (granted) id_ = *granted;
        return granted;
    }
    /// A write with it was sent: a key may hang on it, even if no answer came.
    void set_used(bool used) { used_ = used; }

private:
    etcd::Client &client_;
    const std::stop_token &stop_;
    const std::chrono::seconds ttl_;
    std::int64_t id_ = 0;
    bool used_ = false;
};

LeaseKeeper::LeaseKeeper(std::shared_ptr<etcd::Client> client, std::string subnets_prefix, LeaseRequest request,
                         NetConf conf, std::chrono::seconds ttl, std::shared_ptr<OwnKey> own, Pick pick)
    : client_(std::move(client)), prefix_(std::move(subnets_prefix)), conf_(std::move(conf)),
      request_(safe_for_flannel(std::move(request), conf_)), ttl_(ttl), own_(std::move(own)), pick_(std::move(pick)) {}

LeaseAttrs LeaseKeeper::attrs_of(const Subnet &subnet) const {
    auto attrs = request_.attrs;
    attrs.awaits_ipv6 = conf_.enable_ipv6 && !subnet.v6;
    return attrs;
}

/// @return false when the store was no longer as listed
Result<bool> LeaseKeeper::carry_out(const std::stop_token &stop, const Plan &plan, const etcd::Listing &listing,
                                    Grant &grant) {
    const auto entry_of = [&](const std::string &key) {
        const auto it = std::ranges::find(listing.entries, key, &etcd::KeyValue::key);
        return it == listing.entries.end() ? nullptr : &*it;
    };
    crash_point("lease-listed");
    etcd::Transaction step;
    for (const auto &subnet : plan.give_up) {
        step.deletes.push_back(key_of(subnet));
        step.at[step.deletes.back()] = entry_of(step.deletes.back())->mod_revision;
    }
    const auto key = key_of(plan.subnet);
    const auto *current = entry_of(key);
    step.at[key] = current ? current->mod_revision : 0;
    // With two families a new key's absence says nothing: one half of its subnet may be in another's.
    if (!current && conf_.enable_ipv6) step.unwritten = {prefix_, listing.revision};

    const bool reservation = plan.reservation || (current && current->lease == 0);
    std::int64_t lease = 0;
    if (!reservation) {
        auto granted = grant.id();
        if (!granted) return fail_as_is(std::move(granted));
        lease = *granted;
        grant.set_used(true);
        crash_point("lease-granted");
    }
    const auto value = format_lease_value(attrs_of(plan.subnet));
    step.puts.push_back({key, value, lease});
    auto done = client_->commit(stop, step);
    if (!done) return fail_as_is(std::move(done));
    if (!*done && !reservation) grant.set_used(false);
    crash_point("lease-written");
    if (*done) own_->wrote(key, value, **done);
    return done->has_value();
}

Result<std::optional<Holding>> LeaseKeeper::try_acquire(const std::stop_token &stop, const Wish &wish,
                                                        const std::optional<Subnet> &held, Grant &grant) {
    auto listing = client_->list(stop, prefix_);
    if (!listing) return fail_as_is(std::move(listing));
    std::vector<ListedLease> leases;
    for (const auto &entry : listing->entries) {
        // A value that cannot be read still occupies its subnet; only a key that is none occupies nothing.
        const auto subnet = parse_subnet_key(std::string_view(entry.key).substr(prefix_.size()));
        if (!subnet) continue;
        auto lease = parse_lease_entry(prefix_, entry);
        leases.push_back({*subnet,
                          own_->is(entry) ? request_.attrs
                          : lease         ? std::move(lease->attrs)
                                          : LeaseAttrs(),
                          entry.lease == 0});
    }
    auto plan = plan_lease(leases, conf_, wish, pick_);
    if (!plan) return fail_as_is(std::move(plan));
    Holding holding{plan->subnet, plan->remark};
    if (held == plan->subnet) return holding;
    auto done = carry_out(stop, *plan, *listing, grant);
    if (!done) return fail_as_is(std::move(done));
    return *done ? std::optional(holding) : std::nullopt;
}

Result<Holding> LeaseKeeper::acquire_until_won(const std::stop_token &stop, const Wish &wish,
                                               const std::optional<Subnet> &held) {
    Grant grant(*client_, stop, ttl_);
    for (int race = 0; race < kRaces; ++race) {
        auto holding = try_acquire(stop, wish, held, grant);
        if (!holding) return fail_as_is(std::move(holding));
        if (*holding) return **std::move(holding);
    }
    return fail(fmt::format("lost the race for a subnet {} times", kRaces), EAGAIN);
}

Result<Holding> LeaseKeeper::acquire(const std::stop_token &stop, const std::optional<Subnet> &back_to) {
    return acquire_until_won(
        stop, {.self = request_.attrs, .hold = back_to, .previous = request_.previous, .has_pods = request_.has_pods},
        {});
}

Result<Holding> LeaseKeeper::extend(const std::stop_token &stop, const Subnet &subnet) {
    return acquire_until_won(stop, {.self = request_.attrs, .hold = subnet, .previous = request_.previous}, subnet);
}

Result<bool> LeaseKeeper::rewrite(const std::stop_token &stop, const Subnet &subnet, const etcd::KeyValue &current,
                                  std::int64_t lease) {
    const auto key = key_of(subnet);
    const auto value = format_lease_value(attrs_of(subnet));
    auto done = client_->commit(
        stop, {.at = {{key, current.mod_revision}}, .unwritten = {}, .deletes = {}, .puts = {{key, value, lease}}});
    if (!done) return fail_as_is(std::move(done));
    if (*done) own_->wrote(key, value, **done);
    return done->has_value();
}

Result<bool> LeaseKeeper::refresh(const std::stop_token &stop, const Subnet &subnet, Write how) {
    Grant grant(*client_, stop, ttl_);
    const auto key = key_of(subnet);
    for (int race = 0; race < kRaces; ++race) {
        auto current = client_->get(stop, key);
        if (!current) return fail_as_is(std::move(current));
        if (!*current) return false;
        // A value that cannot be read names no other owner: it is still ours, and peers need it repaired.
        const auto lease = parse_lease_entry(prefix_, **current);
        if (lease && !same_node(lease->attrs, request_.attrs)) return false;
        if (lease && how == Write::if_damaged) return true;
        auto id = (*current)->lease;
        const bool renew = how == Write::renew && id != 0; // a reservation stays one
        if (renew) {
            auto granted = grant.id();
            if (!granted) return fail_as_is(std::move(granted));
            id = *granted;
        }
        grant.set_used(renew);
        auto written = rewrite(stop, subnet, **current, id);
        if (!written || *written) return written;
        grant.set_used(false);
    }
    return fail(fmt::format("etcd key {} changed {} times while it was being written", key, kRaces), EAGAIN);
}

} // namespace weft

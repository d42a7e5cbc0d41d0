// SPDX-License-Identifier: Apache-2.0
#include "lease/lease_keeper.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "lease/lease_view.hpp"

namespace weft {
namespace {

constexpr int kRaces = 10; ///< lost ones before the attempt is given up, as flannel documents

LeaseRequest with_public_ip(LeaseRequest request) {
    request.attrs.public_ip = request.public_ip;
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
                         NetConf conf, std::chrono::seconds ttl, Pick pick)
    : client_(std::move(client)), prefix_(std::move(subnets_prefix)), request_(with_public_ip(std::move(request))),
      conf_(std::move(conf)), ttl_(ttl), value_(format_lease_value(request_.attrs)), pick_(std::move(pick)) {}

/// Writes our value over `current` (null: creates the key). @return false when the key was no longer as looked at
Result<bool> LeaseKeeper::write(const std::stop_token &stop, const Subnet &subnet, const etcd::KeyValue *current,
                                Grant &grant) {
    const bool reservation = current && current->lease == 0;
    std::int64_t lease = 0;
    if (!reservation) {
        auto granted = grant.id();
        if (!granted) return fail_as_is(std::move(granted));
        lease = *granted;
        grant.set_used(true);
    }
    auto put = client_->put_if(stop, key_of(subnet), value_, lease, current ? current->mod_revision : 0);
    if (!put) return fail_as_is(std::move(put));
    if (!*put && !reservation) grant.set_used(false);
    return put->has_value();
}

Result<std::optional<Subnet>> LeaseKeeper::try_acquire(const std::stop_token &stop,
                                                       const std::optional<Subnet> &back_to, Grant &grant) {
    auto listing = client_->list(stop, prefix_);
    if (!listing) return fail_as_is(std::move(listing));
    std::vector<ListedLease> leases;
    for (const auto &entry : listing->entries) {
        // A value that cannot be read still occupies its subnet; only a key that is none occupies nothing.
        const auto subnet = parse_subnet_key(std::string_view(entry.key).substr(prefix_.size()));
        if (!subnet) continue;
        const auto lease = parse_lease_entry(prefix_, entry);
        leases.push_back({*subnet, lease ? lease->attrs.public_ip : Ip4(), entry.lease == 0});
    }
    const auto entry_of = [&](const Subnet &subnet) {
        return std::find_if(listing->entries.begin(), listing->entries.end(),
                            [key = key_of(subnet)](const auto &entry) { return entry.key == key; });
    };
    auto step = back_to ? step_back_to(*back_to, leases, request_.public_ip)
                        : next_step(leases, conf_, request_.public_ip, request_.previous, pick_);
    if (!step) return fail_as_is(std::move(step));

    if (const auto *outdated = std::get_if<Delete>(&*step)) {
        const auto entry = entry_of(outdated->subnet);
        auto deleted = client_->delete_if(stop, entry->key, entry->mod_revision);
        if (!deleted) return fail_as_is(std::move(deleted));
        return std::nullopt;
    }
    const auto *take = std::get_if<Take>(&*step);
    const Subnet subnet = take ? take->subnet : std::get<Create>(*step).subnet;
    auto written = write(stop, subnet, take ? &*entry_of(subnet) : nullptr, grant);
    if (!written) return fail_as_is(std::move(written));
    return *written ? std::optional(subnet) : std::nullopt;
}

Result<Subnet> LeaseKeeper::acquire(const std::stop_token &stop, const std::optional<Subnet> &back_to) {
    Grant grant(*client_, stop, ttl_);
    for (int race = 0; race < kRaces; ++race) {
        auto subnet = try_acquire(stop, back_to, grant);
        if (!subnet) return fail_as_is(std::move(subnet));
        if (*subnet) return **subnet;
    }
    return fail(fmt::format("lost the race for a subnet {} times", kRaces), EAGAIN);
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
        if (lease && lease->attrs.public_ip != request_.public_ip) return false;
        if (lease && how == Write::if_damaged) return true;
        Result<bool> written = false;
        if (how == Write::renew) {
            written = write(stop, subnet, &**current, grant);
        } else {
            auto put = client_->put_if(stop, key, value_, (*current)->lease, (*current)->mod_revision);
            written = put ? Result<bool>(put->has_value()) : fail_as_is(std::move(put));
        }
        if (!written || *written) return written;
    }
    return fail(fmt::format("etcd key {} changed {} times while it was being written", key, kRaces), EAGAIN);
}

} // namespace weft

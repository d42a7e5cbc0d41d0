// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <asio/io_context.hpp>

#include <chrono>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "config/net_conf.hpp"
#include "etcd/options.hpp"
#include "lease/leases.hpp"

namespace weft {

/// What a node asks for.
struct LeaseRequest {
    LeaseAttrs attrs;                      ///< to publish; a lease that names the same node is ours (same_node())
    std::optional<Subnet> previous;        ///< of an earlier run; asked for when we hold no lease
    bool has_pods = false;                 ///< in `previous`: ask for no other while somebody else has it
    std::chrono::minutes renew_margin{60}; ///< renew this long before the lease expires
};

/// Called on the io_context that was passed in, in the order in which things happened. An empty function is skipped.
struct LeaseEvents {
    std::function<void(NetConf)> config;                 ///< the configuration was read and is valid
    std::function<void(Lease own)> acquired;             ///< our lease is held (again, or with an IPv6 part now)
    std::function<void(Error)> lost;                     ///< somebody else has our subnet
    std::function<void(std::vector<LeasePtr>)> snapshot; ///< every OTHER valid lease, after a list or re-list
    std::function<void(LeasePtr)> put;                   ///< another node's lease is new or changed
    std::function<void(Subnet)> removed;                 ///< another node's lease was deleted or has expired
    std::function<void(std::string)> status;             ///< one sentence for the log and sd_notify's STATUS
};

/// waiting_config -> acquiring -> held <-> reacquiring -> lost -> held; a new acquire() leads from any state to acquiring.
enum class LeaseState {
    idle,           ///< nothing asked for yet
    waiting_config, ///< start_config(): reading the configuration until it is there and valid
    configured,     ///< config event posted, acquire() not yet called
    acquiring,      ///< no lease yet; retried until there is one
    held,           ///< ours; renewed in time
    reacquiring,    ///< our key was deleted or expired; asking for the same subnet again
    lost,           ///< somebody else has our subnet; ours again once they let go of it
    stopped,
};
[[nodiscard]] std::string_view to_string(LeaseState state);

/// Intervals that tests shorten. The defaults are what flannel nodes expect of each other.
struct LeaseTuning {
    std::chrono::seconds lease_ttl{24 * 3600};
    std::chrono::milliseconds config_retry{1000};
    std::chrono::milliseconds retry_min{1000};       ///< of acquiring and renewing, doubling up to
    std::chrono::milliseconds retry_max{60'000};     ///< this
    std::chrono::milliseconds repeat_status{60'000}; ///< an unchanged complaint is said again after this
    std::chrono::milliseconds look_at_files{5000};   ///< whether the TLS files have changed
    std::chrono::milliseconds lost_retry{10'000};    ///< looks whether a lost subnet is free again, at the latest
    /// Publish once more this long after acquiring: flannel up to v0.20 misses what is put between its list and its
    /// watch, so that nodes that start together may never learn of each other.
    std::chrono::milliseconds republish{10'000};
};

/// Our lease and the view of everybody else's, kept in etcd by flannel's rules.
///
/// Contract: our key is found by PublicIP (PublicIPv6 where there is none) or because it is as we wrote it last, else the
/// previous subnet is asked for, else a random free one;
/// it is created and renewed only by compare-and-put, so another node's key is never overwritten. Where IPv4-only flannels
/// hold leases it has no IPv6 part at first, which `status` says; it gets one as soon as they are gone. A key of ours
/// without an etcd lease is a reservation: its value is kept up to date and it stays without a lease. Nothing is released,
/// ever: a stopped node keeps its subnet until the lease runs out.
/// A key or value that cannot be read is reported once (per revision) through `status` and touches nobody's lease.
/// Leases that name our own node are never part of snapshot, put or removed.
///
/// Threads: one reads the configuration and ends, one acquires and renews, one lists and watches, with TLS one
/// looks at its files; all end with stop().
/// Public functions and the destructor belong to the io_context's thread. After stop() no event is delivered.
/// Errors: environment failures (etcd away, no configuration, no free subnet) are said through `status`, once and then
/// once a minute, and retried for ever; so is a lost subnet, but for a new acquire(), which may ask for another one.
class LeaseManager {
public:
    /// @param memory a file by which the next manager knows our key again (OwnKey); empty: it is found by PublicIP only
    LeaseManager(asio::io_context &io, EtcdOptions etcd, LeaseEvents events, LeaseTuning tuning = {},
                 std::filesystem::path memory = {});
    ~LeaseManager();
    LeaseManager(const LeaseManager &) = delete;
    LeaseManager &operator=(const LeaseManager &) = delete;

    /// Reads the configuration until it is there and valid, then posts `config` once. May be called again.
    void start_config();

    /// Takes and keeps a lease, and watches the others' from then on. A second call starts over with the new request.
    void acquire(LeaseRequest request, NetConf conf);

    /// Ends the threads, aborting calls in flight. Never releases the lease.
    void stop();

    [[nodiscard]] LeaseState state() const;

private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

} // namespace weft

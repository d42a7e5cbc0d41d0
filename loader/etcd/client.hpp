// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "etcd/options.hpp"

namespace weft::etcd {

struct KeyValue {
    std::string key, value;
    std::int64_t mod_revision = 0; ///< of the store, when the key last changed
    std::int64_t lease = 0;        ///< 0: none, the key stays
};

/// A consistent picture of all keys with a prefix, as of `revision`.
struct Listing {
    std::vector<KeyValue> entries; ///< in key order
    std::int64_t revision = 0;
};

struct Event {
    bool deleted = false; ///< explicitly or by expiry: etcd does not tell which
    KeyValue entry;       ///< of a deleted key: key and mod_revision only
};

/// Writes that happen together or not at all: every watcher sees them in one piece, with the deletions first.
struct Transaction {
    struct Put {
        std::string key, value;
        std::int64_t lease = 0; ///< the etcd lease that the key expires with, 0 for none
    };
    /// Keys that must still be at this mod_revision; 0: there is no such key.
    std::map<std::string, std::int64_t> at;
    /// No key below `prefix` may have been written after `revision`. (etcd cannot tell of deletions.)
    struct Unwritten {
        std::string prefix;
        std::int64_t revision = 0;
    };
    std::optional<Unwritten> unwritten;
    std::vector<std::string> deletes;
    std::vector<Put> puts;
};

/// How a watch ended. An error says which endpoint and why; the watch may be resumed from the revision reached.
enum class WatchEnd {
    stopped,   ///< as asked
    moved,     ///< there are new certificates: watch again, from where it has come to
    must_list, ///< events from the revision asked for no longer exist (compacted, or another history): list anew
};

struct Timing {
    std::chrono::milliseconds call_deadline{5000}; ///< of a unary call to one endpoint
    /// A connection that answers nothing for their sum is broken. etcd drops clients that ping oftener than each 5 s.
    std::chrono::milliseconds keepalive_interval{10'000}, keepalive_timeout{5000};
};

/// A client of etcd's v3 API: what flannel's keys need and no more.
///
/// Contract: each call tries the endpoints once round, beginning with the one that answered last, and goes on to the
/// next when one is unreachable or late. A call that changes something may therefore have been carried out though it
/// failed: look before trying again. Calls block; `stop` aborts them.
/// Threads: any; calls of several threads run at the same time.
/// Errors: name endpoint and call; code ECANCELED after `stop`, ETIMEDOUT, ECONNREFUSED (unreachable), EACCES, EIO.
class Client {
public:
    /// Reads the TLS files and checks the endpoints' spelling; does not connect.
    [[nodiscard]] static Result<Client> create(const EtcdOptions &options, const Timing &timing = {});
    Client(Client &&) noexcept;
    Client &operator=(Client &&) noexcept;
    ~Client();

    [[nodiscard]] bool uses_tls() const;
    /// Looks whether the TLS files have changed on disk; cheap if not. Changed ones are tried on a connection of their own:
    /// only when that has carried a call, later calls and the watches go over to it.
    /// @return whether they did. Errors: files that are of no use, or that no endpoint accepts; what there was stays in use.
    /// Threads: one at a time.
    [[nodiscard]] Result<bool> refresh_credentials(const std::stop_token &stop);

    [[nodiscard]] Result<std::optional<KeyValue>> get(const std::stop_token &stop, const std::string &key);
    /// All keys that begin with `prefix` (not empty).
    [[nodiscard]] Result<Listing> list(const std::stop_token &stop, const std::string &prefix);

    /// @return the revision that the writes made, or nothing when the store was not as expected
    [[nodiscard]] Result<std::optional<std::int64_t>> commit(const std::stop_token &stop,
                                                             const Transaction &transaction);

    [[nodiscard]] Result<std::int64_t> grant(const std::stop_token &stop, std::chrono::seconds ttl);
    [[nodiscard]] Status revoke(const std::stop_token &stop, std::int64_t lease);

    /// Follows all keys that begin with `prefix` from revision `from` on, until `stop` or an error.
    /// @param on_open called once etcd has accepted the watch
    /// @param on_events called with each batch in order and the revision it reaches; empty for a mere sign of progress.
    ///        To resume without loss, watch from that revision + 1.
    [[nodiscard]] Result<WatchEnd>
    watch(const std::stop_token &stop, const std::string &prefix, std::int64_t from,
          const std::function<void()> &on_open,
          const std::function<void(std::int64_t revision, std::vector<Event>)> &on_events);

private:
    class Impl;
    explicit Client(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

/// `<prefix>/<name>` with the slashes put right as flannel does it ("/a//b/" and "config": "/a/b/config").
[[nodiscard]] std::string join_key(const std::string &prefix, const std::string &name);

} // namespace weft::etcd

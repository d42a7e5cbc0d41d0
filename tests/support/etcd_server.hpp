// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "dirs.hpp"
#include "process.hpp"

namespace weft::test {

struct EtcdOptions {
    std::string netns; ///< path of a network namespace; empty: the caller's
    std::string address = "127.0.0.1";
    std::uint16_t port = 0;              ///< client port; 0: a free one. The peer port is always a free one.
    std::string scheme = "http";         ///< "https" with certificates in extra_args
    std::vector<std::string> extra_args; ///< for etcd
    bool wait = true;                    ///< until it serves; a member of several does only with the others
    std::vector<std::string> ctl_args;   ///< for every etcdctl call ("--cacert=...", "--user=...")
};

/// A real etcd of the installed version, one member, its data in memory.
///
/// Contract: start() and restart() come back when it serves; stop() and kill() keep the data and the port.
/// Errors: carry etcd's or etcdctl's own words.
class EtcdServer {
public:
    [[nodiscard]] static Result<EtcdServer> start(EtcdOptions options = {});

    [[nodiscard]] std::string endpoint() const; ///< "http://127.0.0.1:34567"
    [[nodiscard]] std::uint16_t port() const { return options_.port; }

    [[nodiscard]] Status wait_until_serving();
    [[nodiscard]] std::optional<Process> &process() { return process_; }

    Status stop();    ///< SIGTERM
    Status kill();    ///< SIGKILL
    Status restart(); ///< starts it again on the same data and port

    Status put(std::string_view key, std::string_view value);
    /// With a lease of its own of `ttl_s` seconds.
    Status put_with_ttl(std::string_view key, std::string_view value, unsigned ttl_s);
    [[nodiscard]] Result<std::optional<std::string>> get(std::string_view key);
    /// Every key that begins with `prefix`.
    [[nodiscard]] Result<std::map<std::string, std::string>> get_prefix(std::string_view prefix);
    Status del(std::string_view key);
    /// Any etcdctl command (API v3). @return stdout.
    Result<std::string> ctl(std::vector<std::string> args);

private:
    EtcdServer(EtcdOptions options, TempDir data) : options_(std::move(options)), data_(std::move(data)) {}
    Status launch();

    EtcdOptions options_;
    TempDir data_;
    std::uint16_t peer_port_ = 0;
    std::optional<Process> process_;
};

/// A TCP port of `address` that nobody uses now, in the network namespace at `netns` (empty: the caller's).
[[nodiscard]] Result<std::uint16_t> free_port(const std::string &address, const std::string &netns = {});

} // namespace weft::test

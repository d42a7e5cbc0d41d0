// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <memory>
#include <mutex>
#include <string>

#include "base/error.hpp"
#include "etcd/client.hpp"
#include "etcd/etcd.grpc.pb.h"
#include "etcd/tls_files.hpp"

// Private to this folder: everything that includes gRPC compiles slowly.
namespace weft::etcd {

/// A channel and the services on it. It connects on its first call.
struct Connection {
    explicit Connection(const std::shared_ptr<grpc::Channel> &channel);

    std::unique_ptr<etcdserverpb::KV::Stub> kv;
    std::unique_ptr<etcdserverpb::Lease::Stub> lease;
    std::unique_ptr<etcdserverpb::Watch::Stub> watch;
    std::unique_ptr<etcdserverpb::Auth::Stub> auth;
    std::atomic<bool> proven = false; ///< a call has succeeded on it
};

/// One member of the cluster, and the connection to it that is in use.
///
/// Contract: a connection that failed is dropped and the next call makes a new one, at once. gRPC would reconnect by
/// itself, but makes progress only while a call waits, and fails calls without waiting until it has reconnected: an etcd
/// that is back would go unnoticed for many seconds. A new connection has the TLS files as they are on
/// disk, or as they last were good.
/// Threads: any.
class Endpoint {
public:
    /// @param files shared by all members.
    [[nodiscard]] static Result<std::unique_ptr<Endpoint>>
    create(const EtcdOptions &options, const Timing &timing, const std::string &url, std::shared_ptr<TlsFiles> files);
    [[nodiscard]] bool uses_tls() const { return tls_; }
    [[nodiscard]] const std::string &url() const { return url_; } ///< as the user wrote it, for messages
    [[nodiscard]] std::shared_ptr<Connection> connection();
    void drop(const std::shared_ptr<Connection> &failed);
    /// A connection beside the one in use, with the files as they are: to see whether they are accepted.
    [[nodiscard]] std::shared_ptr<Connection> connect() const;
    /// From here on calls go over that one; what runs on the old one goes on there.
    void use(std::shared_ptr<Connection> connection);
    /// What of the TLS files explains a connection that fails; "" if nothing.
    [[nodiscard]] std::string complaint() const { return tls_ ? files_->complaint() : std::string(); }

private:
    Endpoint(const Timing &timing, std::string url, std::string host_port, bool tls, std::shared_ptr<TlsFiles> files)
        : timing_(timing), url_(std::move(url)), host_port_(std::move(host_port)), tls_(tls), files_(std::move(files)) {
    }

    const Timing timing_;
    const std::string url_, host_port_;
    const bool tls_;
    const std::shared_ptr<TlsFiles> files_;
    std::mutex mutex_;
    std::shared_ptr<Connection> connection_;
};

} // namespace weft::etcd

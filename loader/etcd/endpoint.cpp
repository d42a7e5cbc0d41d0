// SPDX-License-Identifier: Apache-2.0
#include "etcd/endpoint.hpp"

#include <fmt/format.h>
#include <grpc/support/log.h>

#include <cstdlib>

namespace weft::etcd {
namespace {

grpc::ChannelArguments channel_arguments(const Timing &timing) {
    grpc::ChannelArguments arguments;
    // A peer that vanished without closing (power, firewall) is noticed only by asking it.
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, static_cast<int>(timing.keepalive_interval.count()));
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, static_cast<int>(timing.keepalive_timeout.count()));
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    // Else a new channel to the same address would inherit the old one's connection and its pauses.
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    // Thousands of leases in one list are more than the default 4 MiB.
    arguments.SetMaxReceiveMessageSize(-1);
    // A pod network must not depend on an HTTP proxy from the environment, nor on DNS TXT records.
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    return arguments;
}

/// gRPC prints each failed handshake to stderr in its own format; the same is in the error that we return and say once.
void silence_grpc() {
    // NOLINTNEXTLINE(concurrency-mt-unsafe): nothing here writes the environment.
    if (!std::getenv("GRPC_VERBOSITY")) gpr_set_log_function([](gpr_log_func_args *) {});
}

struct Address {
    std::string host_port;
    bool tls;
};

Result<Address> parse_endpoint(const std::string &url, bool tls_by_default) {
    const auto bad = [&](std::string_view why) {
        return fail(fmt::format("etcd endpoint \"{}\": {} (expected http://host:port or https://host:port)", url, why));
    };
    Address address{.host_port = url, .tls = tls_by_default};
    if (const auto scheme_end = url.find("://"); scheme_end != std::string::npos) {
        const auto scheme = url.substr(0, scheme_end);
        if (scheme != "http" && scheme != "https") return bad("unknown scheme");
        address.tls = scheme == "https";
        address.host_port = url.substr(scheme_end + 3);
    }
    while (address.host_port.ends_with('/')) address.host_port.pop_back();
    if (address.host_port.find('/') != std::string::npos) return bad("a path is not allowed");
    const auto colon = address.host_port.rfind(':');
    const bool port_missing = colon == std::string::npos || colon + 1 == address.host_port.size() ||
                              address.host_port.find_first_not_of("0123456789", colon + 1) != std::string::npos;
    if (port_missing || colon == 0) return bad("no host or no port");
    return address;
}

} // namespace

Connection::Connection(const std::shared_ptr<grpc::Channel> &channel)
    : kv(etcdserverpb::KV::NewStub(channel)), lease(etcdserverpb::Lease::NewStub(channel)),
      watch(etcdserverpb::Watch::NewStub(channel)), auth(etcdserverpb::Auth::NewStub(channel)) {}

Result<std::unique_ptr<Endpoint>> Endpoint::create(const EtcdOptions &options, const Timing &timing,
                                                   const std::string &url, std::shared_ptr<TlsFiles> files) {
    silence_grpc();
    auto address = parse_endpoint(url, !options.cafile.empty() || !options.certfile.empty());
    if (!address) return fail_as_is(std::move(address));
    return std::unique_ptr<Endpoint>(new Endpoint(timing, url, address->host_port, address->tls, std::move(files)));
}

std::shared_ptr<Connection> Endpoint::connect() const {
    auto credentials = grpc::InsecureChannelCredentials();
    if (tls_) {
        auto [roots, chain, key] = files_->current();
        credentials = grpc::SslCredentials({std::move(roots), std::move(key), std::move(chain)});
    }
    return std::make_shared<Connection>(grpc::CreateCustomChannel(host_port_, credentials, channel_arguments(timing_)));
}

std::shared_ptr<Connection> Endpoint::connection() {
    const std::lock_guard lock(mutex_);
    if (connection_) return connection_;
    if (tls_) (void)files_->reload(); // Client::refresh_credentials() tells of a bad one
    connection_ = connect();
    return connection_;
}

void Endpoint::use(std::shared_ptr<Connection> connection) {
    const std::lock_guard lock(mutex_);
    connection_ = std::move(connection);
}

void Endpoint::drop(const std::shared_ptr<Connection> &failed) {
    const std::lock_guard lock(mutex_);
    if (connection_ == failed) connection_.reset();
}

} // namespace weft::etcd

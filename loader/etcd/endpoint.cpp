// SPDX-License-Identifier: Apache-2.0
#include "etcd/endpoint.hpp"

#include <fmt/format.h>
#include <grpc/support/log.h>

#include <cstdlib>
#include <fstream>
#include <sstream>

namespace weft::etcd {
namespace {

Result<std::string> read_pem(const std::string &path) {
    if (path.empty()) return std::string();
    std::ifstream file(path);
    std::ostringstream text;
    if (!file || !(text << file.rdbuf())) return fail_errno(errno ? errno : EIO, path);
    return text.str();
}

Result<std::shared_ptr<grpc::ChannelCredentials>> tls_credentials(const EtcdOptions &options) {
    if (options.certfile.empty() != options.keyfile.empty())
        return fail(fmt::format("etcd: a client certificate needs both files: certfile \"{}\", keyfile \"{}\"",
                                options.certfile, options.keyfile));
    grpc::SslCredentialsOptions ssl;
    const std::pair<const std::string &, std::string &> files[] = {
        {options.cafile, ssl.pem_root_certs}, {options.certfile, ssl.pem_cert_chain}, {options.keyfile, ssl.pem_private_key}};
    for (const auto &[path, pem] : files) {
        auto text = read_pem(path);
        if (!text) return fail_in(std::move(text), "etcd");
        pem = *std::move(text);
    }
    return grpc::SslCredentials(ssl);
}

grpc::ChannelArguments channel_arguments(const Timing &timing) {
    grpc::ChannelArguments arguments;
    // A peer that vanished without closing (power, firewall) is noticed only by asking it.
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, static_cast<int>(timing.keepalive_interval.count()));
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, static_cast<int>(timing.keepalive_timeout.count()));
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    // We pace our attempts ourselves; gRPC's own 120 s would keep us away from an etcd that is back.
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 1000);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
    // Thousands of leases in one list are more than the default 4 MiB.
    arguments.SetMaxReceiveMessageSize(-1);
    // A pod network must not depend on an HTTP proxy from the environment, nor on DNS TXT records.
    arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
    arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
    return arguments;
}

/// gRPC prints each failed handshake to stderr in its own format; the same is in the error that we return and say once.
void silence_grpc() {
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

Result<std::vector<Endpoint>> open_endpoints(const EtcdOptions &options, const Timing &timing) {
    if (options.endpoints.empty()) return fail("etcd: no endpoint is given");
    silence_grpc();
    std::shared_ptr<grpc::ChannelCredentials> tls;
    std::vector<Endpoint> endpoints;
    for (const auto &url : options.endpoints) {
        const auto address = parse_endpoint(url, !options.cafile.empty() || !options.certfile.empty());
        if (!address) return std::unexpected(address.error());
        if (address->tls && !tls) {
            auto made = tls_credentials(options);
            if (!made) return fail_as_is(std::move(made));
            tls = *std::move(made);
        }
        Endpoint endpoint;
        endpoint.url = url;
        endpoint.channel = grpc::CreateCustomChannel(
            address->host_port, address->tls ? tls : grpc::InsecureChannelCredentials(), channel_arguments(timing));
        endpoint.kv = etcdserverpb::KV::NewStub(endpoint.channel);
        endpoint.lease = etcdserverpb::Lease::NewStub(endpoint.channel);
        endpoint.watch = etcdserverpb::Watch::NewStub(endpoint.channel);
        endpoint.auth = etcdserverpb::Auth::NewStub(endpoint.channel);
        endpoints.push_back(std::move(endpoint));
    }
    return endpoints;
}

} // namespace weft::etcd

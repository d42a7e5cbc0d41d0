// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "etcd/client.hpp"
#include "etcd/etcd.grpc.pb.h"

// Private to this folder: everything that includes gRPC compiles slowly.
namespace weft::etcd {

/// One member of the cluster, with a channel that connects on its first call and reconnects by itself.
struct Endpoint {
    std::string url; ///< as the user wrote it, for messages
    std::shared_ptr<grpc::Channel> channel;
    std::unique_ptr<etcdserverpb::KV::Stub> kv;
    std::unique_ptr<etcdserverpb::Lease::Stub> lease;
    std::unique_ptr<etcdserverpb::Watch::Stub> watch;
    std::unique_ptr<etcdserverpb::Auth::Stub> auth;
};

[[nodiscard]] Result<std::vector<Endpoint>> open_endpoints(const EtcdOptions &options, const Timing &timing);

} // namespace weft::etcd

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <asio/io_context.hpp>
#include <asio/ip/tcp.hpp>
#include <nlohmann/json_fwd.hpp>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "base/error.hpp"

namespace weft {

/// GET /healthz and /readyz over HTTP/1.1, one request a connection: what Kubernetes' probes and curl need, no more.
///
/// Contract: the report's JSON is the body; the status is 200 when it says ready, else 503. Other paths get 404, other
/// methods 405. A request is at most 8 KiB and has 5 seconds.
/// Threads: the io_context's. `io` outlives the server.
class HealthServer {
public:
    struct Report {
        bool ready = false;
        std::string body; ///< JSON
    };

    [[nodiscard]] static Result<HealthServer> listen(asio::io_context &io, const asio::ip::address &address,
                                                     std::uint16_t port, std::function<Report()> report);

    HealthServer(HealthServer &&) noexcept;
    ~HealthServer();

private:
    class Impl;
    explicit HealthServer(std::shared_ptr<Impl> impl);
    std::shared_ptr<Impl> impl_;
};

} // namespace weft

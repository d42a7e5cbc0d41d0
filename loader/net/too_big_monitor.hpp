// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <asio/io_context.hpp>

#include <functional>
#include <memory>

#include "base/error.hpp"

namespace weft::net {

/// Tells that this host was told of a narrow path: ICMPv6 "packet too big". The kernel remembers the path's MTU, where
/// query_route() finds it, but sends no message about it. (Over IPv4, tunnel packets are fragmented on the way.)
///
/// Contract: at most ten times a second, however many come; anybody can send them, so one is a reason to look, not the truth.
/// Threads: the callback runs on the io_context's thread. The destructor ends it; `io` outlives the monitor.
class TooBigMonitor {
public:
    /// Errors: EAFNOSUPPORT on a kernel without IPv6.
    [[nodiscard]] static Result<TooBigMonitor> start(asio::io_context &io, std::function<void()> told);

    TooBigMonitor(TooBigMonitor &&) noexcept;
    ~TooBigMonitor();

private:
    class Impl;
    explicit TooBigMonitor(std::shared_ptr<Impl> impl);
    std::shared_ptr<Impl> impl_;
};

} // namespace weft::net

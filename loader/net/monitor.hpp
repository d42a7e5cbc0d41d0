// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <asio/io_context.hpp>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/addr.hpp"
#include "base/error.hpp"

namespace weft::net {

/// What changed on the host, as far as weftd cares to tell changes apart.
struct NetworkChange {
    enum class Kind : std::uint8_t { link, address, neighbour, route, qdisc, filter };
    Kind kind = Kind::link;
    bool removed = false;
    int ifindex = 0;           ///< route: of its first or only next hop, 0 if it has none
    std::string link_name;     ///< link only
    std::uint8_t protocol = 0; ///< route only: RTPROT_*
    std::string qdisc_kind;    ///< qdisc only
    Ip neighbour_address;      ///< neighbour only
    std::optional<Mac> mac;    ///< neighbour only: where packets to it are sent; none while that is not known

    bool operator==(const NetworkChange &) const = default;
};

/// Tells of every change to links, addresses, neighbours, routes, qdiscs and tc filters in the network namespace that it was
/// started in.
///
/// Left out are the link-local addresses of IPv6 and the kernel's own routes to them and to multicast groups: every pod's
/// link comes with some, and they lead nowhere.
///
/// Contract: a change is a reason to look, not the truth: by the time it arrives the kernel may have moved on.
/// `overrun` means that changes were lost (ENOBUFS) and everything must be looked at.
/// Threads: both callbacks run on the io_context's thread. The destructor ends them; `io` outlives the monitor.
class NetworkMonitor {
public:
    [[nodiscard]] static Result<NetworkMonitor>
    start(asio::io_context &io, std::function<void(const NetworkChange &)> change, std::function<void()> overrun);

    NetworkMonitor(NetworkMonitor &&) noexcept;
    ~NetworkMonitor();

private:
    class Impl;
    explicit NetworkMonitor(std::shared_ptr<Impl> impl);
    std::shared_ptr<Impl> impl_;
};

} // namespace weft::net

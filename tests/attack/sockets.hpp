// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "base/unique_fd.hpp"
#include "crafter.hpp"
#include "netns.hpp"

namespace weft::attack {

/// Sends whole frames out of one interface, as they are.
class FrameSender {
public:
    [[nodiscard]] static Result<FrameSender> open(const test::Netns &ns, const std::string &interface);
    Status send(const std::vector<Bytes> &frames) const;

private:
    FrameSender(UniqueFd fd, int ifindex) : fd_(std::move(fd)), ifindex_(ifindex) {}
    UniqueFd fd_;
    int ifindex_;
};

/// What one socket of a namespace received.
struct Received {
    enum class From {
        link, ///< a frame of the interface's, from Ethernet on
        ip4,  ///< from the IPv4 header on, for a socket of the host
        ip6,  ///< from behind the IPv6 headers on, for a socket of the host
    } from;
    std::uint8_t protocol = 0; ///< ip4, ip6: of the socket
    Bytes bytes;
};

/// Sockets that get everything that a place gets.
class Ears {
public:
    /// Every frame that comes in on the pod's interface.
    [[nodiscard]] static Result<Ears> of_interface(const test::Netns &ns, const std::string &interface);
    /// Every ICMP, TCP and UDP packet of either family that the host's stack delivers to sockets: raw sockets of each protocol,
    /// which are given what a listening socket would be.
    [[nodiscard]] static Result<Ears> of_host(const test::Netns &ns);

    /// What has come since the last call. An error when a socket could not keep up.
    [[nodiscard]] Result<std::vector<Received>> take() const;

private:
    struct Socket {
        UniqueFd fd;
        Received::From from;
        std::uint8_t protocol;
    };
    std::vector<Socket> sockets_;
};

} // namespace weft::attack

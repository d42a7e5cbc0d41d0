// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "netns.hpp"

namespace weft::test {

using Bytes = std::vector<std::uint8_t>;

/// Sends one Ethernet frame out of `interface`, as it is.
Status send_frame(const Netns &ns, const std::string &interface, const Bytes &frame);

/// A raw socket for one IP protocol in a namespace: receives what that namespace gets of it, and sends.
class RawSocket {
public:
    [[nodiscard]] static Result<RawSocket> open(const Netns &ns, std::uint8_t protocol);

    /// The IP header is the kernel's, with this type of service.
    Status send(const std::string &to, const Bytes &payload, int tos = 0) const;
    /// The next packet for which `wanted` holds, from its IP header on. An error when none comes in time.
    [[nodiscard]] Result<Bytes> receive(const std::function<bool(const Bytes &packet)> &wanted) const;

private:
    explicit RawSocket(UniqueFd fd) : fd_(std::move(fd)) {}
    UniqueFd fd_;
};

} // namespace weft::test

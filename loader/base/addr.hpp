// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <asio/ip/address_v4.hpp>
#include <asio/ip/address_v6.hpp>
#include <asio/ip/network_v4.hpp>
#include <asio/ip/network_v6.hpp>

#include <array>
#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace weft {

/// Addresses and prefixes are Asio's value types: comparable, hashable by value, RFC 5952 text.
/// `Ip4::to_uint()` is host byte order, `to_bytes()` network byte order.
using Ip4 = asio::ip::address_v4;
using Ip6 = asio::ip::address_v6;
/// A prefix as written: host bits are kept until `canonical()`.
using Net4 = asio::ip::network_v4;
using Net6 = asio::ip::network_v6;

/// Strict dotted quad ("010.1.1.1", "10.1" and spaces are errors).
[[nodiscard]] Result<Ip4> parse_ip4(std::string_view text);
[[nodiscard]] Result<Ip6> parse_ip6(std::string_view text);
/// "A.B.C.D/len"; host bits are kept.
[[nodiscard]] Result<Net4> parse_net4(std::string_view text);
[[nodiscard]] Result<Net6> parse_net6(std::string_view text);

[[nodiscard]] bool contains(const Net4 &net, const Ip4 &addr);
[[nodiscard]] bool contains(const Net6 &net, const Ip6 &addr);
[[nodiscard]] bool overlaps(const Net4 &a, const Net4 &b);
[[nodiscard]] bool overlaps(const Net6 &a, const Net6 &b);

/// Address arithmetic; wraps at the end of the address space.
[[nodiscard]] inline Ip4 operator+(const Ip4 &addr, std::uint32_t n) { return Ip4(addr.to_uint() + n); }

/// A 48-bit Ethernet address in wire order.
struct Mac {
    std::array<std::uint8_t, 6> bytes{};

    auto operator<=>(const Mac &) const = default;
    [[nodiscard]] std::string to_string() const; ///< "aa:bb:cc:dd:ee:ff"
};

/// Six colon-separated hex octets, either case.
[[nodiscard]] Result<Mac> parse_mac(std::string_view text);

} // namespace weft

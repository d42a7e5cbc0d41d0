// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <asio/ip/address.hpp>
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

/// An address of either family. IPv4 sorts before IPv6.
using Ip = asio::ip::address;

/// A prefix of either family, as written: host bits are kept until `canonical()`. IPv4 sorts before IPv6, then by address,
/// then by length.
class Net {
public:
    Net() = default; ///< 0.0.0.0/0
    /// Throws std::out_of_range if the family has no such length, as Net4 and Net6 do.
    Net(const Ip &address, unsigned short length);
    Net(const Net4 &net) // NOLINT(google-explicit-constructor)
        : address_(net.address()), length_(net.prefix_length()) {}
    Net(const Net6 &net) // NOLINT(google-explicit-constructor)
        : address_(net.address()), length_(net.prefix_length()) {}

    [[nodiscard]] const Ip &address() const { return address_; }
    [[nodiscard]] unsigned short prefix_length() const { return length_; }
    [[nodiscard]] bool is_v4() const { return address_.is_v4(); }
    /// Of the family that is_v4() tells; asio::ip::bad_address_cast otherwise.
    [[nodiscard]] Net4 v4() const { return {address_.to_v4(), length_}; }
    [[nodiscard]] Net6 v6() const { return {address_.to_v6(), length_}; }
    [[nodiscard]] Net canonical() const;
    [[nodiscard]] std::string to_string() const;

    bool operator==(const Net &) const = default;
    std::weak_ordering operator<=>(const Net &other) const;

private:
    Ip address_ = Ip4();
    unsigned short length_ = 0;
};
/// The prefix that holds this address alone.
[[nodiscard]] Net host_net(const Ip &addr);

/// Strict dotted quad ("010.1.1.1", "10.1" and spaces are errors).
[[nodiscard]] Result<Ip4> parse_ip4(std::string_view text);
[[nodiscard]] Result<Ip6> parse_ip6(std::string_view text);
/// "A.B.C.D/len"; host bits are kept.
[[nodiscard]] Result<Net4> parse_net4(std::string_view text);
[[nodiscard]] Result<Net6> parse_net6(std::string_view text);
/// Either family, told by the text.
[[nodiscard]] Result<Ip> parse_ip(std::string_view text);
[[nodiscard]] Result<Net> parse_net(std::string_view text);

[[nodiscard]] bool contains(const Net4 &net, const Ip4 &addr);
[[nodiscard]] bool contains(const Net6 &net, const Ip6 &addr);
[[nodiscard]] bool contains(const Net &net, const Ip &addr); ///< false between families
[[nodiscard]] bool overlaps(const Net4 &a, const Net4 &b);
[[nodiscard]] bool overlaps(const Net6 &a, const Net6 &b);
[[nodiscard]] bool overlaps(const Net &a, const Net &b); ///< false between families

/// Address arithmetic; wraps at the end of the address space.
[[nodiscard]] inline Ip4 operator+(const Ip4 &addr, std::uint32_t n) { return Ip4(addr.to_uint() + n); }
[[nodiscard]] Ip6 operator+(const Ip6 &addr, std::uint32_t n);
[[nodiscard]] Ip operator+(const Ip &addr, std::uint32_t n);

/// A 48-bit Ethernet address in wire order.
struct Mac {
    std::array<std::uint8_t, 6> bytes{};

    auto operator<=>(const Mac &) const = default;
    [[nodiscard]] std::string to_string() const; ///< "aa:bb:cc:dd:ee:ff"
};

/// Six colon-separated hex octets, either case.
[[nodiscard]] Result<Mac> parse_mac(std::string_view text);

} // namespace weft

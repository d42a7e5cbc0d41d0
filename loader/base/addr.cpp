// SPDX-License-Identifier: Apache-2.0
#include "base/addr.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace weft {
namespace {

std::string quoted(std::string_view text) { return fmt::format("\"{}\"", text); }

/// A decimal prefix length without sign, space or leading zero.
Result<unsigned> parse_prefix_len(std::string_view text, unsigned max) {
    unsigned len = 0;
    const auto [end, err] = std::from_chars(text.data(), text.data() + text.size(), len);
    const bool leading_zero = text.size() > 1 && text.front() == '0';
    if (err != std::errc{} || end != text.data() + text.size() || leading_zero || len > max)
        return fail(fmt::format("{} is not a prefix length of 0 to {}", quoted(text), max));
    return len;
}

/// Splits "addr/len" and builds a network of the type that make(addr, len) returns.
template <class Net, class ParseAddr>
Result<Net> parse_prefix(std::string_view text, unsigned max_len, ParseAddr parse_addr) {
    const auto slash = text.find('/');
    if (slash == std::string_view::npos) return fail(fmt::format("{} is not a CIDR: no prefix length", quoted(text)));
    auto addr = parse_addr(text.substr(0, slash));
    if (!addr) return fail_in(std::move(addr), quoted(text));
    auto len = parse_prefix_len(text.substr(slash + 1), max_len);
    if (!len) return fail_in(std::move(len), quoted(text));
    return Net(*addr, static_cast<unsigned short>(*len));
}

template <class Net> bool overlap(const Net &a, const Net &b) {
    return a.prefix_length() <= b.prefix_length() ? contains(a, b.address()) : contains(b, a.address());
}

} // namespace

Result<Ip4> parse_ip4(std::string_view text) {
    asio::error_code err;
    auto addr = asio::ip::make_address_v4(std::string(text), err);
    if (err) return fail(fmt::format("{} is not an IPv4 address", quoted(text)));
    return addr;
}

Result<Ip6> parse_ip6(std::string_view text) {
    asio::error_code err;
    auto addr = asio::ip::make_address_v6(std::string(text), err);
    // "::1%lo" reads as scope 0: Asio looks for interfaces of link-local addresses only.
    if (err || text.contains('%')) return fail(fmt::format("{} is not an IPv6 address", quoted(text)));
    return addr;
}

Result<Net4> parse_net4(std::string_view text) { return parse_prefix<Net4>(text, 32, parse_ip4); }
Result<Net6> parse_net6(std::string_view text) { return parse_prefix<Net6>(text, 128, parse_ip6); }

Result<Ip> parse_ip(std::string_view text) {
    auto v4 = parse_ip4(text);
    if (v4) return *v4;
    auto v6 = parse_ip6(text);
    if (v6) return *v6;
    return fail(fmt::format("{} is not an IP address", quoted(text)));
}

Result<Net> parse_net(std::string_view text) {
    if (text.contains(':')) return parse_net6(text);
    return parse_net4(text);
}

Net::Net(const Ip &address, unsigned short length)
    : Net(address.is_v4() ? Net(Net4(address.to_v4(), length)) : Net(Net6(address.to_v6(), length))) {}

Net Net::canonical() const { return is_v4() ? Net(v4().canonical()) : Net(v6().canonical()); }

std::string Net::to_string() const { return fmt::format("{}/{}", address_.to_string(), length_); }

std::weak_ordering Net::operator<=>(const Net &other) const {
    if (address_ != other.address_)
        return address_ < other.address_ ? std::weak_ordering::less : std::weak_ordering::greater;
    return length_ <=> other.length_;
}

Net host_net(const Ip &addr) { return addr.is_v4() ? Net(Net4(addr.to_v4(), 32)) : Net(Net6(addr.to_v6(), 128)); }

bool contains(const Net4 &net, const Ip4 &addr) {
    return Net4(addr, net.prefix_length()).canonical() == net.canonical();
}
bool contains(const Net6 &net, const Ip6 &addr) {
    return Net6(addr, net.prefix_length()).canonical() == net.canonical();
}
bool contains(const Net &net, const Ip &addr) {
    if (net.is_v4() != addr.is_v4()) return false;
    return net.is_v4() ? contains(net.v4(), addr.to_v4()) : contains(net.v6(), addr.to_v6());
}
bool overlaps(const Net4 &a, const Net4 &b) { return overlap(a, b); }
bool overlaps(const Net6 &a, const Net6 &b) { return overlap(a, b); }
bool overlaps(const Net &a, const Net &b) { return overlap(a, b); }

Ip6 operator+(const Ip6 &addr, std::uint32_t n) {
    auto octets = addr.to_bytes();
    std::uint64_t carry = n;
    for (auto octet = octets.rbegin(); octet != octets.rend() && carry != 0; ++octet, carry >>= 8) {
        carry += *octet;
        *octet = static_cast<std::uint8_t>(carry);
    }
    return Ip6(octets);
}

Ip operator+(const Ip &addr, std::uint32_t n) { return addr.is_v4() ? Ip(addr.to_v4() + n) : Ip(addr.to_v6() + n); }

std::string Mac::to_string() const { return fmt::format("{:02x}", fmt::join(bytes, ":")); }

Result<Mac> parse_mac(std::string_view text) {
    constexpr std::size_t kTextLen = 17;
    Mac mac;
    bool ok = text.size() == kTextLen;
    for (std::size_t i = 0; ok && i < mac.bytes.size(); ++i) {
        const char *octet = text.data() + 3 * i;
        const auto [end, err] = std::from_chars(octet, octet + 2, mac.bytes[i], 16);
        ok = err == std::errc{} && end == octet + 2 && (i == 5 || octet[2] == ':');
    }
    if (!ok) return fail(fmt::format("{} is not a MAC address (six hex octets, \"aa:bb:cc:dd:ee:ff\")", quoted(text)));
    return mac;
}

} // namespace weft

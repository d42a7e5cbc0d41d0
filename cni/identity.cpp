// SPDX-License-Identifier: Apache-2.0
#include "cni/identity.hpp"

#include <fmt/format.h>

namespace weft::cni {
namespace {

constexpr std::string_view kPrefix = "weft";
constexpr std::size_t kHashDigits = 11;

std::uint64_t fnv1a(std::string_view text) {
    std::uint64_t hash = 0xcbf29ce484222325ULL;
    for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    return hash;
}

Mac mac_of(std::uint8_t first, const Ip &address) {
    const Ip4 ip = address.is_v4() ? address.to_v4() : Ip4(static_cast<std::uint32_t>(fnv1a(address.to_string())));
    const auto octets = ip.to_bytes();
    return {{first, 0x77, octets[0], octets[1], octets[2], octets[3]}};
}

} // namespace

std::string host_ifname(const Attachment &attachment) {
    // '/' is in neither part, so no two pairs hash the same text.
    const auto hash = fnv1a(attachment.container_id + "/" + attachment.ifname);
    return fmt::format("{}{:011x}", kPrefix, hash >> (64 - 4 * kHashDigits));
}

std::string alias_of(std::string_view network, const Attachment &attachment) {
    return fmt::format("{}:{}:{}:{}", kPrefix, network, attachment.container_id, attachment.ifname);
}

std::optional<Identity> parse_alias(std::string_view alias) {
    // None of the parts may hold a ':', by their grammars.
    std::string_view parts[4];
    for (int i = 0; i < 3; ++i) {
        const auto colon = alias.find(':');
        if (colon == std::string_view::npos) return std::nullopt;
        parts[i] = alias.substr(0, colon);
        alias.remove_prefix(colon + 1);
    }
    parts[3] = alias;
    if (parts[0] != kPrefix || parts[1].empty() || parts[2].empty() || parts[3].empty()) return std::nullopt;
    return Identity{std::string(parts[1]), {std::string(parts[2]), std::string(parts[3])}};
}

bool is_host_end(const net::Link &link) {
    if (!link.paired() || !link.name.starts_with(kPrefix)) return false;
    if (link.alias.empty()) return link.name.size() == kPrefix.size() + kHashDigits;
    return parse_alias(link.alias).has_value();
}

bool is_host_end_of(const net::Link &link, std::string_view network, const Attachment &attachment) {
    if (!is_host_end(link) || link.name != host_ifname(attachment)) return false;
    return link.alias.empty() || link.alias == alias_of(network, attachment);
}

Mac pod_mac(const Ip &address) { return mac_of(0x0a, address); }
Mac host_mac(const Ip &address) { return mac_of(0x0e, address); }

Ip6 link_local(const Mac &mac) {
    const auto &m = mac.bytes;
    return Ip6(
        {0xfe, 0x80, 0, 0, 0, 0, 0, 0, static_cast<std::uint8_t>(m[0] ^ 2U), m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]});
}

} // namespace weft::cni

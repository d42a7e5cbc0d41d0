// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <expected>

#include "model.hpp"

/// How the model reads a packet, and what the world knows of an address.
namespace weft::prog_run::model {

inline constexpr std::size_t kEth = 14;
inline constexpr unsigned kTcp = 6, kUdp = 17, kIcmp = 1, kIcmp6 = 58, kIpip = 4;
inline constexpr unsigned kIpv4 = 0x0800, kIpv6 = 0x86dd, kArp = 0x0806;

/// Bytes from some offset on; reading behind the end is the model's own fault and throws.
struct View {
    const Bytes &bytes;
    std::size_t at = 0;
    std::size_t end = bytes.size(); ///< by the word of a header in front

    [[nodiscard]] std::size_t left() const { return at < end ? end - at : 0; }
    [[nodiscard]] unsigned u8(std::size_t offset) const { return bytes.at(at + offset); }
    [[nodiscard]] unsigned u16(std::size_t offset) const { return u8(offset) << 8 | u8(offset + 1); }
    [[nodiscard]] std::uint32_t u32(std::size_t offset) const { return u16(offset) << 16 | u16(offset + 2); }
    [[nodiscard]] Ip ip4(std::size_t offset) const { return Ip4(u32(offset)); }
    [[nodiscard]] Ip ip6(std::size_t offset) const {
        Ip6::bytes_type octets;
        for (std::size_t i = 0; i < octets.size(); ++i) octets[i] = bytes.at(at + offset + i);
        return Ip6(octets);
    }
    [[nodiscard]] Mac mac(std::size_t offset) const {
        Mac mac{};
        for (std::size_t i = 0; i < mac.bytes.size(); ++i) mac.bytes[i] = bytes.at(at + offset + i);
        return mac;
    }
    [[nodiscard]] View from(std::size_t offset) const { return {bytes, at + offset, end}; }
};

struct Packet {
    unsigned ethertype = 0;
    std::size_t at = 0;  ///< of its IP header in the frame
    std::size_t end = 0; ///< by its own word
    Ip source, destination;
    unsigned protocol = 0, tos = 0, hops = 0;
    weft_reason odd = WEFT_R_NONE;
    [[nodiscard]] std::size_t header() const { return ethertype == kIpv4 ? 20 : 40; }
};

/// Where the transport header is, past options and at most six extension headers, and its protocol.
struct Carried {
    std::size_t at = 0;
    unsigned protocol = 0;
};

[[nodiscard]] unsigned folded(unsigned long sum);
/// RFC 791: the one's complement sum of a header with its checksum is all ones.
[[nodiscard]] bool is_summed_up(const View &ip4);
[[nodiscard]] bool is_ip(unsigned ethertype);
[[nodiscard]] bool is_mapped(const Ip &address);
[[nodiscard]] bool in_any(const std::vector<Net> &nets, const Ip &address);
/// RFC 6890's addresses that nothing comes from or goes to through a network, multicast with them, and what is reserved.
[[nodiscard]] bool is_martian(const Ip &address);
[[nodiscard]] bool is_group(const Ip &address);
/// The lease with the longest prefix around an address.
[[nodiscard]] const weft_lease *lease_of(const World &world, const Ip &address);
[[nodiscard]] const weft_endpoint *endpoint_of(const World &world, const Ip &address);
[[nodiscard]] bool wants_stack(const weft_endpoint &pod);
/// RFC 8200, section 4; 135: RFC 6275.
[[nodiscard]] weft_reason extension(unsigned next);
/// How long the packet at `ip` says it is. Nothing from a wire is longer than the field can say; the kernel's own packets are.
[[nodiscard]] std::size_t said_length(const View &ip, bool v4);
[[nodiscard]] std::expected<Packet, weft_reason> ip_packet(const View &ip, unsigned ethertype);
/// The source of the flow that decides about a packet, as seen by its receiver; or why nobody can say.
[[nodiscard]] std::expected<Ip, weft_reason> flow_source(const Bytes &frame, const Packet &p);
/// Errors: POD_HEADERS; NONE: a later fragment, which has none.
[[nodiscard]] std::expected<Carried, weft_reason> carried_by(const Bytes &frame, const Packet &p);

} // namespace weft::prog_run::model

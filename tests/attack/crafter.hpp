// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <string_view>
#include <vector>

#include "base/addr.hpp"

namespace weft::attack {

using Bytes = std::vector<std::uint8_t>;
using weft::operator+; // of addresses, beside that of octets

/// A node as others on the segment see it, and one pod of it.
struct Party {
    Mac mac;         ///< of its uplink
    Ip node, node6;  ///< of its uplink
    Mac vtep, vtep6; ///< of its leases: where the inner frame goes
    Ip base, base6;  ///< its own addresses in the pod network
    Ip pod, pod6;

    [[nodiscard]] const Ip &pod_of(bool v4) const { return v4 ? pod : pod6; }
    [[nodiscard]] const Ip &node_of(bool v4) const { return v4 ? node : node6; }
};

/// Who is who where packets are forged.
struct Scene {
    Party victim, peer, third; ///< nodes with leases; packets go to the victim and pretend to be the peer's
    Ip neighbour, neighbour6;  ///< a second pod of the victim
    Mac stranger_mac;          ///< a host on the segment that holds no lease
    Ip stranger, stranger6;
    Ip world;                 ///< a host on the segment that is nobody's
    Mac pod_mac, gateway_mac; ///< of the victim's pod, and of the node where it is plugged in: for what that pod forges
    std::uint16_t port = 8472;
    std::uint32_t vni = 1;

    /// Addresses for documentation, to look at what the generator makes.
    [[nodiscard]] static Scene example();
};

/// What a packet is found by, wherever it appears and in whatever is left of it: 14 octets at the start of its payload.
struct Mark {
    std::uint16_t kind = 0;
    std::uint32_t number = 0;

    auto operator<=>(const Mark &) const = default;
    [[nodiscard]] Bytes bytes() const;
    /// The first mark at or behind `from`.
    [[nodiscard]] static std::optional<Mark> find(const std::uint8_t *data, std::size_t size, std::size_t from = 0);
    /// The mark at exactly `at`.
    [[nodiscard]] static std::optional<Mark> at(const std::uint8_t *data, std::size_t size, std::size_t at);
    static constexpr std::size_t kSize = 14;
};

/// What an IP packet carries, with a mark in it. any: one of udp, tcp (which opens a connection) and echo; reset: TCP that
/// nobody answers.
enum class Carry { any, udp, tcp, echo, reset };

/// The outer Ethernet and IP addresses of a packet.
struct Way {
    Mac from_mac, to_mac;
    Ip from, to;
};

/// What differs from a VXLAN header of a node.
struct VxlanHeader {
    std::uint8_t flags = 0x08;
    std::uint8_t reserved[3] = {0, 0, 0};
    std::uint32_t vni = 1;
    std::uint8_t reserved_last = 0;
};

/// Builds packets that carry a mark. What a caller does not name is drawn at random: ports, identifications, lengths, contents.
///
/// Contract: the same scene, kind, seed and order of calls make the same bytes.
class Crafter {
public:
    Crafter(const Scene &scene, std::uint16_t kind, std::uint64_t seed);

    /// From now on the packet's number is this.
    void start(std::uint32_t number) { mark_.number = number; }

    [[nodiscard]] const Scene &scene() const { return scene_; }
    [[nodiscard]] std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_() % n); }
    [[nodiscard]] std::uint16_t word() { return static_cast<std::uint16_t>(below(0x10000)); }
    [[nodiscard]] Bytes noise(std::size_t size);
    /// The mark and up to `most` random octets.
    [[nodiscard]] Bytes payload(std::size_t most = 64);
    /// An address in `net` at random, neither its first nor its last.
    [[nodiscard]] Ip within(std::string_view net);
    /// A MAC of nobody's: locally administered, unicast.
    [[nodiscard]] Mac nobody();

    /// An IP packet of the addresses' family.
    [[nodiscard]] Bytes packet(const Ip &from, const Ip &to, Carry carry = Carry::any);
    [[nodiscard]] Bytes udp_packet(const Ip &from, const Ip &to, std::uint16_t from_port, std::uint16_t to_port,
                                   const Bytes &data);
    /// An IP header of the addresses' family before `data`.
    [[nodiscard]] Bytes ip_packet(const Ip &from, const Ip &to, std::uint8_t protocol, const Bytes &data);
    [[nodiscard]] static Bytes ethernet(const Mac &to, const Mac &from, std::uint16_t type, const Bytes &data);
    /// ethernet(), its type told by the first octet of an IP packet.
    [[nodiscard]] static Bytes ethernet_ip(const Mac &to, const Mac &from, const Bytes &ip);

    /// A frame of the victim's pod to its node.
    [[nodiscard]] Bytes from_pod(const Bytes &ip) const;

    /// From the stranger itself; from the stranger with the peer's IP address; with the peer's IP address and MAC.
    [[nodiscard]] Way stranger(bool v4 = true) const;
    [[nodiscard]] Way misplaced(bool v4 = true) const;
    [[nodiscard]] Way forged(bool v4 = true) const;

    /// The inner frame of what the peer sends to the victim: `ip` between their VtepMACs.
    [[nodiscard]] Bytes inner(const Bytes &ip) const;
    /// inner() of a packet from a pod of the peer's to one of the victim's.
    [[nodiscard]] Bytes inner_pods(bool v4 = true, Carry carry = Carry::any);
    [[nodiscard]] static Bytes vxlan(const Bytes &frame, const VxlanHeader &header = {});
    /// A whole frame of the segment: VXLAN to the tunnel's port. Over IPv4 without a UDP checksum, as nodes send it.
    [[nodiscard]] Bytes tunnel(const Way &way, const Bytes &frame, const VxlanHeader &header = {});
    [[nodiscard]] Bytes tunnel_udp(const Way &way, std::uint16_t to_port, const Bytes &data);

private:
    Scene scene_;
    Mark mark_;
    std::mt19937_64 random_;
};

/// Octets of a header from the wire, for what no library builds wrongly.
void put16(Bytes &bytes, std::size_t at, std::uint16_t value);
[[nodiscard]] std::uint16_t get16(const Bytes &bytes, std::size_t at);
/// Sums up the IPv4 header at `at` again, as long as its length field says.
void sum_up_ip4(Bytes &bytes, std::size_t at);
[[nodiscard]] Bytes operator+(Bytes first, const Bytes &second);
/// Inserts IPv4 options (a multiple of four octets) into the header at `at`, and mends its lengths and checksum.
[[nodiscard]] Bytes with_ip4_options(Bytes frame, std::size_t at, const Bytes &options);

/// Where things are in tunnel() over IPv4.
enum : std::size_t {
    kEth = 14,
    kOuterUdp = kEth + 20,
    kVxlan = kOuterUdp + 8,
    kInnerEth = kVxlan + 8,
    kInnerIp = kInnerEth + 14,
    kInnerL4 = kInnerIp + 20,
};

} // namespace weft::attack

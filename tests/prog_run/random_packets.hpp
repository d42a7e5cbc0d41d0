// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <optional>
#include <random>
#include <vector>

#include "base/addr.hpp"

namespace weft::prog_run {

/// Packets that are nearly right: built of addresses, ports and lengths that mean something to the node under test, each
/// now and then replaced by one that does not, and some of them then changed anywhere. One seed, one sequence.
class RandomPackets {
public:
    using Bytes = std::vector<std::uint8_t>;
    using Addresses = std::vector<Ip>; ///< of both families

    /// Who is who. A packet has addresses of these roles but for one in eight, which has any.
    struct Cast {
        Addresses nodes;                 ///< the node under test
        Addresses peers;                 ///< outer addresses of other nodes
        Addresses pods;                  ///< on the node under test
        Addresses far;                   ///< pods of other nodes
        Addresses other;                 ///< everything else that means something, or nothing
        Mac vtep_mac, pod_mac, link_mac; ///< of the node, of `pods`, of the wire's other end
        std::vector<Mac> macs;
    };

    RandomPackets(std::uint64_t seed, Cast cast);

    /// What a pod or the host sends: Ethernet and an IP packet, or ARP.
    [[nodiscard]] Bytes plain();
    /// What comes from another node, in one of the encapsulations, sometimes in two or none.
    [[nodiscard]] Bytes received();
    /// What the kernel has taken out of such a tunnel, and whose it says that it was, where it says something.
    struct Sender {
        Ip address;
        std::uint32_t vni;
    };
    [[nodiscard]] Bytes decapsulated();
    [[nodiscard]] std::optional<Sender> sender();

private:
    struct Flow {
        bool v4;
        Ip from, to;
    };
    [[nodiscard]] std::uint32_t below(std::uint32_t n) { return static_cast<std::uint32_t>(random_()) % n; }
    [[nodiscard]] bool once_in(std::uint32_t n) { return below(n) == 0; }
    template <class T> [[nodiscard]] const T &one_of(const std::vector<T> &choice) {
        return choice[below(static_cast<std::uint32_t>(choice.size()))];
    }
    [[nodiscard]] Ip address(bool v4, const Addresses &role);
    [[nodiscard]] Flow flow(const Addresses &from, const Addresses &to);
    [[nodiscard]] Bytes noise(std::size_t length);
    [[nodiscard]] Bytes ip(const Flow &flow, unsigned protocol, const Bytes &payload);
    [[nodiscard]] Bytes transport(const Flow &flow, unsigned protocol);
    [[nodiscard]] Bytes udp(unsigned port, const Bytes &payload);
    [[nodiscard]] Bytes neighbour_discovery();
    [[nodiscard]] Bytes arp(const Mac &sender);
    [[nodiscard]] Bytes packet(const Flow &flow);
    /// @param source usually.
    [[nodiscard]] Bytes ethernet(bool v4, const Bytes &payload, const Mac &destination, const Mac &source);
    [[nodiscard]] Bytes encapsulated(const Bytes &inner, bool inner_v4, const Flow &outer);
    [[nodiscard]] Bytes mutated(Bytes frame);

    std::mt19937_64 random_;
    const Cast cast_;
    Addresses anybody_;
};

} // namespace weft::prog_run

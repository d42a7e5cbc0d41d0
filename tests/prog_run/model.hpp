// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "abi.hpp"
#include "base/addr.hpp"
#include "in_front.hpp"

/// What the programs should do, told a second time: written from the rules (docs/packet-paths.md, the RFCs), without the
/// programs' code, their headers or their tricks. Where the two differ, one of them is wrong.
namespace weft::prog_run::model {

using Bytes = std::vector<std::uint8_t>;

/// What the maps and constants of the node under test say.
struct World {
    std::vector<Net> networks, own;
    std::set<Ip> nodes; ///< this node's outer addresses
    Mac vtep_mac;
    std::map<Net, weft_lease> leases;
    std::set<Ip> peers; ///< nodes that hold a lease
    std::map<Ip, weft_endpoint> endpoints;
    std::map<unsigned, std::vector<Net>> allowed; ///< by interface: sources beside the pod's own
    bool pops_other_family = true;
};

/// Fields that depend on more than the packet are zero in `packet` (normalised()).
struct Expected {
    weft_reason reason = WEFT_R_NONE;
    Bytes packet;
    weft_encap pushed = WEFT_ENCAP_NONE; ///< the outer headers that were put in front
};

/// The pods of `world` have the MACs that they say they have.
/// @param ifindex of the interface that the packet came in by. @param frame from the Ethernet header on, at least that.
[[nodiscard]] Expected from_pod(World &world, unsigned ifindex, const Bytes &frame);
[[nodiscard]] Expected from_host(const World &world, const Bytes &frame);
[[nodiscard]] Expected from_wire(const World &world, const Bytes &frame);
[[nodiscard]] Expected xdp_wire(const World &world, const Bytes &frame);

/// What from_wire leaves on packets that it has taken off itself.
inline constexpr std::uint32_t kReceivedMark = 0x77656674;
[[nodiscard]] Expected from_tunnel(const World &world, const std::optional<TunnelKey> &key, std::uint32_t mark,
                                   const Bytes &frame);

/// Takes out of a pushed packet what counters and hashes decide: identification, flow label, source port, and the checksum over
/// them. @return false where one of them is not as it may be
[[nodiscard]] bool normalise(Bytes &packet, weft_encap pushed);

} // namespace weft::prog_run::model

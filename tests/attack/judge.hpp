// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "crafter.hpp"
#include "sockets.hpp"

namespace weft::attack {

/// What arrived between two looks.
struct Sightings {
    std::set<Mark> crafted;                      ///< each crafted packet that was seen anywhere, once
    std::map<std::string, std::uint64_t> places; ///< how many were seen where
    std::set<std::uint32_t> honest;              ///< numbers of the honest packets that were seen
    std::uint64_t unmarked = 0;                  ///< IP packets in pods that nobody there has asked for
    std::string first_unmarked;                  ///< the first of them, in hexadecimal

    [[nodiscard]] bool nothing() const { return crafted.empty() && unmarked == 0; }
    [[nodiscard]] std::string to_string() const;
};

/// Watches pods and hosts for marks.
///
/// In a pod every frame counts that carries a mark anywhere. On a host counts what a socket would be given: a mark where the
/// transport header ends, so that a tunnel packet that only reaches the tunnel's own port does not count, and neighbour
/// discovery with a mark anywhere.
/// Contract: honest packets that go every way are sent behind crafted ones and waited for, from the same socket and the same
/// CPU: when they are there, nothing crafted is under way any more. A judge that would not see an arrival does not see them
/// either.
class Judge {
public:
    /// Pods have no names: they are found by their place.
    Status watch_pod(const std::string &place, const test::Netns &ns);
    Status watch_host(const std::string &place, const test::Netns &ns);

    /// What has come since the last look, once every honest packet of these numbers has. An error names those that are missing.
    [[nodiscard]] Result<Sightings> look(const std::set<std::uint32_t> &honest);

private:
    struct Place {
        std::string name;
        Ears ears;
    };
    std::vector<Place> places_;
};

} // namespace weft::attack

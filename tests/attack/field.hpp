// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>
#include <sched.h>

#include <memory>
#include <string>

#include "cluster_fixture.hpp"
#include "honest.hpp"
#include "judge.hpp"
#include "sockets.hpp"

namespace weft::attack {

/// Two weft nodes, a node as flannel sets it up, a host that is nobody's, and a stranger on their segment who holds no lease:
/// either of the first and the third can be attacked, and everybody is watched.
class Field : public testing::TestWithParam<test::Setup> {
protected:
    void SetUp() override;
    void TearDown() override;

    /// With the first weft node, or flannel's node, as the victim; the second weft node is whom crafted packets claim to be
    /// from.
    [[nodiscard]] Result<Scene> scene_against(bool flannel);

    /// Sends honest packets both ways between all parties of the scene, and to the world: every judge must see each.
    void expect_judges_see(const Scene &scene);

    /// Sends `packets` of a kind, whose marks have this number, and the honest ones behind them. @return what was seen since
    /// the last look
    [[nodiscard]] Result<Sightings> attack(const FrameSender &from, const Scene &scene, const Kind &kind,
                                           std::uint16_t number, std::uint32_t packets, const Honest &honest);

    /// The next honest packets from the peer to the victim.
    [[nodiscard]] Honest next_honest(const Scene &scene);

    /// Fails the test unless the victim has counted each of `packets` of a kind where the kind says, and has dropped nothing
    /// else. With the programs in XDP what they drop on the uplink, they drop there.
    void expect_counted(std::string_view counted, std::uint32_t packets, const test::CounterReading &before,
                        const test::CounterReading &after) const;

    [[nodiscard]] bool tunnelled() const { return GetParam().has_outer_headers(); }

    std::unique_ptr<test::Cluster> cluster_;
    test::WeftNode *victim_ = nullptr, *peer_ = nullptr;
    test::FlannelNode *flannel_ = nullptr;
    test::Pod *victim_pod_ = nullptr, *neighbour_ = nullptr, *peer_pod_ = nullptr;
    test::Pod *flannel_pod_ = nullptr, *flannel_neighbour_ = nullptr;
    std::optional<test::Netns> stranger_;
    std::optional<FrameSender> sender_;
    Judge judge_;
    std::uint32_t honest_sent_ = 0;

private:
    [[nodiscard]] Result<Party> party(const test::Netns &ns, std::size_t number, const test::Pod &pod) const;
    /// Whether the kernel makes outer headers in the programs' place.
    [[nodiscard]] bool lacks_push() const;
    void plug_stranger();
    void watch();

    cpu_set_t cpus_{}; ///< that this program may use
};

} // namespace weft::attack

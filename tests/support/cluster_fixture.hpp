// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <ostream>
#include <string>
#include <tuple>

#include "cluster.hpp"
#include "needs.hpp"

namespace weft::test {

/// One way to run a cluster.
struct Setup {
    std::string datapath; ///< --datapath
    WireMode wire;
};

/// For the names that ctest lists.
inline void PrintTo(const Setup &setup, std::ostream *out) { *out << setup.datapath << ' ' << name_of(setup.wire); }

inline std::string setup_name(const testing::TestParamInfo<Setup> &setup) {
    return setup.param.datapath + "_" + std::string(name_of(setup.param.wire));
}

/// Where a NIC has every offload, and where every frame is what it would be on a cable: for each place of the pop.
inline const auto kEverySetup = testing::Values(Setup{"tc", WireMode::offload}, Setup{"tc", WireMode::bare},
                                                Setup{"xdp", WireMode::offload}, Setup{"xdp", WireMode::bare});
/// For what is looked at on the wire.
inline const auto kBareSetups = testing::Values(Setup{"tc", WireMode::bare}, Setup{"xdp", WireMode::bare});

/// What the packet path of this build needs to be tried at all.
inline std::optional<std::string> requires_cluster() {
    for (auto reason :
         {requires_netns(), requires_bpffs(), requires_binary("weftd"), requires_binary("weft"),
          requires_binary("weftctl"),
          requires_tools({"etcd", "etcdctl", "ethtool", "tcpdump", "ping", "bridge", "iptables-restore"})}) {
        if (reason) return reason;
    }
    return std::nullopt;
}

/// A cluster without nodes.
class ClusterTest : public testing::TestWithParam<Setup> {
protected:
    void SetUp() override {
        WEFT_REQUIRES(requires_cluster());
        WEFT_ASSERT_ASSIGN(cluster_, Cluster::create({.wire = GetParam().wire, .datapath = GetParam().datapath}));
    }

    /// The program that pops the outer header first in this setup.
    [[nodiscard]] std::string pop_counter() const {
        return GetParam().datapath == "xdp" ? "xdp_wire/xdp_popped" : "from_wire/decap_to_pod";
    }

    std::unique_ptr<Cluster> cluster_;
};

/// Fails the test if a program of the node has dropped a packet.
inline void expect_no_drops(const WeftNode &node) {
    WEFT_ASSERT_ASSIGN(const auto counters, node.counters());
    EXPECT_TRUE(counters.dropped.empty()) << node.name() << " dropped: " << to_string(counters.dropped);
}

} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <ostream>
#include <string>
#include <tuple>
#include <vector>

#include <fmt/format.h>

#include "cluster.hpp"
#include "needs.hpp"

namespace weft::test {

/// One way to run a cluster.
struct Setup {
    std::string datapath; ///< --datapath
    WireMode wire;
    std::string backend = "vxlan"; ///< or "host-gw", "udp", "ipip"; "direct": vxlan with DirectRouting

    [[nodiscard]] std::string net_conf() const {
        return fmt::format(R"({{"Network": "10.244.0.0/16", "Backend": {{"Type": "{}"{}}}}})",
                           backend == "direct" ? "vxlan" : backend,
                           backend == "direct" ? R"(, "DirectRouting": true)" : "");
    }
    /// Of pods, on an uplink of 1500.
    [[nodiscard]] unsigned mtu() const {
        return 1500 - (backend == "host-gw" ? 0 : backend == "udp" ? 28 : backend == "ipip" ? 20 : 50);
    }
    [[nodiscard]] bool has_outer_headers() const { return backend != "host-gw" && backend != "direct"; }
};

/// For the names that ctest lists.
inline void PrintTo(const Setup &setup, std::ostream *out) {
    *out << setup.datapath << ' ' << name_of(setup.wire) << ' ' << setup.backend;
}

inline std::string setup_name(const testing::TestParamInfo<Setup> &setup) {
    std::string name = setup.param.datapath + "_" + std::string(name_of(setup.param.wire));
    if (setup.param.backend == "vxlan") return name;
    std::string backend = setup.param.backend; // a test's name has no dashes
    std::erase(backend, '-');
    return name + "_" + backend;
}

/// Where a NIC has every offload, and where every frame is what it would be on a cable: for each place of the pop.
inline const auto kEverySetup = testing::Values(Setup{"tc", WireMode::offload}, Setup{"tc", WireMode::bare},
                                                Setup{"xdp", WireMode::offload}, Setup{"xdp", WireMode::bare});
/// For what is looked at on the wire.
inline const auto kBareSetups = testing::Values(Setup{"tc", WireMode::bare}, Setup{"xdp", WireMode::bare});

/// Each of the backends in each of the setups.
inline std::vector<Setup> with_backends(const std::vector<std::string> &backends, const std::vector<Setup> &setups) {
    std::vector<Setup> all;
    for (const auto &backend : backends) {
        for (auto setup : setups) {
            setup.backend = backend;
            all.push_back(std::move(setup));
        }
    }
    return all;
}
/// Every other way to reach a node than vxlan.
inline const auto kEveryBackend = testing::ValuesIn(
    with_backends({"host-gw", "direct", "udp", "ipip"}, {{"tc", WireMode::offload}, {"xdp", WireMode::bare}}));

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
        WEFT_ASSERT_ASSIGN(cluster_, Cluster::create({.wire = GetParam().wire,
                                                      .datapath = GetParam().datapath,
                                                      .net_conf = GetParam().net_conf()}));
    }

    /// The program that pops the outer header first in this setup.
    [[nodiscard]] std::string pop_counter() const {
        return GetParam().datapath == "xdp" && GetParam().has_outer_headers() ? "xdp_wire/xdp_popped"
                                                                              : "from_wire/decap_to_pod";
    }

    std::unique_ptr<Cluster> cluster_;
};

/// Fails the test if a program of the node has dropped a packet.
inline void expect_no_drops(const WeftNode &node) {
    WEFT_ASSERT_ASSIGN(const auto counters, node.counters());
    EXPECT_TRUE(counters.dropped.empty()) << node.name() << " dropped: " << to_string(counters.dropped);
}

} // namespace weft::test

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
    Families pods = Families::v4;
    Families underlay = Families::v4;

    [[nodiscard]] std::string net_conf() const {
        std::string networks;
        if (has_v4(pods)) networks += R"("Network": "10.244.0.0/16", )";
        if (!has_v4(pods)) networks += R"("EnableIPv4": false, )";
        if (has_v6(pods)) networks += R"("EnableIPv6": true, "IPv6Network": "fd00:244::/48", )";
        return fmt::format(R"({{{}"Backend": {{"Type": "{}"{}}}}})", networks, backend == "direct" ? "vxlan" : backend,
                           backend == "direct" ? R"(, "DirectRouting": true)" : "");
    }
    /// Of pods, on an uplink of 1500: room for the longest outer header that one of their families may get.
    [[nodiscard]] unsigned mtu() const {
        const bool outer6 = !has_v4(underlay) || (has_v6(underlay) && has_v6(pods));
        return 1500 - (backend == "host-gw" ? 0 : backend == "udp" ? 28 : backend == "ipip" ? 20 : outer6 ? 70 : 50);
    }
    [[nodiscard]] bool has_outer_headers() const { return backend != "host-gw" && backend != "direct"; }
};

/// For the names that ctest lists.
inline void PrintTo(const Setup &setup, std::ostream *out) {
    *out << setup.datapath << ' ' << name_of(setup.wire) << ' ' << setup.backend << ' ' << setup.pods << " over "
         << setup.underlay;
}

inline std::string setup_name(const testing::TestParamInfo<Setup> &setup) {
    std::string name = setup.param.datapath + "_" + std::string(name_of(setup.param.wire));
    std::string backend = setup.param.backend; // a test's name has no dashes
    std::erase(backend, '-');
    if (has_v6(setup.param.pods))
        return fmt::format("{}_{}_{}_over_{}", name, backend, to_string(setup.param.pods),
                           to_string(setup.param.underlay));
    return backend == "vxlan" ? name : name + "_" + backend;
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

/// Every way to carry IPv6: beside IPv4 and alone, over either underlay.
inline const auto kEveryFamily =
    testing::Values(Setup{"tc", WireMode::offload, "vxlan", Families::dual, Families::dual},
                    Setup{"xdp", WireMode::bare, "vxlan", Families::dual, Families::dual},
                    Setup{"tc", WireMode::bare, "vxlan", Families::dual, Families::v4},
                    Setup{"xdp", WireMode::offload, "vxlan", Families::dual, Families::v4},
                    Setup{"tc", WireMode::offload, "vxlan", Families::v6, Families::v6},
                    Setup{"xdp", WireMode::bare, "vxlan", Families::v6, Families::v6},
                    Setup{"tc", WireMode::offload, "host-gw", Families::dual, Families::dual},
                    Setup{"xdp", WireMode::bare, "host-gw", Families::v6, Families::v6});

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
inline Result<std::unique_ptr<Cluster>> create_cluster(const Setup &setup) {
    return Cluster::create({.wire = setup.wire,
                            .datapath = setup.datapath,
                            .net_conf = setup.net_conf(),
                            .pods = setup.pods,
                            .underlay = setup.underlay});
}

/// The program that pops the outer header first in a setup.
inline std::string pop_counter(const Setup &setup) {
    return setup.datapath == "xdp" && setup.has_outer_headers() ? "xdp_wire/xdp_popped" : "from_wire/decap_to_pod";
}

/// One for each case.
class ClusterTest : public testing::TestWithParam<Setup> {
protected:
    void SetUp() override {
        WEFT_REQUIRES(requires_cluster());
        WEFT_ASSERT_ASSIGN(cluster_, create_cluster(GetParam()));
    }

    std::unique_ptr<Cluster> cluster_;
};

/// Fails the test if a program of the node has dropped a packet: but for the kernel's own reports to weft.1's link about its
/// IPv6 addresses' multicast groups, which nobody is to hear.
inline void expect_no_drops(const WeftNode &node) {
    WEFT_ASSERT_ASSIGN(auto counters, node.counters());
    counters.dropped.erase("from_host/link_scope");
    EXPECT_TRUE(counters.dropped.empty()) << node.name() << " dropped: " << to_string(counters.dropped);
}

} // namespace weft::test

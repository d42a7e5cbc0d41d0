// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <map>
#include <memory>
#include <string>
#include <tuple>

#include <fmt/format.h>

#include "cluster_fixture.hpp"
#include "kube_proxy.hpp"

namespace weft::test {

/// Two nodes as a Kubernetes cluster has them: the services below and 1,000 others in the rules of both.
struct ServiceSetup {
    std::string datapath; ///< --datapath
    WireMode wire;
    RuleSystem rules;
    std::string backend = "vxlan";
};

inline std::string service_setup_name(const testing::TestParamInfo<ServiceSetup> &setup) {
    auto name = fmt::format("{}_{}_{}", setup.param.datapath, name_of(setup.param.wire), name_of(setup.param.rules));
    if (setup.param.backend != "vxlan") name += "_" + setup.param.backend;
    std::erase(name, '-'); // a test's name has no dashes
    return name;
}
inline void PrintTo(const ServiceSetup &setup, std::ostream *os) {
    *os << setup.datapath << " " << name_of(setup.wire) << " " << name_of(setup.rules) << " " << setup.backend;
}

// Services of one backend each but `kBoth`; their node ports are 30000 and the last octet.
constexpr const char *kOn1 = "10.96.0.1", *kOn2 = "10.96.0.2", *kSelf = "10.96.0.3", *kBoth = "10.96.0.4",
                     *kLocalOn2 = "10.96.0.5";
constexpr std::uint16_t kNodePortOn1 = 30001, kNodePortOn2 = 30002, kNodePortBoth = 30004, kLocalNodePortOn2 = 30005;
constexpr std::uint16_t kHostPort = 8081, kHostPortSelf = 8082;
constexpr const char *kNode1 = "192.0.2.1", *kNode2 = "192.0.2.2";

class ServiceCluster : public testing::TestWithParam<ServiceSetup> {
protected:
    /// Counters of both nodes, 0 is node 1.
    using Readings = std::array<Counters, 2>;

    void SetUp() override { start({}); }
    /// @param flags more flags for both weftds.
    void start(const std::vector<std::string> &flags, bool ip_masq = true);
    void TearDown() override;

    [[nodiscard]] NodeRules rules_of(const std::vector<std::string> &local_pods) const;
    [[nodiscard]] Result<Readings> read_counters() const;
    /// What conntrack of both nodes has called invalid so far.
    [[nodiscard]] Result<std::uint64_t> invalid() const;
    [[nodiscard]] const Netns &world() const { return cluster_->world(); }

    std::unique_ptr<Cluster> cluster_;
    std::array<WeftNode *, 2> nodes_{};
    Pod *client_ = nullptr; ///< on node 1
    Pod *on_1_ = nullptr, *on_2_ = nullptr;
};

} // namespace weft::test

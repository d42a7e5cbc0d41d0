// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "cluster_fixture.hpp"

namespace weft::kernels {

/// What a node's uplink is made of. Each has the node's address, and the other node at the other end.
enum class Uplink {
    veth,
    vlan,   ///< on a veth
    bond,   ///< of two veths, one of them waiting
    dummy,  ///< has the node's address only; packets come and go by a veth
    netkit, ///< without link-layer addresses, as the kernel makes it unless told otherwise
};
[[nodiscard]] std::string_view name_of(Uplink uplink);
inline void PrintTo(Uplink uplink, std::ostream *out) { *out << name_of(uplink); }

/// Two weft nodes wired to each other, with a pod each. Skips the test where the kernel has not what an uplink is made of.
class TwoNodes : public testing::Test {
protected:
    void SetUp() override;
    void TearDown() override; ///< what a failed test's packets came to

    /// Makes uplinks of both nodes, and an etcd that both reach.
    void wire(Uplink uplink);
    /// Starts weftd on both, the first with --datapath=tc, and a pod on each.
    void start(std::string_view datapath);
    /// weftd anew on a node where it was stopped.
    Status restart(std::size_t n, std::string_view datapath) {
        return node(n).start({.etcd_endpoint = etcd_->endpoint(), .datapath = std::string(datapath)});
    }
    void wire_and_start(Uplink uplink, std::string_view datapath) {
        wire(uplink);
        if (!HasFatalFailure() && !IsSkipped()) start(datapath);
    }

    [[nodiscard]] test::WeftNode &node(std::size_t n) { return *nodes_.at(n); }
    [[nodiscard]] test::Pod &pod(std::size_t n) { return *pods_.at(n); }
    /// What weftd says that it does otherwise here.
    [[nodiscard]] nlohmann::json lacks(std::size_t n);
    [[nodiscard]] bool lacks(std::size_t n, std::string_view feature) { return lacks(n).contains(feature); }
    /// Whether packets pass without the host's stack, as far as this kernel allows it.
    void expect_fast_path(std::uint64_t packets);
    /// TCP and UDP in both directions arrive as they were sent.
    void expect_transfers(std::uint64_t bytes);

private:
    Status wire_one(std::size_t n, Uplink uplink);

    std::array<std::optional<test::WeftNode>, 2> nodes_;
    std::array<test::Pod *, 2> pods_{};
    std::optional<test::EtcdServer> etcd_;
};

} // namespace weft::kernels

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <functional>
#include <future>
#include <optional>
#include <string>

#include "chain.hpp"
#include "cluster_fixture.hpp"

namespace weft::test {

/// A cluster of three: a node as flannel left it, on which weft is about to start (`moved_`), a weft node and a flannel node.
/// Pods of the node to move are the reference bridge plugin's, their addresses host-local's.
class Migration : public ClusterTest {
protected:
    void SetUp() override;

    [[nodiscard]] const Netns &host() const { return flannel_->netns(); }
    /// What a command prints on the node that moves; "" and a failed test if it fails.
    [[nodiscard]] std::string sh(std::string_view line) const;
    /// Its lease as it is in etcd.
    [[nodiscard]] std::string lease() const;
    Status start() { return cluster_->start_node(*moved_); }
    [[nodiscard]] bool is_synced() const;

    /// Both directions, each kind of traffic.
    static void expect_reach(const Pod &a, const Pod &b);
    static void expect_world(const Pod &pod);
    /// Every pod of the cluster reaches every other, and each the world.
    void expect_everybody_reaches_everybody();
    /// Nothing of flannel's is left on the node that moved, but the bridge that its pods are on.
    void expect_nothing_of_flannels();

    WeftNode *weft_ = nullptr, *moved_ = nullptr;
    FlannelNode *flannel_ = nullptr, *other_flannel_ = nullptr;
    std::optional<Chain> bridge_;
    Pod *old_ = nullptr, *old_too_ = nullptr; ///< on the node to move
    Pod *at_weft_ = nullptr, *at_flannel_ = nullptr;
};

} // namespace weft::test

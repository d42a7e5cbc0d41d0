// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <list>
#include <optional>
#include <string>

#include "cni_node.hpp"
#include "needs.hpp"
#include "poll.hpp"

#define ASSERT_OK(expression) WEFT_ASSERT_OK(expression)

namespace weft::test {

/// A node and one pod's namespace.
class CniTest : public testing::Test {
public:
    /// Of the node's subnets.
    virtual Families families() const { return Families::v4; }

    void SetUp() override {
        WEFT_REQUIRES(requires_netns());
        WEFT_REQUIRES(requires_bpffs());
        WEFT_REQUIRES(requires_binary("weft"));
        auto node = CniNode::create("cni-node", families());
        ASSERT_OK(node);
        node_.emplace(std::move(*node));
        auto pod = Netns::create("cni-pod");
        ASSERT_OK(pod);
        pod_.emplace(std::move(*pod));
    }
    void TearDown() override {
        pod_.reset();
        node_.reset();
    }

    Answer call(const std::string &command, const std::string &id, const json &conf) const {
        return node_->weft({.command = command, .id = id, .netns = pod_ ? pod_->path() : "", .conf = conf});
    }
    Answer add(const std::string &id, const json &conf) const { return call("ADD", id, conf); }
    Answer add(const std::string &id) const { return add(id, node_->conf()); }

    /// Another subnet.env beside the node's own.
    std::string write_subnet_env(const std::string &network, const std::string &subnet) const {
        const auto path = node_->subnet_file().string() + "-other";
        EXPECT_TRUE(write_file(path, "FLANNEL_NETWORK=" + network + "\nFLANNEL_SUBNET=" + subnet +
                                         "\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n"));
        return path;
    }

    static bool eventually(const std::function<bool()> &condition) {
        return wait_until(condition, std::chrono::seconds(10));
    }

    std::optional<CniNode> node_;
    std::optional<Netns> pod_;
};

} // namespace weft::test

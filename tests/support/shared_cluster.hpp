// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <optional>

#include "cluster_fixture.hpp"

namespace weft::test {

/// A cluster that the cases of one setup have one after the other, as making it takes longer than most of them. What a case
/// changes it puts back, or it is its suite's last; after one that fails the next gets a new cluster.
///
/// ctest runs the cases of a setup in one process where CMakeLists.txt names the suite behind SHARED.
/// @tparam Nodes what is made of a setup: default constructible, with `Status build(Cluster &, const Setup &)`
template <class Nodes> class SharedClusterTest : public testing::TestWithParam<Setup> {
protected:
    void SetUp() override {
        WEFT_REQUIRES(requires_cluster());
        if (made_ && made_->of != name()) made_.reset();
        if (!made_) {
            WEFT_ASSERT_ASSIGN(auto cluster, create_cluster(GetParam()));
            made_.emplace(name(), std::move(cluster), Nodes{});
            if (const auto built = made_->nodes.build(*made_->cluster, GetParam()); !built) {
                made_.reset();
                FAIL() << built.error().sentence();
            }
        }
    }
    void TearDown() override {
        if (HasFailure()) made_.reset();
    }
    static void TearDownTestSuite() { made_.reset(); }

    [[nodiscard]] static Cluster &cluster() { return *made_->cluster; }
    [[nodiscard]] static Nodes &nodes() { return made_->nodes; }

private:
    struct Made {
        std::string of;
        std::unique_ptr<Cluster> cluster;
        Nodes nodes;
    };

    [[nodiscard]] static std::string name() { return setup_name({GetParam(), 0}); }

    static inline std::optional<Made> made_;
};

} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
// Every program in every variant that some kernel asks for is taken by this one.
#include <gtest/gtest.h>
#include <unistd.h>

#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "needs.hpp"
#include "node_config.hpp"
#include "verifier.hpp"

namespace weft::kernels {
namespace {

using datapath::Features;

/// What this kernel has, and the same without each single part of it, as another kernel would be without.
std::vector<Features> variants() {
    const auto here = datapath::probe_features();
    std::vector<Features> all{here};
    for (const auto part : {&Features::conntrack_lookup, &Features::pop_other_family, &Features::redirect_peer,
                            &Features::tunnel_source, &Features::xdp_frags}) {
        if (!(here.*part)) continue;
        all.push_back(here);
        all.back().*part = false;
    }
    return all;
}

TEST(Load, EveryVariantOfEveryProgramIsTaken) {
    if (auto missing = test::requires_root()) GTEST_SKIP() << *missing;
    auto config = node_config();
    for (const auto &features : variants()) {
        const auto loaded = load_programs(config, features);
        EXPECT_TRUE(loaded) << loaded.error().sentence();
    }
    config.fast_path = false;
    const auto loaded = load_programs(config, datapath::probe_features());
    EXPECT_TRUE(loaded) << loaded.error().sentence();
}

/// For whoever starts this in a kernel to learn what it has.
TEST(Load, WhatThisKernelLacksIsKnown) {
    if (auto missing = test::requires_root()) GTEST_SKIP() << *missing;
    auto all = nlohmann::json::object();
    for (const auto &[feature, cost] : datapath::lacks(datapath::probe_features())) {
        all[feature] = cost;
        EXPECT_FALSE(cost.empty()) << feature;
    }
    RecordProperty("lacks", all.dump());
}

} // namespace
} // namespace weft::kernels

// SPDX-License-Identifier: Apache-2.0
// What the verifier has to do for each program, beside what it had to when verifier-budget.json was last changed. On purpose
// no smaller change than a tenth is looked at: compilers and kernels' stable updates make those.
//
// WEFT_UPDATE_BUDGET=1 writes this kernel's line; tests/kernels/run.sh --write those of the matrix.
#include <gtest/gtest.h>
#include <sys/utsname.h>

#include <cstdlib>
#include <fstream>
#include <string>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "dirs.hpp"
#include "needs.hpp"
#include "node_config.hpp"
#include "verifier.hpp"

namespace weft::kernels {
namespace {

constexpr double kGrowth = 1.10;

/// "6.12" of "6.12.107+deb13-cloud-amd64".
std::string version_here() {
    utsname kernel{};
    uname(&kernel);
    const std::string release = kernel.release;
    return release.substr(0, release.find_first_not_of("0123456789", release.find('.') + 1));
}

nlohmann::json to_json(const std::map<std::string, Cost> &costs) {
    auto all = nlohmann::json::object();
    for (const auto &[program, cost] : costs)
        all[program] = {{"instructions", cost.instructions}, {"peak_states", cost.peak_states}, {"stack", cost.stack}};
    return all;
}

class Budget : public testing::Test {
protected:
    void SetUp() override {
        WEFT_REQUIRES(test::requires_root());
        WEFT_ASSERT_ASSIGN(const auto costs, load_programs(node_config(), datapath::probe_features()));
        costs_ = to_json(costs);
        RecordProperty("costs", costs_.dump());
    }

    nlohmann::json costs_;
};

TEST_F(Budget, NoProgramCostsTheVerifierMuchMoreThanBefore) {
    WEFT_ASSERT_ASSIGN(const auto text, test::read_file(WEFT_VERIFIER_BUDGET));
    auto budget = nlohmann::json::parse(text);
    const auto version = version_here();
    if (std::getenv("WEFT_UPDATE_BUDGET")) {
        budget[version] = costs_;
        WEFT_ASSERT_OK(test::write_file(WEFT_VERIFIER_BUDGET, budget.dump(2) + "\n"));
    }
    if (!budget.contains(version)) GTEST_SKIP() << "verifier-budget.json has no line for kernel " << version;
    const auto &before = budget[version];
    EXPECT_EQ(before.size(), costs_.size()) << "programs came or went";
    for (const auto &[program, cost] : costs_.items()) {
        ASSERT_TRUE(before.contains(program)) << program << " is new";
        for (const auto &[what, now] : cost.items())
            EXPECT_LE(now.get<double>(), before[program][what].get<double>() * kGrowth)
                << program << ": " << what << ", on kernel " << version;
    }
}

TEST_F(Budget, EveryProgramKeepsFarFromTheKernelsLimits) {
    constexpr std::uint64_t kInstructions = 1'000'000, kStack = 512;
    for (const auto &[program, cost] : costs_.items()) {
        EXPECT_GT(cost["instructions"], 0U) << program << ": the verifier's numbers were not understood";
        EXPECT_LT(cost["instructions"], kInstructions / 2) << program;
        EXPECT_LE(cost["stack"], kStack) << program;
    }
}

} // namespace
} // namespace weft::kernels

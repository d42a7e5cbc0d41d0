// SPDX-License-Identifier: Apache-2.0
// One system call, or one allocation, of the plugin fails, whichever it is, or of the IPAM plugin that it runs: the runtime is
// told, and nothing is left that a DEL does not take away. WEFT_FAULTS says how many of each kind are tried (0: all), WEFT_SEED
// which.
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include "cni_fixture.hpp"
#include "faults.hpp"

namespace weft::test {
namespace {

struct Kind {
    const char *name;
    Families families;
    bool delegates = false; ///< addresses are host-local's to give
};
void PrintTo(const Kind &kind, std::ostream *os) { *os << kind.name; }

constexpr const char *kHostLocal = "/usr/lib/cni/host-local";

class CniFaults : public CniTest, public testing::WithParamInterface<Kind> {
public:
    Families families() const override { return GetParam().families; }

protected:
    void SetUp() override {
        WEFT_REQUIRES(requires_tools({"strace"}));
        if (GetParam().delegates && ::access(kHostLocal, X_OK) != 0) GTEST_SKIP() << kHostLocal << " is not here";
        CniTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        WEFT_ASSERT_ASSIGN(dir_, TempDir::create("cni-faults"));
        pod_links_ = pod_links();
    }
    void TearDown() override {
        for (const auto &[how, times] : ended_) fmt::print("{}: {}\n", how, times);
        CniTest::TearDown();
    }

    [[nodiscard]] std::string pod_links() const { return pod_->run("ip -o link show").value_or("?"); }
    [[nodiscard]] std::filesystem::path log() const { return *dir_ / "strace"; }
    [[nodiscard]] Call call(const std::string &command) const {
        auto conf = node_->conf(GetParam().delegates ? "1.0.0" : "1.1.0"); // as host-local of Debian 12 has it
        if (GetParam().delegates) conf["ipam"] = {{"type", "host-local"}, {"dataDir", node_->data_dir()}};
        if (command == "GC") conf["cni.dev/valid-attachments"] = json::array();
        if (command == "CHECK" || command == "DEL") conf["prevResult"] = added_;
        return {.command = command, .netns = pod_->path(), .conf = std::move(conf)};
    }
    /// host-local of Debian 12 knows no GC.
    [[nodiscard]] static std::vector<std::string> commands() {
        return GetParam().delegates ? std::vector<std::string>{"ADD", "DEL", "CHECK"}
                                    : std::vector<std::string>{"ADD", "DEL", "CHECK", "GC"};
    }
    /// As call(); the first host-local that it runs is run by strace.
    [[nodiscard]] Call call_with_delegate(const std::string &command, const std::vector<std::string> &strace) const {
        std::error_code ignored;
        std::filesystem::remove_all(*dir_ / "ran", ignored);
        EXPECT_TRUE(write_file(*dir_ / "host-local",
                               fmt::format("#!/bin/sh\nmkdir {} 2>/dev/null && exec {} {}\nexec {}\n",
                                           (*dir_ / "ran").string(), fmt::join(strace, " "), kHostLocal, kHostLocal)));
        std::filesystem::permissions(*dir_ / "host-local", std::filesystem::perms::owner_all);
        auto delegating = call(command);
        delegating.env.push_back("CNI_PATH=" + dir_->path().string());
        return delegating;
    }
    void remember(const Answer &added) {
        EXPECT_TRUE(added.ok()) << added.text();
        added_ = added.body;
    }
    void prepare(const std::string &command) {
        if (command != "ADD") remember(node_->weft(call("ADD")));
    }

    /// What the command's answer and the node must be like after a fault.
    void judge(const std::string &command, const Answer &answer) {
        if (!answer.ok()) {
            EXPECT_EQ(answer.exit_code, 1) << answer.text();
            EXPECT_NE(answer.code(), 0) << answer.text();
            EXPECT_NE(answer.msg(), "") << answer.text();
        }
        const bool at_once = answer.msg().contains("DEL is needed");
        ++ended_[fmt::format("{} {}", command,
                             answer.ok() ? "went on without"
                             : at_once   ? "said so, nothing undone"
                                         : "said so")];
        if (command == "ADD" && answer.ok()) { // the pod must work as if nothing had been
            remember(answer);
            const auto checked = node_->weft(call("CHECK"));
            EXPECT_TRUE(checked.ok()) << checked.text();
        } else if (command == "ADD" && !at_once) {
            auto left = node_->traces();
            // An address that host-local gave and then told an error of its own is for DEL: it may be one from before.
            if (answer.code() == 999 && answer.msg().starts_with("IPAM plugin host-local ADD: "))
                left.addresses.clear();
            EXPECT_EQ(left, Traces{}) << answer.text();
            EXPECT_EQ(pod_links(), pod_links_) << answer.text();
        } else if (answer.ok() && command != "CHECK") {
            EXPECT_TRUE(eventually([&] { return node_->traces() == Traces{}; })) << node_->traces();
        }
        const auto again = node_->weft(call(command == "GC" ? "GC" : "DEL"));
        EXPECT_TRUE(again.ok()) << again.text();
        EXPECT_TRUE(eventually([&] { return node_->traces() == Traces{}; })) << node_->traces();
        EXPECT_TRUE(eventually([&] { return pod_links() == pod_links_; })) << pod_links();
    }
    /// So that what one fault has broken does not fail the others.
    void renew_if_broken(bool failed_before) {
        if (failed_before || !HasFailure()) return;
        CniTest::TearDown();
        CniTest::SetUp();
    }

    std::optional<TempDir> dir_;
    std::string pod_links_;
    json added_;
    std::map<std::string, unsigned> ended_;
};

TEST_P(CniFaults, OfSystemCalls) {
    for (const auto &command : commands()) {
        prepare(command);
        auto recorded = call(command);
        recorded.under = recording(log());
        const auto whole = node_->weft(recorded);
        ASSERT_TRUE(whole.ok()) << whole.text();
        if (command == "ADD") remember(whole);
        ASSERT_TRUE(node_->weft(call("DEL")).ok());
        ASSERT_TRUE(eventually([&] { return pod_links() == pod_links_; }));
        WEFT_ASSERT_ASSIGN(const auto faults, faults_of(log()));
        ASSERT_GT(faults.size(), 50U);
        for (const auto index : sample(command + ": system calls that can fail", faults.size(), 4)) {
            SCOPED_TRACE(command + ", " + faults[index].name());
            const bool failed_before = HasFailure();
            prepare(command);
            auto faulty = call(command);
            faulty.under = injecting(faults[index], log());
            const auto answer = node_->weft(faulty);
            if (!was_met(log())) fmt::print("{}, {}: not met\n", command, faults[index].name());
            judge(command, answer);
            renew_if_broken(failed_before);
            if (HasFatalFailure()) return;
        }
    }
}

TEST_P(CniFaults, OfAllocations) {
    for (const auto &command : commands()) {
        prepare(command);
        const auto with_fault = [&](std::size_t number) {
            auto faulty = call(command);
            faulty.env.push_back(fmt::format("WEFT_TEST_FAIL_ALLOCATION={}", number));
            return node_->run(faulty, binary("weft-testhooks"));
        };
        const auto whole = with_fault(0);
        ASSERT_TRUE(whole.ok()) << whole.text();
        const auto said = whole.err.find("allocations: ");
        ASSERT_NE(said, std::string::npos) << whole.text();
        const auto total = std::stoul(whole.err.substr(said + 13));
        if (command == "ADD") remember(whole);
        ASSERT_TRUE(node_->weft(call("DEL")).ok());
        ASSERT_TRUE(eventually([&] { return pod_links() == pod_links_; }));
        for (const auto index : sample(command + ": allocations", total, 4)) {
            SCOPED_TRACE(fmt::format("{}, allocation {}", command, index + 1));
            const bool failed_before = HasFailure();
            prepare(command);
            judge(command, with_fault(index + 1));
            renew_if_broken(failed_before);
            if (HasFatalFailure()) return;
        }
    }
}

class DelegateFaults : public CniFaults {};

TEST_P(DelegateFaults, OfSystemCalls) {
    for (const auto &command : commands()) {
        prepare(command);
        const auto whole = node_->weft(call_with_delegate(command, recording(log())));
        ASSERT_TRUE(whole.ok()) << whole.text();
        if (command == "ADD") remember(whole);
        ASSERT_TRUE(node_->weft(call("DEL")).ok());
        ASSERT_TRUE(eventually([&] { return pod_links() == pod_links_; }));
        WEFT_ASSERT_ASSIGN(const auto faults, faults_of(log()));
        ASSERT_GT(faults.size(), 20U);
        for (const auto index : sample(command + ": host-local's system calls that can fail", faults.size(), 3)) {
            SCOPED_TRACE(command + ", host-local's " + faults[index].name());
            const bool failed_before = HasFailure();
            prepare(command);
            judge(command, node_->weft(call_with_delegate(command, injecting(faults[index], log()))));
            renew_if_broken(failed_before);
            if (HasFatalFailure()) return;
        }
    }
}

constexpr Kind kDelegated{"Delegated", Families::dual, true};
std::string kind_name(const testing::TestParamInfo<Kind> &kind) { return kind.param.name; }
INSTANTIATE_TEST_SUITE_P(, CniFaults,
                         testing::Values(Kind{"IPv4", Families::v4}, Kind{"Dual", Families::dual}, kDelegated),
                         kind_name);
INSTANTIATE_TEST_SUITE_P(, DelegateFaults, testing::Values(kDelegated), kind_name);

} // namespace
} // namespace weft::test

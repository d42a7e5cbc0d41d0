// SPDX-License-Identifier: Apache-2.0
// One system call of weftd fails, or one allocation, whichever it is: pods go on, and the next round does what this one could
// not, or the next weftd.
// WEFT_FAULTS says how many are tried (0: all), WEFT_SEED which.
#include <algorithm>
#include <array>
#include <csignal>
#include <functional>

#include "daemon_fixture.hpp"
#include "datapath/tc_attach.hpp"
#include "faults.hpp"
#include "net/link.hpp"
#include "pinned.hpp"

namespace weft::test {
namespace {

class Faults : public DaemonTest {
protected:
    void SetUp() override {
        WEFT_REQUIRES(requires_tools({"strace"}));
        DaemonTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        WEFT_ASSERT_OK(put_lease("10.244.77.0-24", "192.0.2.77"));
    }
    void TearDown() override {
        for (const auto &[how, times] : ended_) fmt::print("{}: {}\n", how, times);
        DaemonTest::TearDown();
    }

    [[nodiscard]] std::filesystem::path trace() const { return node_->dir() / "strace"; }
    [[nodiscard]] std::string weftctl(std::string_view command) const {
        const auto out =
            node_->netns().output({binary("weftctl"), std::string(command), "--run-dir=" + node_->run_dir().string(),
                                   "--bpf-dir=" + node_->bpf_dir().string()});
        return out ? out->out : std::string();
    }
    [[nodiscard]] bool is_well() const {
        return weftctl("audit") == "everything is as it should be\n" && status()["state"] == "synced";
    }
    /// As its service manager would: weftd may end of a fault, if it says why.
    void keep_running() {
        const auto code = node_->daemon()->wait(0ms);
        if (!code) return;
        has_ended_ = true;
        ++ended_["ended, and healed when started again"];
        // gRPC aborts; libnftables, and what it is made of, take it for granted in places that they got memory.
        const bool by_library = (*code == 128 + SIGABRT && log().contains("weftd: aborted")) ||
                                (*code == 128 + SIGSEGV && log().contains("allocation "));
        EXPECT_TRUE(*code < 128 || by_library) << *code << "\n" << log();
        const auto last = log().substr(log().find_last_of('\n', log().size() - 2) + 1);
        // Why, by weftd or by a library that ends the process itself: nothing of what it says on the way.
        EXPECT_THAT(last, testing::Not(testing::ContainsRegex("^(debug|info|warning) |^$"))) << log();
        WEFT_ASSERT_OK(node_->start(options({})));
    }
    /// Gives weftd time to heal. @return what it said meanwhile
    std::string heal(std::size_t said_before) {
        const bool healed = wait_until(
            [&] {
                keep_running();
                return HasFatalFailure() || is_well();
            },
            20s);
        EXPECT_TRUE(healed) << weftctl("audit") << status() << log();
        return log().substr(std::min(log().size(), said_before));
    }

    void note(const std::string &said, bool met) {
        if (!met) ++ended_["not come to"];
        ++ended_[said.contains("warning ") ? "said so, and healed" : "healed without a word"];
    }

    /// One of each kind of thing that weftd keeps: an address, with the routes that need it, a pod's route, a lease, a program.
    void damage(const std::string &pod) {
        const auto base = node_->base_address().value_or("?");
        WEFT_EXPECT_OK(node_->netns().ip(fmt::format("addr del {}/32 dev weft.1", base)));
        if (!pod.empty()) WEFT_EXPECT_OK(node_->netns().ip("route del " + pod));
        WEFT_EXPECT_OK(node_->netns().run_in([&]() -> Status {
            auto sock = net::NlSocket::open();
            if (!sock) return fail_as_is(std::move(sock));
            const auto uplink = net::find_link(*sock, "eth0");
            if (!uplink || !*uplink) return fail("no eth0");
            auto taken = datapath::detach_tc((*uplink)->index, datapath::TcHook::ingress);
            return taken ? Status() : fail_as_is(std::move(taken));
        }));
        auto leases = maps::LeaseMap::open(node_->bpf_dir(), WEFT_PIN_LEASES);
        WEFT_ASSERT_OK(leases);
        const auto entries = (*leases)->entries();
        ASSERT_TRUE(entries && !entries->empty());
        WEFT_EXPECT_OK((*leases)->erase(entries->front().first));
    }
    /// A round with work to do, under strace until `done`.
    void round(std::vector<std::string> under, const std::string &pod, const std::function<bool()> &done) {
        const auto pid = node_->daemon()->pid();
        WEFT_ASSERT_OK(node_->daemon()->signal(SIGSTOP));
        damage(pod);
        under.insert(under.end(), {"-p", std::to_string(pid)});
        WEFT_ASSERT_ASSIGN(auto strace, Process::spawn(std::move(under)));
        ASSERT_TRUE(strace.wait_for_output("attached")) << strace.describe();
        said_before_ = log().size();
        WEFT_ASSERT_OK(node_->daemon()->signal(SIGCONT));
        EXPECT_TRUE(wait_until(done)) << log();
        strace.terminate();
    }
    /// Each repair of damage() is told in the log.
    [[nodiscard]] bool is_mended(const std::string &pod) {
        const auto said = log().substr(std::min(log().size(), said_before_));
        return std::ranges::all_of(
            std::array<std::string, 4>{"/32: added", "route " + pod, "maps: brought up to date", "attached "},
            [&](const std::string &deed) { return said.contains(deed); });
    }

    std::size_t said_before_ = 0;
    bool has_ended_ = false; ///< by itself, since this was last set
    std::map<std::string, unsigned> ended_;
};

TEST_F(Faults, OfARound) {
    start();
    WEFT_ASSERT_OK(node_->wait_for_leases(1));
    WEFT_ASSERT_ASSIGN(const auto *pod, node_->add_pod());
    ASSERT_TRUE(wait_until([&] { return is_well(); })) << weftctl("audit");
    const auto mended = [&] { return is_mended(pod->address); };
    ASSERT_NO_FATAL_FAILURE(round(recording(trace()), pod->address, mended));
    (void)heal(said_before_);
    WEFT_ASSERT_ASSIGN(auto faults, faults_of(trace()));
    std::erase_if(faults, [](const Fault &fault) { return fault.everywhere; }); // the loop is the first thread
    ASSERT_GT(faults.size(), 100U);
    for (const auto index : sample("system calls of a round that can fail", faults.size(), 4)) {
        SCOPED_TRACE(faults[index].name());
        const auto over = [&] { return was_met(trace()) || mended() || !node_->daemon()->running(); };
        ASSERT_NO_FATAL_FAILURE(round(injecting(faults[index], trace()), pod->address, over));
        note(heal(said_before_), was_met(trace()));
        WEFT_EXPECT_OK(ping(node_->netns(), pod->address, 1));
    }
}

TEST_F(Faults, OfAStart) {
    auto traced = options({});
    traced.under = recording(trace());
    WEFT_ASSERT_OK(node_->start(traced));
    ASSERT_TRUE(wait_until([&] { return is_well(); })) << weftctl("audit");
    node_->kill();
    WEFT_ASSERT_ASSIGN(auto faults, faults_of(trace()));
    std::erase_if(faults, [](const Fault &fault) { return fault.everywhere; });
    ASSERT_GT(faults.size(), 200U);
    auto tried = sample("system calls of a start that can fail", faults.size(), 1);
    const auto timers = // which asio does not ask about: found by a sweep
        std::ranges::find_if(faults, [](const Fault &fault) { return fault.call == "epoll_ctl" && fault.when == 2; });
    ASSERT_NE(timers, faults.end());
    tried.push_back(static_cast<std::size_t>(timers - faults.begin()));
    for (const auto index : tried) {
        SCOPED_TRACE(faults[index].name());
        (void)weftctl("cleanup"); // everything is to be made
        traced.under = injecting(faults[index], trace());
        WEFT_ASSERT_OK(node_->launch(traced));
        note(heal(0), was_met(trace()));
        node_->kill();
        if (HasFatalFailure()) return;
    }
}

/// gRPC's, while etcd tells of a lease that comes and one that goes. The call fails in each thread that makes so many.
TEST_F(Faults, OfThreads) {
    start();
    const std::string other = "10.244.78.0-24";
    const auto change = [&](std::vector<std::string> under, int times, const std::function<bool()> &over) {
        under.insert(under.end(), {"-p", std::to_string(node_->daemon()->pid())});
        WEFT_ASSERT_ASSIGN(auto strace, Process::spawn(std::move(under)));
        ASSERT_TRUE(strace.wait_for_output("attached")) << strace.describe();
        for (int n = 0; n < times && !over(); ++n) {
            WEFT_ASSERT_OK(put_lease(other, "192.0.2.78"));
            (void)wait_until([&] { return over() || leases().size() == 2; }, 5s);
            WEFT_ASSERT_OK(cluster_->etcd().del("/coreos.com/network/subnets/" + other));
            (void)wait_until([&] { return over() || leases().size() == 1; }, 5s);
        }
        strace.terminate();
    };
    ASSERT_TRUE(wait_until([&] { return is_well(); })) << weftctl("audit");
    ASSERT_NO_FATAL_FAILURE(change(recording(trace()), 1, [] { return false; }));
    WEFT_ASSERT_ASSIGN(const auto faults, faults_beside(trace(), node_->daemon()->pid()));
    ASSERT_FALSE(faults.empty());
    for (const auto index : sample("system calls of threads that can fail", faults.size(), 2)) {
        SCOPED_TRACE(faults[index].name());
        const auto said_before = log().size();
        const auto over = [&] { return was_met(trace()) || !node_->daemon()->running(); };
        ASSERT_NO_FATAL_FAILURE(change(injecting(faults[index], trace()), 3, over));
        note(heal(said_before), was_met(trace()));
        EXPECT_TRUE(wait_until([&] { return leases().size() == 1; })) << log();
    }
}

/// Of any thread and library, while weftd comes up and in a round with work to do.
TEST_F(Faults, OfAllocations) {
    auto hooked = options({});
    hooked.program = "weftd-testhooks";
    const auto run = [&](std::size_t failing) {
        hooked.env = {fmt::format("WEFT_TEST_FAIL_ALLOCATION={}", failing)};
        has_ended_ = false;
        WEFT_ASSERT_OK(node_->launch(hooked));
        (void)heal(0);
        if (has_ended_ || HasFatalFailure()) return;
        damage("");
        (void)heal(0);
    };
    ASSERT_NO_FATAL_FAILURE(run(0));
    WEFT_ASSERT_OK(node_->stop());
    const auto told = log().find("allocations: ");
    if (told == std::string::npos) GTEST_SKIP() << "a build whose allocator is its own";
    const auto total = std::stoul(log().substr(told + 13));
    for (const auto index : sample("allocations of a start and a round", total, 3)) {
        SCOPED_TRACE(fmt::format("allocation {}", index + 1));
        (void)weftctl("cleanup"); // everything is to be made
        ASSERT_NO_FATAL_FAILURE(run(index + 1));
        note(log(), has_ended_ || log().contains(" fails\n"));
        node_->kill();
    }
}

} // namespace
} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
// weftctl as an operator runs it: the built binary, against maps that are really pinned, without any weftd.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <vector>

#include "abi.hpp"
#include "base/unique_fd.hpp"
#include "dirs.hpp"
#include "needs.hpp"
#include "process.hpp"

namespace weft::test {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
using Json = nlohmann::json;

Output weftctl(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), binary("weftctl"));
    auto output = run(std::move(arguments));
    if (!output) return {.code = -1, .out = "", .err = output.error().sentence()};
    return *output;
}

/// Where the counters map counts this.
__u32 element(__u32 hook, __u32 reason) { return hook * WEFT_R_COUNT + reason; }

/// Exactly one line, for people and log collectors alike.
bool is_one_line(const std::string &text) { return std::ranges::count(text, '\n') == 1 && text.ends_with('\n'); }

class WeftctlCommandLine : public testing::Test {
protected:
    void SetUp() override { WEFT_REQUIRES(requires_binary("weftctl")); }
};

TEST_F(WeftctlCommandLine, AMistakeIsOneLineAndExitStatus2) {
    const std::vector<std::vector<std::string>> mistakes{{},
                                                         {"dance"},
                                                         {"leases", "--bogus"},
                                                         {"--bogus"},
                                                         {"counters", "--watch", "0"},
                                                         {"leases", "extra"},
                                                         {"status", "--run-dir"}};
    for (const auto &mistake : mistakes) {
        const auto output = weftctl(mistake);
        EXPECT_EQ(output.code, 2) << fmt::format("{}", fmt::join(mistake, " "));
        EXPECT_TRUE(is_one_line(output.err)) << output.err;
        EXPECT_EQ(output.out, "");
    }
    EXPECT_THAT(weftctl({"dance"}).err, HasSubstr("\"dance\""));
    EXPECT_THAT(weftctl({"leases", "--bogus"}).err, HasSubstr("--bogus"));
}

TEST_F(WeftctlCommandLine, VersionAndHelpAreAnswers) {
    EXPECT_EQ(weftctl({"--version"}).code, 0);
    EXPECT_THAT(weftctl({"--version"}).out, testing::MatchesRegex("weftctl [0-9]+\\.[0-9]+\\.[0-9]+\n"));
    const auto help = weftctl({"--help"});
    EXPECT_EQ(help.code, 0);
    for (const char *command : {"status", "leases", "endpoints", "counters", "doctor"})
        EXPECT_THAT(help.out, HasSubstr(command));
}

TEST_F(WeftctlCommandLine, ANodeThatWasNeverSetUpIsOneLineAndExitStatus1) {
    WEFT_ASSERT_ASSIGN(const auto empty, TempDir::create("never"));
    for (const char *command : {"status", "leases", "endpoints", "counters"}) {
        const auto output = weftctl({command, "--bpf-dir", empty / "bpf", "--run-dir", empty / "run"});
        EXPECT_EQ(output.code, 1);
        EXPECT_THAT(output.err, AllOf(HasSubstr("weftd has not set up this node"), HasSubstr(empty / "bpf")));
        EXPECT_TRUE(is_one_line(output.err)) << output.err;
    }
}

/// Pinned maps as weftd pins them, filled by the test.
class WeftctlPins : public testing::Test {
protected:
    void SetUp() override {
        WEFT_REQUIRES(requires_binary("weftctl"));
        WEFT_REQUIRES(requires_bpffs());
        WEFT_ASSERT_ASSIGN(auto pins, BpfDir::create("ctl"));
        pins_.emplace(std::move(pins));
        make(leases_, BPF_MAP_TYPE_HASH, WEFT_PIN_LEASES, sizeof(weft_lease_key), sizeof(weft_lease), kMaxLeases);
        make(nodes_, BPF_MAP_TYPE_HASH, WEFT_PIN_NODES, sizeof(weft_ip), sizeof(weft_node), kMaxLeases);
        make(endpoints_, BPF_MAP_TYPE_HASH, WEFT_PIN_ENDPOINTS, sizeof(weft_ip), sizeof(weft_endpoint),
             WEFT_MAX_ENDPOINTS);
        make(state_, BPF_MAP_TYPE_ARRAY, WEFT_PIN_STATE, 4, sizeof(weft_state), 1);
        make(counters_, BPF_MAP_TYPE_PERCPU_ARRAY, WEFT_PIN_COUNTERS, 4, sizeof(weft_counter),
             element(WEFT_HOOK_COUNT, WEFT_R_NONE));
        make(tolerated_, BPF_MAP_TYPE_PERCPU_ARRAY, WEFT_PIN_TOLERATED, 4, sizeof(weft_counter),
             element(WEFT_HOOK_COUNT, WEFT_R_NONE));
        make(refused_, BPF_MAP_TYPE_LRU_PERCPU_HASH, WEFT_PIN_REFUSED, sizeof(weft_refused_key), sizeof(weft_refused),
             WEFT_MAX_REFUSED);
        make(stats_, BPF_MAP_TYPE_PERCPU_ARRAY, WEFT_PIN_LEASE_STATS, 4, sizeof(weft_lease_stats), kMaxLeases);
    }

    void make(UniqueFd &map, bpf_map_type type, const char *pin, __u32 key, __u32 value, __u32 entries) {
        bpf_map_create_opts options{};
        options.sz = sizeof(options);
        if (type == BPF_MAP_TYPE_HASH) options.map_flags = BPF_F_NO_PREALLOC;
        map = UniqueFd(bpf_map_create(type, "weft_ctl_test", key, value, entries, &options));
        ASSERT_TRUE(map) << pin << ": " << errno;
        ASSERT_EQ(bpf_obj_pin(map.get(), (*pins_ / pin).c_str()), 0) << pin;
    }

    void add_lease(const Net4 &subnet, const Ip4 &node, __u32 stats_index) {
        weft_lease lease{};
        lease.node = lease.next_hop = abi::ip(node);
        lease.ifindex = 1; // lo: there in every namespace
        lease.stats_index = stats_index;
        lease.vtep_mac = abi::mac(*parse_mac("02:77:c0:00:02:02"));
        lease.mtu = 1450;
        lease.encap = WEFT_ENCAP_VXLAN;
        const auto key = abi::lease_key(subnet);
        ASSERT_EQ(bpf_map_update_elem(leases_.get(), &key, &lease, BPF_ANY), 0);
    }

    /// The same value on every CPU, so that sums show.
    template <class Value> void set_per_cpu(const UniqueFd &map, __u32 index, const Value &value) {
        const std::vector<Value> values(static_cast<std::size_t>(cpus_), value);
        ASSERT_EQ(bpf_map_update_elem(map.get(), &index, values.data(), BPF_ANY), 0);
    }

    [[nodiscard]] Output ctl(std::vector<std::string> arguments) const {
        arguments.insert(arguments.end(), {"--bpf-dir", pins_->path(), "--run-dir", pins_->path() / "no-daemon"});
        return weftctl(std::move(arguments));
    }

    [[nodiscard]] Json ctl_json(const std::string &command) const {
        const auto output = ctl({command, "--json"});
        EXPECT_EQ(output.code, 0) << output.err;
        return Json::parse(output.out, nullptr, false);
    }

    static constexpr __u32 kMaxLeases = 131072;
    const int cpus_ = libbpf_num_possible_cpus();
    std::optional<BpfDir> pins_;
    UniqueFd leases_, nodes_, endpoints_, state_, counters_, tolerated_, refused_, stats_;
};

TEST_F(WeftctlPins, LeasesComeInOrderWithTheirLinkAndTheSumOfAllCpus) {
    add_lease(*parse_net4("10.244.20.0/24"), *parse_ip4("192.0.2.20"), 0);
    add_lease(*parse_net4("10.244.9.0/24"), *parse_ip4("192.0.2.9"), 1);
    set_per_cpu(stats_, 1, weft_lease_stats{1, 100, 2, 200});
    const auto leases = ctl_json("leases");
    ASSERT_EQ(leases.size(), 2U) << leases;
    EXPECT_EQ(leases[0]["subnet"], "10.244.9.0/24");
    EXPECT_EQ(leases[0]["node"], "192.0.2.9");
    EXPECT_EQ(leases[0]["ifname"], "lo");
    EXPECT_EQ(leases[0]["tx_packets"], cpus_);
    EXPECT_EQ(leases[0]["rx_bytes"], 200 * cpus_);
    EXPECT_EQ(leases[1]["tx_packets"], 0);
    EXPECT_THAT(ctl({"leases"}).out, HasSubstr("10.244.20.0/24  192.0.2.20  vxlan  192.0.2.20  1:lo"));
}

TEST_F(WeftctlPins, AHundredThousandLeasesAreShownInSeconds) {
    constexpr __u32 kLeases = 100'000;
    for (__u32 i = 0; i < kLeases; ++i) add_lease(Net4(Ip4(0x0a000000U + (i << 6)), 26), Ip4(0xc0a80000U + i), i);
    const auto began = std::chrono::steady_clock::now();
    const auto output = ctl({"leases"});
    const auto took = std::chrono::steady_clock::now() - began;
    EXPECT_EQ(output.code, 0) << output.err;
    EXPECT_EQ(std::ranges::count(output.out, '\n'), kLeases + 1);
    EXPECT_LT(took, 10s); // half a second here; the bound is for a busy machine
}

TEST_F(WeftctlPins, EndpointsAreShownThoughTheirVethIsGone) {
    const auto address = abi::ip(*parse_ip4("10.244.1.2"));
    weft_endpoint endpoint{};
    endpoint.ifindex = 0x7ffffff0;
    ASSERT_EQ(bpf_map_update_elem(endpoints_.get(), &address, &endpoint, BPF_ANY), 0);
    const auto endpoints = ctl_json("endpoints");
    ASSERT_EQ(endpoints.size(), 1U);
    EXPECT_EQ(endpoints[0]["address"], "10.244.1.2");
    EXPECT_TRUE(endpoints[0]["ifname"].is_null());
}

TEST_F(WeftctlPins, CountersShowWhatWasCountedUnlessAllIsAskedFor) {
    set_per_cpu(counters_, element(WEFT_HOOK_FROM_WIRE, WEFT_R_UNKNOWN_SENDER), weft_counter{3, 300});
    const auto counters = ctl_json("counters");
    ASSERT_EQ(counters.size(), 1U) << counters;
    EXPECT_EQ(counters[0]["program"], "from_wire");
    EXPECT_EQ(counters[0]["verdict"], "drop");
    EXPECT_EQ(counters[0]["packets"], 3 * cpus_);
    EXPECT_THAT(ctl({"counters"}).out, Not(HasSubstr("bad_vxlan")));
    EXPECT_THAT(ctl({"counters", "--all"}).out, HasSubstr("bad_vxlan"));
}

TEST_F(WeftctlPins, CountersTellWhatWasToleratedApartFromWhatWasDropped) {
    set_per_cpu(tolerated_, element(WEFT_HOOK_FROM_POD, WEFT_R_POD_MAC), weft_counter{2, 200});
    const auto counters = ctl_json("counters");
    ASSERT_EQ(counters.size(), 1U) << counters;
    EXPECT_EQ(counters[0]["program"], "from_pod");
    EXPECT_EQ(counters[0]["verdict"], "tolerated");
    EXPECT_EQ(counters[0]["reason"], "pod_mac");
    EXPECT_EQ(counters[0]["packets"], 2 * cpus_);
}

TEST_F(WeftctlPins, RefusedTellsPodsAndStrangersApart) {
    EXPECT_THAT(ctl({"refused"}).out, HasSubstr("nothing refused yet"));
    const auto put = [&](weft_refused_key key, __u64 last_ns) {
        const weft_refused value{1, 60, last_ns, abi::mac(*parse_mac("02:00:00:00:00:07")), {}};
        const std::vector<weft_refused> of_cpu(static_cast<std::size_t>(cpus_), value);
        ASSERT_EQ(bpf_map_update_elem(refused_.get(), &key, of_cpu.data(), BPF_ANY), 0);
    };
    const auto address = abi::ip(*parse_ip4("10.244.1.2"));
    weft_endpoint endpoint{};
    endpoint.ifindex = 1; // lo
    ASSERT_EQ(bpf_map_update_elem(endpoints_.get(), &address, &endpoint, BPF_ANY), 0);
    put({.ifindex = 1, .hook = WEFT_HOOK_FROM_POD, .reason = WEFT_R_POD_ARP}, 3000);
    put({.sender = abi::ip(*parse_ip4("192.0.2.66")), .hook = WEFT_HOOK_FROM_WIRE, .reason = WEFT_R_UNKNOWN_SENDER},
        2000);
    put({.hook = WEFT_HOOK_FROM_WIRE, .reason = WEFT_R_FOREIGN_SOURCE, .tolerated = 1}, 1000);
    const auto refused = ctl_json("refused");
    ASSERT_EQ(refused.size(), 3U) << refused;
    EXPECT_EQ(refused[0]["sender"], "10.244.1.2");
    EXPECT_EQ(refused[0]["ifname"], "lo");
    EXPECT_EQ(refused[0]["reason"], "pod_arp");
    EXPECT_EQ(refused[0]["packets"], cpus_);
    EXPECT_EQ(refused[1]["sender"], "192.0.2.66");
    EXPECT_EQ(refused[1]["verdict"], "drop");
    EXPECT_EQ(refused[1]["mac"], "02:00:00:00:00:07");
    EXPECT_EQ(refused[2]["sender"], "others");
    EXPECT_EQ(refused[2]["verdict"], "tolerated");
}

TEST_F(WeftctlPins, WatchingPrintsRatesAsTheyCome) {
    WEFT_ASSERT_ASSIGN(auto watch, Process::spawn({binary("weftctl"), "counters", "--watch", "1", "--json", "--bpf-dir",
                                                   pins_->path().string()}));
    __u64 packets = 0;
    EXPECT_TRUE(wait_until([&] { // traffic: the counter grows while it is watched
        packets += 1000;
        set_per_cpu(counters_, element(WEFT_HOOK_FROM_POD, WEFT_R_ENCAP), weft_counter{packets, packets * 100});
        return watch.out().find("packets_per_second") != std::string::npos;
    })) << watch.describe();
    watch.kill();
    EXPECT_THAT(watch.out(), HasSubstr("\"reason\":\"encap\""));
}

TEST_F(WeftctlPins, StatusTellsThatTheDaemonIsDownAndIsNoFailure) {
    add_lease(*parse_net4("10.244.9.0/24"), *parse_ip4("192.0.2.9"), 0);
    const auto output = ctl({"status"});
    EXPECT_EQ(output.code, 0) << output.err;
    EXPECT_THAT(output.out, HasSubstr("not running"));
    const auto status = ctl_json("status");
    EXPECT_EQ(status["state"], "not running");
    EXPECT_EQ(status["datapath"]["leases"], 1);
}

TEST_F(WeftctlPins, AWriteThatFailsIsNoSuccess) {
    const auto output =
        run({"sh", "-c", fmt::format("{} leases --bpf-dir {} >/dev/full", binary("weftctl"), pins_->path().string())});
    ASSERT_TRUE(output) << output.error().sentence();
    EXPECT_EQ(output->code, 1);
    EXPECT_TRUE(is_one_line(output->err)) << output->err;
}

TEST_F(WeftctlPins, MapsOfAnotherVersionAreNamedNotReinterpreted) {
    ASSERT_EQ(::rename((*pins_ / WEFT_PIN_LEASES).c_str(), (*pins_ / "leases_v99").c_str()), 0);
    const auto renamed = ctl({"leases"});
    EXPECT_EQ(renamed.code, 1);
    EXPECT_THAT(renamed.err, HasSubstr("leases_v99"));

    UniqueFd other;
    make(other, BPF_MAP_TYPE_HASH, WEFT_PIN_LEASES, sizeof(weft_lease_key), sizeof(weft_lease) + 4, 1);
    const auto resized = ctl({"leases"});
    EXPECT_EQ(resized.code, 1);
    EXPECT_THAT(resized.err, HasSubstr("another version"));
    EXPECT_TRUE(is_one_line(resized.err)) << resized.err;
}

TEST_F(WeftctlPins, AnOrdinaryUserIsRefusedInOneLine) {
    WEFT_REQUIRES(requires_tools({"setpriv"}));
    const std::vector<std::vector<std::string>> commands{{"status"},
                                                         {"leases"},
                                                         {"endpoints"},
                                                         {"counters"},
                                                         {"doctor"},
                                                         {"audit"},
                                                         {"counters", "--watch=1"},
                                                         {"audit", "--repair"},
                                                         {"cleanup"},
                                                         {"cleanup", "--dry-run"}};
    for (const auto &command : commands) {
        SCOPED_TRACE(testing::PrintToString(command));
        std::vector<std::string> argv{"setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", binary("weftctl")};
        argv.insert(argv.end(), command.begin(), command.end());
        argv.insert(argv.end(), {"--bpf-dir", pins_->path().string(), "--run-dir", *pins_ / "run"});
        const auto output = run(argv);
        ASSERT_TRUE(output) << output.error().sentence();
        if (output->code > 2) GTEST_SKIP() << "an ordinary user cannot run programs of this build directory";
        EXPECT_EQ(output->code, 1);
        EXPECT_THAT(output->err, HasSubstr("needs root"));
        EXPECT_TRUE(is_one_line(output->err)) << output->err;
        EXPECT_EQ(output->out, "");
    }
}

} // namespace
} // namespace weft::test

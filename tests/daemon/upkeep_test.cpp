// SPDX-License-Identifier: Apache-2.0
// What somebody does to a node with a pod is put right within two seconds, also where the kernel tells nobody, and said once.
#include <bpf/bpf.h>

#include <chrono>
#include <functional>

#include "daemon_fixture.hpp"
#include "datapath/tc_attach.hpp"
#include "net/link.hpp"
#include "pinned.hpp"

namespace weft::test {
namespace {

using datapath::TcHook;
using testing::HasSubstr;

/// Two seconds, and what looking takes on a busy machine.
constexpr auto kSoon = 3s;

constexpr const char *kPins[] = {WEFT_PIN_LEASES,   WEFT_PIN_NODES,       WEFT_PIN_ENDPOINTS, WEFT_PIN_STATE,
                                 WEFT_PIN_COUNTERS, WEFT_PIN_LEASE_STATS, WEFT_PIN_EVENTS,    WEFT_PIN_TOLERATED,
                                 WEFT_PIN_REFUSED,  WEFT_PIN_ALLOWED,     WEFT_PIN_FROM_POD};

class Upkeep : public DaemonTest {
protected:
    void SetUp() override {
        DaemonTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        WEFT_ASSERT_OK(put_lease("10.244.77.0-24", "192.0.2.77"));
        start(flags());
        WEFT_ASSERT_OK(node_->wait_for_leases(1));
        WEFT_ASSERT_ASSIGN(pod_, node_->add_pod());
        WEFT_ASSERT_ASSIGN(const auto endpoints, node_->weftctl("endpoints"));
        ASSERT_EQ(endpoints.size(), 1U);
        veth_ = endpoints[0]["ifname"];
        // Its program first, then the pod's neighbours: the last that a new pod changes by itself.
        WEFT_ASSERT_OK(ping(node_->netns(), pod_->address, 1));
        before_ = state();
    }
    virtual std::vector<std::string> flags() const { return {}; }

    /// Everything of ours, as the kernel has it.
    [[nodiscard]] std::string state() const {
        std::string all;
        for (const char *what : {"leases", "endpoints"})
            if (const auto rows = node_->weftctl(what))
                for (auto row : *rows) {
                    for (const char *counter : {"tx_packets", "tx_bytes", "rx_packets", "rx_bytes"}) row.erase(counter);
                    all += row.dump() + "\n";
                }
        const auto status = node_->weftctl("status");
        if (status && (*status)["datapath"].is_object()) { // it is null while pins are missing
            all += "senders " + (*status)["datapath"]["senders"].dump() + "\n";
            for (auto program : (*status)["datapath"]["programs"]) all += program.dump() + "\n";
        }
        for (const char *pin : kPins) all += fmt::format("{} {}\n", pin, pinned(pin));
        const auto lens = maps::PinnedMap<__u32, weft_state>::open(node_->bpf_dir(), WEFT_PIN_STATE);
        if (const auto found = lens ? (*lens)->get(0) : Result<std::optional<weft_state>>(std::nullopt);
            found && *found)
            all += fmt::format("lengths {}\n", abi::prefix_lens(**found).of[WEFT_IPV4].size());
        for (const char *command :
             {"ip route show proto 119", "ip neighbour show dev weft.1", "cat /proc/sys/net/ipv4/ip_forward",
              "cat /proc/sys/net/ipv6/conf/weft.1/accept_ra"})
            if (const auto out = node_->netns().output(words(command))) all += out->out;
        return all + read_file(node_->subnet_file()).value_or("no subnet.env");
    }
    [[nodiscard]] __u32 pinned(const char *pin) const {
        const UniqueFd fd(bpf_obj_get((node_->bpf_dir() / pin).c_str()));
        bpf_map_info info{}; // a program's begins the same
        __u32 len = sizeof(info);
        return fd && bpf_obj_get_info_by_fd(fd.get(), &info, &len) == 0 ? info.id : 0;
    }

    /// Does the damage, and expects everything to be as it was in time.
    /// @param said what the log must say of it, once
    void expect_repair(const std::string &what, const std::function<Status()> &damage, const std::string &said) {
        const auto lines_before = log().size();
        WEFT_ASSERT_OK(damage());
        EXPECT_TRUE(wait_until([&] { return log().substr(lines_before).contains(said); }, kSoon))
            << what << ": " << said;
        EXPECT_TRUE(wait_until([&] { return state() == before_; }, kSoon)) << what << "\nwas:\n"
                                                                           << before_ << "\nis:\n"
                                                                           << state() << log().substr(lines_before);
        EXPECT_EQ(times(log().substr(lines_before), said), 1U) << what << ": " << said << "\n"
                                                               << log().substr(lines_before);
        WEFT_EXPECT_OK(ping(node_->netns(), pod_->address, 1));
    }
    Status run(const std::string &line) {
        auto out = node_->netns().run(line);
        return out ? Status() : fail_as_is(std::move(out));
    }
    Status detach(const char *link, TcHook hook) {
        return node_->netns().run_in([&]() -> Status {
            auto sock = net::NlSocket::open();
            if (!sock) return fail_as_is(std::move(sock));
            const auto found = net::find_link(*sock, link);
            if (!found || !*found) return fail(fmt::format("no {}", link));
            auto taken = datapath::detach_tc((*found)->index, hook);
            return taken ? Status() : fail_as_is(std::move(taken));
        });
    }
    template <class Map> Status erase_first(const char *pin) {
        auto map = Map::open(node_->bpf_dir(), pin);
        if (!map) return fail_as_is(std::move(map));
        const auto entries = (*map)->entries();
        if (!entries || entries->empty()) return fail("nothing to erase");
        auto erased = (*map)->erase(entries->front().first);
        return erased ? Status() : fail_as_is(std::move(erased));
    }

    Pod *pod_ = nullptr;
    std::string veth_, before_;
};

TEST_F(Upkeep, MapEntries) {
    expect_repair(
        "lease deleted", [&] { return erase_first<maps::LeaseMap>(WEFT_PIN_LEASES); }, "maps: brought up to date");
    expect_repair(
        "sender deleted", [&] { return erase_first<maps::NodeMap>(WEFT_PIN_NODES); }, "maps: brought up to date");
    expect_repair(
        "lease changed",
        [&]() -> Status {
            auto leases = maps::LeaseMap::open(node_->bpf_dir(), WEFT_PIN_LEASES);
            if (!leases) return fail_as_is(std::move(leases));
            auto entry = (*leases)->entries().value().front();
            entry.second.node.octet[15] ^= 1;
            return (*leases)->put(entry.first, entry.second);
        },
        "maps: brought up to date");
    expect_repair(
        "foreign lease",
        [&]() -> Status {
            auto leases = maps::LeaseMap::open(node_->bpf_dir(), WEFT_PIN_LEASES);
            if (!leases) return fail_as_is(std::move(leases));
            return (*leases)->put(abi::lease_key(*parse_net("10.244.99.0/24")), weft_lease{});
        },
        "maps: brought up to date");
    expect_repair(
        "prefix lengths gone",
        [&]() -> Status {
            auto state = maps::PinnedMap<__u32, weft_state>::open(node_->bpf_dir(), WEFT_PIN_STATE);
            if (!state) return fail_as_is(std::move(state));
            return (*state)->put(0, weft_state{});
        },
        "maps: brought up to date");
    expect_repair(
        "pod's entry deleted", [&] { return erase_first<maps::EndpointMap>(WEFT_PIN_ENDPOINTS); },
        "found without an entry");
    expect_repair(
        "entry of a pod that is gone",
        [&]() -> Status {
            auto pods = maps::EndpointMap::open(node_->bpf_dir(), WEFT_PIN_ENDPOINTS);
            if (!pods) return fail_as_is(std::move(pods));
            return (*pods)->put(abi::ip(*parse_ip("10.244.77.9")), weft_endpoint{.ifindex = 4242});
        },
        "its interface is gone");
}

TEST_F(Upkeep, Pins) {
    for (const char *pin : kPins)
        expect_repair(
            pin,
            [&]() -> Status {
                std::filesystem::remove(node_->bpf_dir() / pin);
                return {};
            },
            fmt::format("attached pin {}", pin));
}

TEST_F(Upkeep, Programs) {
    expect_repair("uplink's", [&] { return detach("eth0", TcHook::ingress); }, "attached from_wire on eth0");
    expect_repair("weft.1's egress", [&] { return detach("weft.1", TcHook::egress); }, "attached from_host on weft.1");
    expect_repair(
        "weft.1's ingress", [&] { return detach("weft.1", TcHook::ingress); }, "attached from_tunnel on weft.1");
}

/// It comes back in another way than the plugin put it there: what counts is that it runs.
class UpkeepOfAPod : public Upkeep, public testing::WithParamInterface<const char *> {};

TEST_P(UpkeepOfAPod, Program) {
    const auto again = fmt::format("attached from_pod on {}", veth_);
    WEFT_ASSERT_OK(run(fmt::format(fmt::runtime(GetParam()), veth_)));
    EXPECT_TRUE(wait_until([&] { return times(log(), again) == 1; }, kSoon)) << log();
    EXPECT_THAT(node_->weftctl("status").value()["datapath"]["programs"].dump(), HasSubstr("weft_from_pod"));
    WEFT_ASSERT_OK(detach(veth_.c_str(), TcHook::ingress));
    EXPECT_TRUE(wait_until([&] { return times(log(), again) == 2; }, kSoon)) << log();
    EXPECT_THAT(node_->weftctl("status").value()["datapath"]["programs"].dump(), HasSubstr("weft_from_pod"));
}

INSTANTIATE_TEST_SUITE_P(By, UpkeepOfAPod,
                         testing::Values("tc filter del dev {} ingress", "tc qdisc del dev {} clsact"),
                         [](const auto &damage) { return words(damage.param)[1]; });

TEST_F(Upkeep, SettingsRoutesNeighboursAndTheFile) {
    expect_repair(
        "forwarding off", [&] { return node_->netns().sysctl("net.ipv4.ip_forward", "0"); },
        "sysctl net/ipv4/ip_forward");
    expect_repair(
        "weft.1 takes advertisements", [&] { return run("sysctl -qw net/ipv6/conf/weft.1/accept_ra=2"); },
        "sysctl net/ipv6/conf/weft.1/accept_ra");
    expect_repair(
        "pod's route deleted", [&] { return node_->netns().ip("route del " + pod_->address); },
        "route " + pod_->address);
    expect_repair(
        "neighbours flushed", [&] { return run("ip neigh flush dev weft.1 nud permanent"); }, "neighbour 169.254.1.1");
    expect_repair(
        "subnet.env deleted",
        [&]() -> Status {
            std::filesystem::remove(node_->subnet_file());
            return {};
        },
        "subnet.env written");
    expect_repair(
        "subnet.env changed", [&] { return write_file(node_->subnet_file(), "FLANNEL_MTU=9000\n"); },
        "subnet.env written");
}

// The kernel drops a link's routes with its carrier, and tells of none of them.
TEST_F(Upkeep, ABouncedPodInterface) {
    expect_repair(
        "veth down and up", [&] { return node_->netns().ip("link set " + veth_ + " down\nlink set " + veth_ + " up"); },
        "route " + pod_->address);
}

TEST_F(Upkeep, APodThatVanishedIsForgotten) {
    WEFT_ASSERT_OK(node_->netns().ip("link del " + veth_));
    EXPECT_TRUE(wait_until([&] { return node_->weftctl("endpoints").value().empty(); }, kSoon)) << log();
    EXPECT_EQ(times(log(), "its interface is gone"), 1U) << log();
}

class Audit : public Upkeep {
protected:
    [[nodiscard]] Output audit(std::vector<std::string> more = {}) const {
        std::vector<std::string> argv{binary("weftctl"), "audit", "--run-dir=" + node_->run_dir().string()};
        argv.insert(argv.end(), more.begin(), more.end());
        return node_->netns().output(argv).value_or(Output{});
    }
};

TEST_F(Audit, FindsNothingOnASoundNode) {
    const auto sound = audit();
    EXPECT_EQ(sound.code, 0) << sound.err;
    EXPECT_EQ(sound.out, "everything is as it should be\n");
    EXPECT_EQ(nlohmann::json::parse(audit({"--json"}).out, nullptr, false),
              nlohmann::json::parse(R"({"found":[],"left":[]})"));
}

// weftd may be faster than the question: then it is asked again, after new damage.
TEST_F(Audit, ShowsWhatDiffersAndPutsItRight) {
    Output shown;
    EXPECT_TRUE(wait_until([&] {
        std::filesystem::remove(node_->bpf_dir() / WEFT_PIN_EVENTS);
        shown = erase_first<maps::LeaseMap>(WEFT_PIN_LEASES) ? audit() : Output{};
        return shown.code == 1 && shown.out.contains("lease 10.244.77.0/24: set node=192.0.2.77") &&
               shown.out.contains("pin events_v2: missing");
    })) << shown.out;
    Output repaired;
    EXPECT_TRUE(wait_until([&] {
        repaired = erase_first<maps::LeaseMap>(WEFT_PIN_LEASES) ? audit({"--repair"}) : Output{};
        return repaired.out.contains("lease 10.244.77.0/24: set");
    })) << repaired.out;
    EXPECT_EQ(repaired.code, 0) << repaired.out;
    EXPECT_THAT(repaired.out, testing::Not(HasSubstr("still")));
    EXPECT_EQ(state(), before_);
}

TEST_F(Audit, WithoutADaemonItSaysSo) {
    WEFT_ASSERT_OK(node_->stop());
    const auto refused = audit();
    EXPECT_EQ(refused.code, 1);
    EXPECT_EQ(times(refused.err, "\n"), 1U) << refused.err;
}

class UpkeepOfXdp : public Upkeep {
    std::vector<std::string> flags() const override { return {"--datapath=xdp"}; }
};

TEST_F(UpkeepOfXdp, TheUplinksProgram) {
    const auto lines_before = log().size();
    WEFT_ASSERT_OK(node_->netns().ip("link set dev eth0 xdp off"));
    EXPECT_TRUE(wait_until([&] { return sh("ip link show eth0").contains("prog/xdp"); }, kSoon)) << log();
    EXPECT_TRUE(wait_until([&] { return times(log().substr(lines_before), "attached xdp_wire on eth0") == 1; }))
        << log();
}

} // namespace
} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
// How long the container runtime waits for the network: ADD and DEL of `weft` beside Debian's bridge + host-local plugins,
// alone and in the chains that clusters have. Every pod has a namespace of its own; the chains take turns, so that all meet
// the same machine. Times are wall time from the first plugin's start to the last one's end. Prints one JSON object.
//
// flannel's own plugin is not Debian's: what it adds, a program of the same make that is started and ends, is stood in for
// by the loopback plugin, asked for its version.
#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <list>
#include <map>
#include <optional>
#include <thread>

#include "cni_node.hpp"
#include "needs.hpp"
#include "process.hpp"

namespace weft::test {
namespace {

using Clock = std::chrono::steady_clock;
using Millis = std::chrono::duration<double, std::milli>;

/// One plugin of a chain.
struct Step {
    std::string path;
    json conf;
    bool only_started = false; ///< asked for its version: costs what starting and ending it costs
};

/// What a runtime calls for one network, first to last; for DEL last to first.
struct Chain {
    std::string name;
    std::vector<Step> steps;
};

struct Pod {
    std::string id;
    std::string netns;
};

/// One plugin to its end, as a container runtime calls it. @return stdout, nothing if it failed.
std::optional<std::string> call(const Step &step, const std::string &netns, const std::string &command, const Pod &pod,
                                const json &previous) {
    auto conf = step.conf;
    if (!previous.is_null()) conf["prevResult"] = previous;
    auto done = run({step.path},
                    {.netns = netns,
                     .env = {"CNI_COMMAND=" + (step.only_started ? "VERSION" : command), "CNI_CONTAINERID=" + pod.id,
                             "CNI_IFNAME=eth0", "CNI_NETNS=" + pod.netns, "CNI_PATH=/usr/lib/cni"},
                     .input = conf.dump()});
    if (!done || done->code != 0) {
        fmt::print(stderr, "{} {}: {}\n", step.path, command, done ? done->out + done->err : done.error().sentence());
        return std::nullopt;
    }
    return done->out;
}

bool call_all(const Chain &chain, const std::string &netns, const std::string &command, const Pod &pod, json &result) {
    auto steps = chain.steps;
    if (command == "DEL") std::ranges::reverse(steps);
    for (const Step &step : steps) {
        const auto out = call(step, netns, command, pod, result);
        if (!out) return false;
        if (command == "ADD" && !step.only_started) result = json::parse(*out, nullptr, false);
    }
    return true;
}

class Bench {
public:
    /// @param netns path of the node's namespace.
    Bench(std::string netns, std::vector<Chain> chains) : netns_(std::move(netns)), chains_(std::move(chains)) {}

    /// Pod after pod, chain after chain.
    [[nodiscard]] bool one_by_one(const std::list<Pod> &pods) {
        for (const Pod &pod : pods)
            for (const Chain &chain : chains_) {
                json result;
                for (const char *command : {"ADD", "DEL"}) {
                    const auto begin = Clock::now();
                    if (!call_all(chain, netns_, command, pod, result)) return false;
                    times_[chain.name]["one by one"][command].push_back(since(begin));
                }
            }
        return true;
    }

    /// All pods at once, chain after chain.
    [[nodiscard]] bool together(const std::list<Pod> &pods) {
        for (const Chain &chain : chains_) {
            std::vector<json> results(pods.size());
            for (const char *command : {"ADD", "DEL"}) {
                std::vector<double> times(pods.size());
                std::atomic<bool> good = true;
                const auto begin = Clock::now();
                {
                    std::vector<std::jthread> callers;
                    std::size_t i = 0;
                    for (const Pod &pod : pods) {
                        callers.emplace_back([&, i] {
                            const auto started = Clock::now();
                            if (!call_all(chain, netns_, command, pod, results[i])) good = false;
                            times[i] = since(started);
                        });
                        ++i;
                    }
                }
                if (!good) return false;
                auto &all = times_[chain.name]["at once"];
                all[command].insert(all[command].end(), times.begin(), times.end());
                all[std::string(command) + " of all"].push_back(since(begin));
            }
        }
        return true;
    }

    /// {chain: {how: {"ADD": median ms, "ADD p99", "ADD of all": of the slowest, ...}}}
    [[nodiscard]] json report() {
        json out;
        for (auto &[chain, by_how] : times_)
            for (auto &[how, by_command] : by_how)
                for (auto &[command, times] : by_command) {
                    std::ranges::sort(times);
                    out[chain][how][command] = times[times.size() / 2];
                    out[chain][how][command + " p99"] = times[times.size() * 99 / 100];
                }
        return out;
    }

private:
    static double since(Clock::time_point begin) { return Millis(Clock::now() - begin).count(); }

    std::string netns_;
    std::vector<Chain> chains_;
    std::map<std::string, std::map<std::string, std::map<std::string, std::vector<double>>>> times_;
};

std::vector<Chain> chains(const CniNode &node) {
    // What flannel's plugin hands to bridge, with Kubernetes' usual delegate options.
    const Step bridge{.path = "/usr/lib/cni/bridge",
                      .conf = {{"cniVersion", "1.0.0"},
                               {"name", "bridged"},
                               {"type", "bridge"},
                               {"mtu", 1450},
                               {"isGateway", true},
                               {"ipMasq", false},
                               {"hairpinMode", true},
                               {"isDefaultGateway", true},
                               {"ipam",
                                {{"type", "host-local"},
                                 {"dataDir", node.data_dir()},
                                 {"ranges", {{{{"subnet", "10.245.0.0/22"}}}}},
                                 {"routes", {{{"dst", "10.244.0.0/16"}}}}}}}};
    const Step weft{.path = binary("weft"), .conf = node.conf("1.0.0")};
    const Step portmap{.path = "/usr/lib/cni/portmap",
                       .conf = {{"cniVersion", "1.0.0"}, {"name", "ports"}, {"type", "portmap"}}};
    const Step flannel{.path = "/usr/lib/cni/loopback", .conf = {{"cniVersion", "1.0.0"}}, .only_started = true};
    return {{"weft", {weft}},
            {"bridge + host-local", {bridge}},
            {"weft, portmap", {weft, portmap}},
            {"flannel's chain", {flannel, bridge, portmap}}};
}

int run_bench(Families families, int rounds, int at_once) {
    auto node = CniNode::create("cni-bench", families, 22);
    if (!node) return fmt::print(stderr, "{}\n", node.error().sentence()), 1;
    std::list<Netns> namespaces;
    std::list<Pod> pods;
    for (int i = 0; i < at_once; ++i) {
        auto ns = Netns::create("b" + std::to_string(i));
        if (!ns) return fmt::print(stderr, "{}\n", ns.error().sentence()), 1;
        pods.push_back({"bench-pod-" + std::to_string(i), ns->path()});
        namespaces.push_back(std::move(*ns));
    }
    Bench bench(node->ns().path(), chains(*node));
    for (int done = 0; done < rounds; done += at_once)
        if (!bench.one_by_one(pods) || !bench.together(pods)) return 1;
    fmt::print("{}\n", bench.report().dump());
    return 0;
}

} // namespace
} // namespace weft::test

int main(int argc, char **argv) {
    CLI::App app{"ADD and DEL times of weft, of bridge + host-local, and of their chains"};
    int rounds = 200, at_once = 50;
    app.add_option("--rounds", rounds, "pods per chain and kind")->check(CLI::PositiveNumber);
    app.add_option("--at-once", at_once, "pods at the same time")->check(CLI::PositiveNumber);
    weft::test::Families families = weft::test::Families::v4;
    app.add_option("--families", families, "of weft's pods: v4, dual or v6")
        ->transform(CLI::CheckedTransformer(std::map<std::string, weft::test::Families>{
            {"v4", weft::test::Families::v4}, {"dual", weft::test::Families::dual}, {"v6", weft::test::Families::v6}}));
    CLI11_PARSE(app, argc, argv);
    return weft::test::run_bench(families, rounds, at_once);
}

// SPDX-License-Identifier: Apache-2.0
// How long the container runtime waits for the network: ADD and DEL of `weft` beside Debian's bridge + host-local plugins,
// as flannel's own plugin calls them. Every pod has a namespace of its own; the plugins take turns, so that both meet the
// same machine. Times are wall time from spawn to exit.
#include <CLI/CLI.hpp>
#include <fcntl.h>
#include <fmt/format.h>
#include <sched.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <list>
#include <map>
#include <thread>

#include "cni_node.hpp"
#include "needs.hpp"

namespace weft::test {
namespace {

using Clock = std::chrono::steady_clock;
using Millis = std::chrono::duration<double, std::milli>;

struct Plugin {
    std::string name;
    std::string path;
    json conf;
};

struct Pod {
    std::string id;
    std::string netns;
};

/// One run of a plugin: started now, waited for later.
struct Run {
    pid_t pid = -1;
    Clock::time_point begin;
};

/// Starts the plugin with its configuration as stdin (a file, so that nobody has to feed a pipe).
Run start(const Plugin &plugin, const std::string &conf_file, const char *command, const Pod &pod) {
    std::vector<std::string> env{std::string("CNI_COMMAND=") + command,
                                 "CNI_CONTAINERID=" + pod.id,
                                 "CNI_IFNAME=eth0",
                                 "CNI_NETNS=" + pod.netns,
                                 "CNI_PATH=/usr/lib/cni",
                                 "PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
    std::vector<char *> envp;
    for (auto &variable : env) envp.push_back(variable.data());
    envp.push_back(nullptr);
    std::string path = plugin.path;
    char *argv[] = {path.data(), nullptr};
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, conf_file.c_str(), O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    Run run{.begin = Clock::now()};
    if (posix_spawn(&run.pid, path.c_str(), &actions, nullptr, argv, envp.data()) != 0) run.pid = -1;
    posix_spawn_file_actions_destroy(&actions);
    return run;
}

/// @return milliseconds since its start; ends the program if the plugin failed: its times would mean nothing.
double finish(const Plugin &plugin, const char *command, const Run &run, pid_t pid, int status) {
    const double took = Millis(Clock::now() - run.begin).count();
    if (pid < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
        fmt::print(stderr, "{} {} failed\n", plugin.name, command);
        std::_Exit(1);
    }
    return took;
}

class Bench {
public:
    Bench(const CniNode &node, std::vector<Plugin> plugins) : plugins_(std::move(plugins)) {
        for (const Plugin &plugin : plugins_) {
            conf_files_.push_back(node.subnet_file().string() + "." + plugin.name + ".json");
            if (!write_file(conf_files_.back(), plugin.conf.dump())) std::_Exit(1);
        }
    }

    /// Pod after pod, plugin after plugin.
    void one_by_one(const std::list<Pod> &pods) {
        for (const Pod &pod : pods)
            for (std::size_t p = 0; p < plugins_.size(); ++p)
                for (const char *command : {"ADD", "DEL"}) {
                    const Run run = start(plugins_[p], conf_files_[p], command, pod);
                    int status = 0;
                    const pid_t pid = ::waitpid(run.pid, &status, 0);
                    times_[{plugins_[p].name, "one by one", command}].push_back(
                        finish(plugins_[p], command, run, pid, status));
                }
    }

    /// All pods at once, plugin after plugin.
    void together(const std::list<Pod> &pods) {
        for (std::size_t p = 0; p < plugins_.size(); ++p)
            for (const char *command : {"ADD", "DEL"}) {
                std::map<pid_t, Run> running;
                for (const Pod &pod : pods) {
                    const Run run = start(plugins_[p], conf_files_[p], command, pod);
                    running[run.pid] = run;
                }
                while (!running.empty()) {
                    int status = 0;
                    const pid_t pid = ::wait(&status);
                    times_[{plugins_[p].name, fmt::format("{} at once", pods.size()), command}].push_back(
                        finish(plugins_[p], command, running[pid], pid, status));
                    running.erase(pid);
                }
            }
    }

    void print() {
        json out = json::array();
        fmt::print("{:<20} {:<12} {:<4} {:>6} {:>11} {:>11}\n", "plugin", "how", "", "runs", "median ms", "p99 ms");
        for (auto &[what, times] : times_) {
            const auto &[plugin, how, command] = what;
            std::ranges::sort(times);
            const double median = times[times.size() / 2], p99 = times[times.size() * 99 / 100];
            fmt::print("{:<20} {:<12} {:<4} {:>6} {:>11.2f} {:>11.2f}\n", plugin, how, command, times.size(), median,
                       p99);
            out.push_back({{"plugin", plugin},
                           {"how", how},
                           {"command", command},
                           {"runs", times.size()},
                           {"median_ms", median},
                           {"p99_ms", p99}});
        }
        fmt::print("{}\n", out.dump());
    }

private:
    std::vector<Plugin> plugins_;
    std::vector<std::string> conf_files_;
    std::map<std::tuple<std::string, std::string, std::string>, std::vector<double>> times_;
};

std::vector<Plugin> plugins(const CniNode &node) {
    // What flannel's plugin hands to bridge, with Kubernetes' usual delegate options.
    const json bridge{{"cniVersion", "1.0.0"},
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
                        {"routes", {{{"dst", "10.244.0.0/16"}}}}}}};
    return {{"weft", binary("weft"), node.conf("1.0.0")}, {"bridge+host-local", "/usr/lib/cni/bridge", bridge}};
}

int run_bench(int rounds, int at_once) {
    auto node = CniNode::create("cni-bench", 22);
    if (!node) return fmt::print(stderr, "{}\n", node.error().sentence()), 1;
    std::list<Netns> namespaces;
    std::list<Pod> pods;
    for (int i = 0; i < at_once; ++i) {
        auto ns = Netns::create("b" + std::to_string(i));
        if (!ns) return fmt::print(stderr, "{}\n", ns.error().sentence()), 1;
        pods.push_back({"bench-pod-" + std::to_string(i), ns->path()});
        namespaces.push_back(std::move(*ns));
    }
    Bench bench(*node, plugins(*node));
    const auto entered = node->ns().run_in([&]() -> Status {
        for (int done = 0; done < rounds; done += at_once) bench.one_by_one(pods);
        for (int done = 0; done < rounds; done += at_once) bench.together(pods);
        return {};
    });
    if (!entered) return fmt::print(stderr, "{}\n", entered.error().sentence()), 1;
    bench.print();
    return 0;
}

} // namespace
} // namespace weft::test

int main(int argc, char **argv) {
    CLI::App app{"ADD and DEL times of weft and of bridge + host-local"};
    int rounds = 200, at_once = 50;
    app.add_option("--rounds", rounds, "pods per plugin and kind")->check(CLI::PositiveNumber);
    app.add_option("--at-once", at_once, "pods at the same time")->check(CLI::PositiveNumber);
    CLI11_PARSE(app, argc, argv);
    return weft::test::run_bench(rounds, at_once);
}

// SPDX-License-Identifier: Apache-2.0
// Containers of real runtimes on two nodes, with weft as their network: from a conflist in its usual place to the last trace.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fmt/format.h>

#include <filesystem>
#include <memory>

#include "cluster_fixture.hpp"
#include "container_host.hpp"

namespace weft::test {
namespace {

using testing::HasSubstr;

/// One container runtime on one node.
class Runtime {
public:
    explicit Runtime(const ContainerHost &host) : host_(host) {}
    virtual ~Runtime() = default;

    virtual Status start() { return {}; }
    /// A container from that root filesystem with a web server on port 80, published as port `publish` of the node (0: not).
    virtual Status run(const std::string &name, const std::filesystem::path &rootfs, std::uint16_t publish) = 0;
    virtual Result<std::string> exec(const std::string &name, const std::string &line) = 0;
    /// The container's first process, by its id in the host's pid namespace.
    virtual Result<std::string> pid(const std::string &name) = 0;
    virtual Status remove(const std::string &name) = 0;

protected:
    const ContainerHost &host_;
};

Status done(Result<std::string> &&outcome) {
    if (!outcome) return fail_as_is(std::move(outcome));
    return {};
}

/// containerd with its own client: `ctr run --cni` wires the container from the conflist. It knows no port mappings.
class Containerd final : public Runtime {
public:
    using Runtime::Runtime;

    Status start() override {
        const auto config = fmt::format("version = 2\nroot = \"{0}/containerd\"\nstate = \"/run/containerd\"\n"
                                        "disabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n"
                                        "[grpc]\naddress = \"/run/containerd/containerd.sock\"\n",
                                        host_.dir().string());
        if (auto written = write_file(host_.dir() / "containerd.toml", config); !written) return written;
        auto daemon = host_.spawn({"containerd", "--config", (host_.dir() / "containerd.toml").string()});
        if (!daemon) return fail_as_is(std::move(daemon));
        daemon_ = std::move(*daemon);
        if (wait_until([&] { return ctr("version").has_value(); })) return {};
        return fail("containerd does not answer: " + daemon_->describe());
    }
    Status run(const std::string &name, const std::filesystem::path &rootfs, std::uint16_t) override {
        // In the foreground: the client that wired a container is the one that unwires it.
        auto client = host_.spawn({"ctr", "run", "--rm", "--cni", "--rootfs", rootfs.string(), name, "/bin/httpd", "-f",
                                   "-p", "80", "-h", "/www"});
        if (!client) return fail_as_is(std::move(client));
        auto &running = clients_.insert_or_assign(name, std::move(*client)).first->second;
        const auto up = [&] { return pid(name).has_value() || !running.running(); };
        if (wait_until(up, 20s) && running.running()) return {};
        return fail("ctr run: " + running.describe());
    }
    Result<std::string> exec(const std::string &name, const std::string &line) override {
        return ctr(fmt::format("task exec --exec-id exec{} {} {}", ++execs_, name, line));
    }
    Result<std::string> pid(const std::string &name) override {
        auto tasks = ctr("task list");
        if (!tasks) return tasks;
        for (std::size_t at = 0; at < tasks->size();) {
            const auto end = tasks->find('\n', at);
            const auto row = words(tasks->substr(at, end - at));
            if (row.size() == 3 && row[0] == name && row[2] == "RUNNING") return row[1];
            if (end == std::string::npos) break;
            at = end + 1;
        }
        return fail(fmt::format("no running task {}: {}", name, *tasks), ENOENT);
    }
    Status remove(const std::string &name) override {
        auto &client = clients_.at(name);
        if (const auto first = pid(name)) (void)ctr("task kill --signal SIGKILL " + name);
        if (!client.wait(20s)) return fail("ctr run does not end: " + client.describe());
        return {};
    }

private:
    Result<std::string> ctr(const std::string &line) { return host_.run("ctr " + line); }
    std::optional<Process> daemon_;
    std::map<std::string, Process> clients_;
    unsigned execs_ = 0;
};

/// podman on the CNI plugins, its state in memory and its images nowhere.
class Podman final : public Runtime {
public:
    using Runtime::Runtime;

    Status start() override {
        // vfs needs no overlay filesystem, runc takes any arrangement of cgroups, and the limits are what any machine allows.
        return write_file(host_.dir() / "containers.conf",
                          "[network]\nnetwork_backend = \"cni\"\ncni_plugin_dirs = [\"/opt/cni/bin\"]\n"
                          "network_config_dir = \"/etc/cni/net.d\"\ndefault_network = \"cbr0\"\n"
                          "[engine]\ncgroup_manager = \"cgroupfs\"\nevents_logger = \"file\"\nruntime = \"runc\"\n"
                          "[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n");
    }
    Status run(const std::string &name, const std::filesystem::path &rootfs, std::uint16_t publish) override {
        std::vector<std::string> command{"run", "--detach", "--name", name, "--log-driver", "none"};
        if (publish != 0)
            for (const char *protocol : {"tcp", "udp"})
                command.insert(command.end(), {"--publish", fmt::format("{}:80/{}", publish, protocol)});
        command.insert(command.end(), {"--rootfs", rootfs.string(), "/bin/httpd", "-f", "-p", "80", "-h", "/www"});
        return done(podman(std::move(command)));
    }
    Result<std::string> exec(const std::string &name, const std::string &line) override {
        auto command = words(line);
        command.insert(command.begin(), {"exec", name});
        return podman(std::move(command));
    }
    Result<std::string> pid(const std::string &name) override {
        auto out = podman({"inspect", "--format", "{{.State.Pid}}", name});
        if (out) out->erase(out->find_last_not_of('\n') + 1);
        return out;
    }
    Status remove(const std::string &name) override { return done(podman({"rm", "--force", "--time", "0", name})); }

private:
    Result<std::string> podman(std::vector<std::string> command) {
        const auto dir = host_.dir().string();
        std::vector<std::string> all{"env",
                                     fmt::format("CONTAINERS_CONF={}/containers.conf", dir),
                                     "podman",
                                     "--root",
                                     dir + "/podman/root",
                                     "--runroot",
                                     dir + "/podman/run",
                                     "--tmpdir",
                                     dir + "/podman/tmp",
                                     "--storage-driver",
                                     "vfs"};
        all.insert(all.end(), command.begin(), command.end());
        return host_.run(std::move(all));
    }
};

class Containers : public ClusterTest {
protected:
    struct Node {
        WeftNode *node = nullptr;
        std::optional<ContainerHost> host;
        std::unique_ptr<Runtime> runtime;
        std::string address;
        std::string before; ///< traces() without containers
    };

    void SetUp() override {
        WEFT_REQUIRES(requires_tools({"unshare", "busybox", "runc", "curl", "tc"}));
        if (!std::filesystem::exists("/usr/lib/cni/portmap") || !std::filesystem::is_directory("/etc/cni"))
            GTEST_SKIP() << "no CNI plugins in /usr/lib/cni, or no /etc/cni (containernetworking-plugins, podman)";
        ClusterTest::SetUp();
    }
    void TearDown() override {
        for (auto &one : nodes_)
            if (one.node) expect_no_drops(*one.node);
    }

    template <class Kind> void start_runtimes() {
        for (auto &one : nodes_) {
            WEFT_ASSERT_ASSIGN(one.node, cluster_->add_node());
            WEFT_ASSERT_ASSIGN(auto host, ContainerHost::create(*one.node));
            one.host.emplace(std::move(host));
            one.runtime = std::make_unique<Kind>(*one.host);
            WEFT_ASSERT_OK(one.runtime->start());
            WEFT_ASSERT_ASSIGN(one.before, one.host->traces());
        }
        WEFT_ASSERT_OK(cluster_->settle());
        nodes_[0].address = "192.0.2.1";
        nodes_[1].address = "192.0.2.2";
    }

    static std::string page_of(std::size_t i) { return fmt::format("page of web{}\n", i + 1); }

    /// A container on each node, by name: "web1", "web2".
    void run_containers(std::uint16_t publish) {
        for (std::size_t i = 0; i < nodes_.size(); ++i) {
            const auto name = fmt::format("web{}", i + 1);
            WEFT_ASSERT_ASSIGN(const auto rootfs, nodes_[i].host->make_rootfs(name, "page of " + name));
            WEFT_ASSERT_OK(nodes_[i].runtime->run(name, rootfs, publish));
        }
    }
    /// The address of the only container of a node.
    [[nodiscard]] std::string address_on(std::size_t i) const {
        const auto endpoints = nodes_[i].node->weftctl("endpoints");
        return endpoints && endpoints->size() == 1 ? endpoints->front().value("address", "") : "";
    }

    void expect_containers_reach_each_other() {
        for (std::size_t i = 0; i < nodes_.size(); ++i) {
            const std::size_t other = 1 - i;
            const auto address = address_on(other);
            ASSERT_NE(address, "");
            const auto name = fmt::format("web{}", i + 1);
            WEFT_EXPECT_OK(nodes_[i].runtime->exec(name, fmt::format("/bin/ping -c 2 -W 2 {}", address)));
            std::string page;
            EXPECT_TRUE(wait_until([&] { // its server may still be starting
                auto got = nodes_[i].runtime->exec(name, fmt::format("/bin/fetch {} 80", address));
                page = got ? *got : got.error().sentence();
                return page == page_of(other);
            })) << page;
            WEFT_EXPECT_OK(nodes_[i].node->netns().run(fmt::format("curl -sS -m 5 http://{}/", address)));
        }
    }
    /// So that "nothing left" cannot come from not looking.
    void expect_traces() {
        for (auto &one : nodes_) {
            WEFT_ASSERT_ASSIGN(const auto traces, one.host->traces());
            for (const char *kind : {"link weft", "address ", "endpoint ", "process httpd"})
                EXPECT_THAT(traces, HasSubstr(kind));
        }
    }
    /// Waits, because some of it goes behind the runtime's back.
    void expect_nothing_left() {
        for (auto &one : nodes_) {
            std::string left;
            EXPECT_TRUE(wait_until([&] {
                auto traces = one.host->traces();
                left = traces ? *traces : traces.error().sentence();
                return left == one.before;
            })) << one.node->name()
                << " has more than before: " << left;
        }
    }
    void crash(std::size_t i) {
        WEFT_ASSERT_ASSIGN(const auto pid, nodes_[i].runtime->pid(fmt::format("web{}", i + 1)));
        WEFT_ASSERT_OK(nodes_[i].host->run({"kill", "-KILL", pid}));
    }

    std::array<Node, 2> nodes_;
};

TEST_P(Containers, UnderContainerd) {
    WEFT_REQUIRES(requires_tools({"containerd", "ctr"}));
    ASSERT_NO_FATAL_FAILURE(start_runtimes<Containerd>());
    ASSERT_NO_FATAL_FAILURE(run_containers(0));
    expect_containers_reach_each_other();
    expect_traces();
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        if (i == 1) crash(i);
        WEFT_EXPECT_OK(nodes_[i].runtime->remove(fmt::format("web{}", i + 1)));
    }
    expect_nothing_left();
}

TEST_P(Containers, UnderPodman) {
    constexpr std::uint16_t kPort = 8080;
    WEFT_REQUIRES(requires_tools({"podman", "conmon"}));
    ASSERT_NO_FATAL_FAILURE(start_runtimes<Podman>());
    ASSERT_NO_FATAL_FAILURE(run_containers(kPort));
    expect_containers_reach_each_other();
    expect_traces();
    // The published port: from outside, from both nodes, from the other node's container.
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        const auto url = fmt::format("http://{}:{}/", nodes_[i].address, kPort);
        for (const auto *from : {&cluster_->world(), &nodes_[0].node->netns(), &nodes_[1].node->netns()}) {
            WEFT_ASSERT_ASSIGN(const auto got, from->run(fmt::format("curl -sS -m 5 {}", url)));
            EXPECT_EQ(got, page_of(i)) << from->name();
        }
        for (std::size_t from = 0; from < nodes_.size(); ++from) {
            const auto fetch = fmt::format("/bin/fetch {} {}", nodes_[i].address, kPort);
            WEFT_ASSERT_ASSIGN(const auto got, nodes_[from].runtime->exec(fmt::format("web{}", from + 1), fetch));
            EXPECT_EQ(got, page_of(i)) << "from a container on " << nodes_[from].node->name();
        }
    }
    for (std::size_t i = 0; i < nodes_.size(); ++i) {
        if (i == 1) crash(i);
        WEFT_EXPECT_OK(nodes_[i].runtime->remove(fmt::format("web{}", i + 1)));
        EXPECT_FALSE(cluster_->world().run(fmt::format("curl -sS -m 2 http://{}:{}/", nodes_[i].address, kPort)));
    }
    expect_nothing_left();
}

INSTANTIATE_TEST_SUITE_P(Setups, Containers, testing::Values(Setup{"tc", WireMode::offload}), setup_name);

} // namespace
} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
// The plugin as an attack surface: what the runtime passes on from others, and what others may have put where it keeps its
// files. Each case looks for what a user would notice: the error's code and text, and that nothing has changed.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cni_fixture.hpp"

namespace weft::test {
namespace {

namespace fs = std::filesystem;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

class CniHostile : public CniTest {
protected:
    void SetUp() override {
        CniTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        auto dir = TempDir::create("hostile");
        ASSERT_OK(dir);
        elsewhere_.emplace(std::move(*dir));
        ASSERT_OK(write_file(*elsewhere_ / "victim", "untouched"));
        pod_before_ = pod_links();
    }
    [[nodiscard]] std::string pod_links() const { return pod_->run("ip -o link show").value_or(""); }
    [[nodiscard]] std::string victim() const { return read_file(*elsewhere_ / "victim").value_or("gone"); }
    /// stdin as it is, where JSON could not have it.
    [[nodiscard]] Answer with_stdin(const std::string &text, const std::string &command = "ADD") const {
        return node_->weft({.command = command, .netns = pod_->path(), .conf = text});
    }
    void expect_refused(const Answer &answer, int code, const std::string &said) const {
        EXPECT_EQ(answer.exit_code, 1) << answer.text();
        EXPECT_EQ(answer.code(), code) << answer.text();
        EXPECT_THAT(answer.msg(), HasSubstr(said));
        EXPECT_EQ(node_->traces(), Traces{});
        EXPECT_EQ(pod_links(), pod_before_);
        EXPECT_EQ(victim(), "untouched");
    }

    std::optional<TempDir> elsewhere_;
    std::string pod_before_;
};

TEST_F(CniHostile, Environments) {
    struct Case {
        const char *what;
        std::function<void(Call &)> spoil;
        int code;
        const char *said;
    };
    const Case cases[] = {
        {"an id that begins with a dot", [](Call &c) { c.id = ".hidden"; }, 4, "CNI_CONTAINERID"},
        {"an id with a slash", [](Call &c) { c.id = "a/../../b"; }, 4, "CNI_CONTAINERID"},
        {"an id for the shell", [](Call &c) { c.id = "$(reboot)"; }, 4, "CNI_CONTAINERID"},
        {"an id for the terminal", [](Call &c) { c.id = "a\x1b[2J"; }, 4, "CNI_CONTAINERID"},
        {"an id of 4 KiB", [](Call &c) { c.id = std::string(4096, 'a'); }, 4, "CNI_CONTAINERID"},
        {"an interface that means all", [](Call &c) { c.ifname = "all"; }, 4, "CNI_IFNAME"},
        {"an interface that the kernel would number", [](Call &c) { c.ifname = "eth%d"; }, 4, "CNI_IFNAME"},
        {"an interface for the terminal", [](Call &c) { c.ifname = "e\x1b[2J"; }, 4, "CNI_IFNAME"},
        {"an interface that is there", [](Call &c) { c.ifname = "lo"; }, 4, "lo already exists"},
        {"a namespace of another kind", [](Call &c) { c.netns = "/proc/self/ns/mnt"; }, 4,
         "is not a network namespace"},
        {"a namespace that is a directory", [](Call &c) { c.netns = "/run"; }, 4, "is not a network namespace"},
        {"a namespace that is a device", [](Call &c) { c.netns = "/dev/zero"; }, 4, "is not a network namespace"},
        {"the host's by a way round", [](Call &c) { c.netns = "/proc/../proc/thread-self/ns/../ns/net"; }, 8,
         "host's own"},
        {"the host's, looked at",
         [](Call &c) {
             c.command = "CHECK", c.netns = "/proc/self/ns/net";
             c.conf["prevResult"] = json::object();
         },
         8, "host's own"},
        {"an address in CNI_ARGS twice", [](Call &c) { c.env = {"CNI_ARGS=IP=10.244.86.9;IP=0.0.0.0"}; }, 101,
         "0.0.0.0"},
        {"arguments without end", [](Call &c) { c.env = {"CNI_ARGS=" + std::string(100'000, ';') + "X=1"}; }, 4, "[X]"},
    };
    for (const auto &[what, spoil, code, said] : cases) {
        SCOPED_TRACE(what);
        Call call{.netns = pod_->path(), .conf = node_->conf()};
        spoil(call);
        expect_refused(node_->weft(call), code, said);
    }
}

TEST_F(CniHostile, ANamespaceThatIsAFifoHoldsNobodyUp) {
    const auto fifo = *elsewhere_ / "fifo";
    ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
    expect_refused(node_->weft({.netns = fifo, .conf = node_->conf()}), 4, "is not a network namespace");
}

TEST_F(CniHostile, Configurations) {
    struct Case {
        const char *what;
        std::function<void(json &)> spoil;
        int code;
        const char *said;
    };
    const std::string zero("/run/x\0/../etc", 14);
    const Case cases[] = {
        {"a directory with dots", [](json &c) { c["dataDir"] = "/var/lib/../../etc"; }, 7, "dataDir"},
        {"IPAM's directory with dots", [](json &c) { c["ipam"]["dataDir"] = "/var/lib/.."; }, 7, "dataDir"},
        {"a directory with a zero byte", [&](json &c) { c["dataDir"] = zero; }, 7, "dataDir"},
        {"pins with dots", [](json &c) { c["bpfDir"] = "/sys/fs/bpf/../../../etc"; }, 7, "bpfDir"},
        {"a subnet file with a zero byte", [&](json &c) { c["subnetFile"] = zero; }, 7, "subnetFile"},
        {"a name with a zero byte", [](json &c) { c["name"] = std::string("a\0b", 3); }, 7, "name"},
        {"a name that is ..", [](json &c) { c["name"] = ".."; }, 7, "name"},
        {"a name longer than a file's may be", [](json &c) { c["name"] = std::string(300, 'n'); }, 4, "the network's"},
        {"an IPAM plugin with a zero byte", [](json &c) { c["ipam"]["type"] = std::string("host-local\0x", 12); }, 7,
         "ipam.type"},
        {"a subnet file that is a device", [](json &c) { c["subnetFile"] = "/dev/zero"; }, 11, "is no file"},
        {"a subnet file that is huge",
         [this](json &c) {
             const auto path = *elsewhere_ / "huge";
             ASSERT_OK(write_file(path, std::string(1 << 20, '#')));
             c["subnetFile"] = path;
         },
         11, "longer than"},
        {"a prevResult of a number", [](json &c) { c["prevResult"] = 1; }, 6, "prevResult"},
        {"interfaces that are an object", [](json &c) { c["prevResult"]["interfaces"] = json::object(); }, 6,
         "interfaces"},
        {"an interface that is a number", [](json &c) { c["prevResult"]["interfaces"] = {1}; }, 6, "interfaces[0]"},
        {"an interface's name that is a list",
         [](json &c) { c["prevResult"]["interfaces"] = json::array({{{"name", json::array()}}}); }, 6, "name"},
        {"an MTU below zero", [](json &c) { c["prevResult"]["interfaces"] = json::array({{{"mtu", -1}}}); }, 6, "mtu"},
        {"an address that is none", [](json &c) { c["prevResult"]["ips"] = json::array({{{"address", "10.0.0.1"}}}); },
         6, "address"},
        {"an interface's index of 2^32",
         [](json &c) {
             c["prevResult"]["ips"] = json::array({{{"address", "10.0.0.1/32"}, {"interface", 4294967296ULL}}});
         },
         6, "interface"},
        {"a route's scope of 256",
         [](json &c) { c["prevResult"]["routes"] = json::array({{{"dst", "0.0.0.0/0"}, {"scope", 256}}}); }, 6,
         "scope"},
    };
    for (const auto &[what, spoil, code, said] : cases) {
        SCOPED_TRACE(what);
        auto conf = node_->conf();
        spoil(conf);
        expect_refused(add("pod1", conf), code, said);
    }
}

TEST_F(CniHostile, TextsThatNoJsonWriterWrites) {
    const auto nested = [](std::size_t depth) { return std::string(depth, '[') + std::string(depth, ']'); };
    const auto conf = node_->conf().dump();
    const auto with = [&](const std::string &member) { return conf.substr(0, conf.size() - 1) + "," + member + "}"; };
    expect_refused(with_stdin(with("\"mtu\":" + nested(200'000))), 6, "nested deeper");
    expect_refused(with_stdin(with("\"prevResult\":{\"ips\":" + nested(100) + "}")), 6, "nested deeper");
    expect_refused(with_stdin(with("\"x\":\"" + std::string(17UL << 20, 'a') + "\"")), 6, "longer than");
    expect_refused(with_stdin(conf + conf), 6, "not JSON");
    expect_refused(with_stdin(conf + std::string(1, '\0') + "{}"), 6, "not JSON");
    expect_refused(with_stdin(with("\"dns\":\"\xff\xfe\"")), 6, "not JSON");
    expect_refused(with_stdin("\xef\xbb\xbf[]"), 6, "object");
    // As Go's decoder has it, the last one counts; a reader that takes the first would be told of another network.
    expect_refused(with_stdin(with("\"name\":\"../x\"")), 7, "../x");
    EXPECT_TRUE(with_stdin("{\"name\":\"../x\"," + conf.substr(1)).ok());
}

TEST_F(CniHostile, APrevResultOfOthersIsEchoedAndHarmsNobody) {
    auto other = Netns::create("cni-other");
    ASSERT_OK(other);
    ASSERT_TRUE(node_->weft({.id = "victim", .netns = other->path(), .conf = node_->conf()}).ok());
    const auto before = node_->traces();

    // It claims the other pod's address and interface, a host device, a thousand addresses of elsewhere and routes to them.
    json conf = node_->conf();
    auto &prev = conf["prevResult"];
    prev["interfaces"] = json::array(
        {{{"name", before.veths.front()}}, {{"name", "lo"}}, {{"name", "eth0"}, {"sandbox", pod_->path()}}});
    prev["ips"] = json::array({{{"address", before.endpoints.front() + "/32"}, {"interface", 2}}});
    for (int i = 0; i < 1000; ++i) {
        const auto address = "198.18." + std::to_string(i / 250) + "." + std::to_string(i % 250);
        prev["ips"].push_back({{"address", address + "/32"}, {"interface", 999}});
        prev["routes"].push_back({{"dst", address + "/32"}, {"gw", "192.0.2.99"}});
    }
    EXPECT_TRUE(call("DEL", "pod1", conf).ok());
    EXPECT_EQ(node_->traces(), before) << "the other pod is whole";
    const auto checked = call("CHECK", "pod1", conf);
    EXPECT_EQ(checked.code(), 103) << checked.text();

    const auto routes = node_->ns().run("ip route show").value_or("");
    const auto added = add("pod1", conf);
    ASSERT_TRUE(added.ok()) << added.text();
    EXPECT_EQ(added.body["ips"].size(), 1002U);
    EXPECT_THAT(node_->ns().run("ip route show").value_or(""), Not(HasSubstr("198.18.")));
    EXPECT_THAT(pod_->run("ip route show").value_or(""), Not(HasSubstr("198.18.")));
    EXPECT_THAT(pod_->run("ip address show").value_or(""), Not(HasSubstr(before.endpoints.front() + "/")));
    EXPECT_TRUE(call("DEL", "pod1", conf).ok());
    EXPECT_EQ(node_->traces(), before);
    EXPECT_EQ(node_->ns().run("ip route show").value_or(""), routes);
}

TEST_F(CniHostile, LinksPlantedAmongTheAddresses) {
    ASSERT_TRUE(add("pod1").ok()); // makes the directory
    ASSERT_TRUE(call("DEL", "pod1", node_->conf()).ok());
    const auto dir = node_->ipam_dir();
    const auto plant = [&](const char *name) {
        fs::remove(dir / name);
        fs::create_symlink(*elsewhere_ / "victim", dir / name);
    };
    plant("lock");
    expect_refused(add("pod1"), 101, "lock: is a symbolic link");
    fs::remove(dir / "lock");
    plant("last_reserved_ip.0");
    expect_refused(add("pod1"), 101, "last_reserved_ip.0: is a symbolic link");
    fs::remove(dir / "last_reserved_ip.0");
    plant("10.244.86.7");
    const auto refused = add("pod1");
    EXPECT_EQ(refused.code(), 101);
    EXPECT_THAT(refused.msg(), HasSubstr("10.244.86.7: is a symbolic link")) << refused.text();
    EXPECT_EQ(victim(), "untouched");
    EXPECT_EQ(node_->traces().veths, std::vector<std::string>());
    fs::remove(dir / "10.244.86.7");
    fs::create_symlink("/nonexistent/new", dir / "lock.new");
    ASSERT_EQ(::mkfifo((dir / "10.244.86.8").c_str(), 0600), 0);
    EXPECT_THAT(add("pod1").msg(), HasSubstr("10.244.86.8: is no file")); // and waits for no writer
    fs::remove(dir / "10.244.86.8");
    EXPECT_TRUE(add("pod1").ok());
}

TEST_F(CniHostile, ADirectoryOfSomebodyElses) {
    const auto dir = node_->ipam_dir();
    fs::create_directories(dir.parent_path());
    fs::create_directory_symlink(elsewhere_->path(), dir);
    expect_refused(add("pod1"), 101, dir.string() + ": is a symbolic link");
    EXPECT_EQ(std::distance(fs::directory_iterator(elsewhere_->path()), {}), 1) << "nothing came there";
    fs::remove(dir);
    fs::create_directory(dir);
    ASSERT_EQ(::chown(dir.c_str(), 65534, 65534), 0);
    expect_refused(add("pod1"), 101, dir.string() + ": belongs to user 65534");
    ASSERT_EQ(::chown(dir.c_str(), 0, 0), 0);
    ASSERT_EQ(::chmod(dir.c_str(), 01777), 0);
    expect_refused(add("pod1"), 101, dir.string() + ": everybody may write there");
    ASSERT_EQ(::chmod(dir.c_str(), 0755), 0);
    EXPECT_TRUE(add("pod1").ok());

    // The directory above may be a link: operators move it to another disk.
    json conf = node_->conf();
    const auto link = *elsewhere_ / "networks";
    fs::create_directory_symlink(node_->data_dir(), link);
    conf["dataDir"] = link;
    EXPECT_TRUE(call("DEL", "pod1", conf).ok());
    EXPECT_EQ(node_->traces(), Traces{});
}

TEST_F(CniHostile, AHostDeviceOfOursName) {
    const auto first = add("pod1");
    ASSERT_TRUE(first.ok()) << first.text();
    const std::string name = first.body["interfaces"][0]["name"];
    ASSERT_TRUE(call("DEL", "pod1", node_->conf()).ok());
    ASSERT_TRUE(eventually([&] { return node_->traces() == Traces{}; }));
    ASSERT_OK(node_->ns().run("ip link add " + name + " type bridge"));
    const auto refused = add("pod1");
    EXPECT_EQ(refused.code(), 4) << refused.text();
    EXPECT_THAT(refused.msg(), HasSubstr(name + " exists on the host"));
    EXPECT_TRUE(call("DEL", "pod1", node_->conf()).ok());
    WEFT_EXPECT_OK(node_->ns().run("ip link show " + name)); // somebody else's: it stays
    EXPECT_EQ(node_->traces().addresses, std::vector<std::string>());
}

} // namespace
} // namespace weft::test

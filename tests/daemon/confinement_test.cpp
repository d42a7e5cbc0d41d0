// SPDX-License-Identifier: Apache-2.0
// What weftd can still do once it runs, and what its unit leaves it.
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "daemon_fixture.hpp"

namespace weft::test {
namespace {

using testing::Each;
using testing::HasSubstr;
using testing::Not;

/// A line of /proc/PID/task/*/status, of every thread.
std::set<std::string> of_threads(pid_t pid, const std::string &name) {
    std::set<std::string> values;
    for (const auto &task : std::filesystem::directory_iterator(fmt::format("/proc/{}/task", pid))) {
        std::ifstream status(task.path() / "status");
        for (std::string line; std::getline(status, line);)
            if (line.starts_with(name + ":"))
                values.insert(line.substr(line.find_first_not_of(" \t", name.size() + 1)));
    }
    return values;
}

std::string name_of(unsigned capability) {
    const auto text = run_ok({"capsh", fmt::format("--decode={:x}", 1ULL << capability)}).value_or("");
    return text.substr(text.find('=') + 1, text.find('\n') - text.find('=') - 1);
}

std::set<std::string> names_of(const std::string &mask) {
    std::set<std::string> names;
    const auto bits = std::stoull(mask, nullptr, 16);
    for (unsigned bit = 0; bit < 64; ++bit)
        if ((bits >> bit & 1) != 0) names.insert(name_of(bit));
    return names;
}

std::string lower(std::string text) {
    std::ranges::transform(text, text.begin(), [](unsigned char c) { return std::tolower(c); });
    return text;
}

/// The unit as cmake --install puts it, but that the program is where this build has it.
class UnitFile : public DaemonTest {
protected:
    void SetUp() override {
        WEFT_REQUIRES(requires_tools({"systemd-analyze", "capsh"}));
        WEFT_ASSERT_ASSIGN(dir_, TempDir::create("unit"));
        auto text = read_file(WEFT_UNIT);
        WEFT_ASSERT_OK(text);
        const std::string at = "ExecStart=";
        const auto begin = text->find(at) + at.size();
        text->replace(begin, text->find('\n', begin) - begin, binary("weftd"));
        WEFT_ASSERT_OK(write_file(path(), *text));
    }
    [[nodiscard]] std::string path() const { return *dir_ / "weftd.service"; }

    std::optional<TempDir> dir_;
};

TEST_F(UnitFile, SystemdFindsNothingToSay) {
    const auto said = run({"systemd-analyze", "verify", path()});
    WEFT_ASSERT_OK(said);
    EXPECT_EQ(said->code, 0) << said->err;
    EXPECT_THAT(said->err, Not(HasSubstr("weftd.service")));
}

/// In tenths, as systemd-analyze takes it: docs/confinement.md says 2.6 of 10, where a unit without any of it has 9.6.
TEST_F(UnitFile, ExposesLittle) {
    const auto said = run({"systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=26", path()});
    WEFT_ASSERT_OK(said);
    EXPECT_EQ(said->code, 0) << said->out.substr(std::min(said->out.rfind("Overall"), said->out.size()));
}

class Confinement : public DaemonTest {};

TEST_F(Confinement, OfCapabilitiesOnlyThoseItNeedsAreLeft) {
    WEFT_REQUIRES(requires_tools({"capsh"}));
    start();
    const auto pid = node_->daemon()->pid();
    EXPECT_GT(of_threads(pid, "Pid").size(), 2U) << "etcd's threads are among those looked at";
    const std::string none(16, '0');
    for (const char *set : {"CapInh", "CapAmb"}) EXPECT_EQ(of_threads(pid, set), std::set{none}) << set;
    EXPECT_EQ(of_threads(pid, "NoNewPrivs"), std::set<std::string>{"1"});

    std::set<std::string> allowed;
    std::ifstream unit(WEFT_UNIT);
    for (std::string line; std::getline(unit, line);)
        if (line.starts_with("CapabilityBoundingSet="))
            for (const auto &name : words(line.substr(line.find('=') + 1))) allowed.insert(lower(name));
    for (const char *set : {"CapPrm", "CapEff", "CapBnd"}) {
        const auto masks = of_threads(pid, set);
        ASSERT_EQ(masks.size(), 1U) << set << " of all threads alike";
        EXPECT_EQ(names_of(*masks.begin()), allowed) << set << " is what the unit allows";
    }
}

TEST_F(Confinement, WithoutTheMainOnesItSaysSo) {
    WEFT_REQUIRES(requires_tools({"capsh", "setpriv"}));
    auto all = options({});
    all.under = {"setpriv", "--bounding-set=-net_admin", "--inh-caps=-all"};
    WEFT_ASSERT_OK(node_->launch(all));
    EXPECT_EQ(node_->daemon()->wait(10s), 1);
    EXPECT_THAT(log(), HasSubstr("weftd: weftd needs root, or at least CAP_NET_ADMIN"));
}

/// What the unit takes away is really gone: else the suites that run under it would prove nothing.
TEST_F(Confinement, UnderTheUnitIsReal) {
    WEFT_REQUIRES(requires_tools({"systemd-analyze", "python3"}));
    const auto tried = [&](const std::string &python) {
        const auto said = run({WEFT_CONFINED, WEFT_UNIT, "/usr/bin/python3", "-c", python});
        return said ? said->err.substr(said->err.rfind('\n', said->err.size() - 2) + 1) : said.error().sentence();
    };
    EXPECT_EQ(tried("open('/run/weft-test-probe', 'w').close(); import os; os.unlink('/run/weft-test-probe')"), "");
    EXPECT_THAT(tried("open('/etc/weft-test-probe', 'w')"), HasSubstr("Read-only file system"));
    EXPECT_THAT(tried("open('/proc/sys/kernel/panic', 'r+')"), HasSubstr("Read-only file system"));
    EXPECT_EQ(tried("open('/proc/sys/net/ipv4/ip_forward', 'r+')"), "");
    EXPECT_THAT(tried("import os; os.chown('/run', 0, 0)"), HasSubstr("Operation not permitted"));
    EXPECT_THAT(tried("import os; os.setuid(0)"), HasSubstr("Operation not permitted"));
    EXPECT_THAT(tried("import ctypes; c = ctypes.CDLL(None, use_errno=True); r = c.unshare(0x40000000); "
                      "raise OSError(ctypes.get_errno(), __import__('os').strerror(ctypes.get_errno()))"),
                HasSubstr("Operation not permitted"));
    EXPECT_THAT(tried("import socket; socket.socket(socket.AF_PACKET, socket.SOCK_RAW)"),
                HasSubstr("Address family not supported"));
    EXPECT_THAT(tried("import mmap; mmap.mmap(-1, 4096, prot=mmap.PROT_WRITE | mmap.PROT_EXEC)"),
                HasSubstr("Operation not permitted"));
    EXPECT_THAT(tried("open('/dev/kmsg')"), HasSubstr("No such file"));
}

} // namespace
} // namespace weft::test

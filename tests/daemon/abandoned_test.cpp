// SPDX-License-Identifier: Apache-2.0
// Pods that end without DEL: their addresses are given back, and nobody else's.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mount.h>

#include <set>

#include "base/unique_fd.hpp"
#include "daemon_fixture.hpp"

namespace weft::test {
namespace {

using testing::HasSubstr;

class Abandoned : public DaemonTest {
protected:
    void SetUp() override {
        DaemonTest::SetUp();
        if (IsSkipped() || HasFatalFailure()) return;
        start();
        WEFT_ASSERT_ASSIGN(pod_, node_->add_pod());
    }
    Result<Netns> add(const std::string &id, const std::string &plugin = "weft", std::vector<std::string> env = {}) {
        auto ns = Netns::create(id);
        if (!ns) return ns;
        env.insert(env.end(), {"CNI_COMMAND=ADD", "CNI_CONTAINERID=" + id, "CNI_NETNS=" + ns->path(), "CNI_IFNAME=eth0",
                               "CNI_PATH=/nowhere"});
        if (auto out = node_->netns().output({binary(plugin)}, {.env = env, .input = node_->cni_config()}); !out)
            return fail_as_is(std::move(out));
        return ns;
    }
    /// Container ids by the addresses that are reserved for them.
    [[nodiscard]] std::map<std::string, std::string> reserved() const {
        std::map<std::string, std::string> all;
        std::error_code err;
        for (std::filesystem::directory_iterator file(node_->dir() / "cni" / "cbr0", err), end; !err && file != end;
             file.increment(err))
            if (const auto name = file->path().filename().string(); parse_ip(name))
                if (const auto text = read_file(file->path())) all[name] = text->substr(0, text->find('\r'));
        return all;
    }
    [[nodiscard]] bool is_reserved_for(const std::string &id) const {
        const auto all = reserved();
        return std::ranges::any_of(all, [&](const auto &entry) { return entry.second == id; });
    }
    [[nodiscard]] std::vector<std::filesystem::path> notes() const {
        std::vector<std::filesystem::path> all;
        for (const auto &file : std::filesystem::directory_iterator(node_->run_dir()))
            if (file.path().filename().string().starts_with("pod.")) all.push_back(file.path());
        return all;
    }
    /// Returns when weftd has looked at all notes at least once more: it goes through all of them each time.
    void wait_for_a_look() {
        for (const char *id : {"probe1", "probe2"}) {
            {
                WEFT_ASSERT_ASSIGN(const auto ns, add(id));
            }
            ASSERT_TRUE(wait_until([&] { return !is_reserved_for(id); }, 5s)) << log();
        }
    }
    /// Only the pod of the fixture has anything, and it works.
    void expect_only_the_living() const {
        EXPECT_TRUE(wait_until([&] { return reserved().size() == 1; }, 3s))
            << testing::PrintToString(reserved()) << log();
        EXPECT_EQ(reserved(), (std::map<std::string, std::string>{{pod_->address, pod_->container_id}}));
        EXPECT_TRUE(wait_until([&] { return notes().size() == 1; }, 3s)) << testing::PrintToString(notes());
        WEFT_EXPECT_OK(ping(node_->netns(), pod_->address, 1));
    }

    Pod *pod_ = nullptr;
};

TEST_F(Abandoned, TheAddressIsGivenBackAndSaidOnce) {
    {
        WEFT_ASSERT_ASSIGN(const auto ns, add("lost"));
    }
    expect_only_the_living();
    EXPECT_EQ(times(log(), "pod lost of network cbr0 ended without DEL: 10.244."), 1U) << log();
    // The runtime comes after all.
    WEFT_EXPECT_OK(node_->cni("DEL", "lost", ""));
    expect_only_the_living();
}

TEST_F(Abandoned, AlsoOfOneThatEndedWhileWeftdWasAway) {
    node_->kill();
    {
        WEFT_ASSERT_ASSIGN(const auto ns, add("lost"));
    }
    EXPECT_TRUE(is_reserved_for("lost"));
    start();
    expect_only_the_living();
}

// Of several in one directory: flannel's pods and those of other tools have files there too, of which no note tells.
TEST_F(Abandoned, WhatOthersHaveReservedStays) {
    const auto base = node_->base_address().value();
    const auto foreign = node_->dir() / "cni" / "cbr0" / (base.substr(0, base.rfind('.')) + ".200");
    WEFT_ASSERT_OK(write_file(foreign, "somebody\r\neth0"));
    {
        WEFT_ASSERT_ASSIGN(const auto ns, add("lost"));
    }
    EXPECT_TRUE(wait_until([&] { return !is_reserved_for("lost"); }, 3s)) << log();
    EXPECT_TRUE(is_reserved_for("somebody"));
    std::filesystem::remove(foreign);
    expect_only_the_living();
}

TEST_F(Abandoned, NotOfAPodThatLostItsInterfaceOrTheNameOfItsNamespace) {
    {
        WEFT_ASSERT_ASSIGN(const auto ns, add("cutoff"));
        WEFT_ASSERT_OK(ns.ip("link del eth0"));
        wait_for_a_look();
        EXPECT_TRUE(is_reserved_for("cutoff")) << log();
    }
    expect_only_the_living();

    // Hidden for a while: what keeps the namespace is the process in it.
    ASSERT_EQ(::umount2(pod_->ns.path().c_str(), MNT_DETACH), 0);
    wait_for_a_look();
    expect_only_the_living();
    // kill_all() and the fixture's end find it by this path.
    const auto inside = fmt::format("/proc/{}/ns/net", pod_->server->pid());
    ASSERT_EQ(::mount(inside.c_str(), pod_->ns.path().c_str(), nullptr, MS_BIND, nullptr), 0);
}

TEST_F(Abandoned, NotWhileAnAddIsAtIt) {
    UniqueFd add_is_at_it;
    {
        WEFT_ASSERT_ASSIGN(const auto ns, add("dying", "weft-testhooks", {"WEFT_TEST_FAIL_AT=ipam:kill"}));
        EXPECT_TRUE(is_reserved_for("dying"));
        for (const auto &note : notes())
            if (read_file(note).value_or("").contains("dying")) add_is_at_it = UniqueFd(::open(note.c_str(), O_RDONLY));
        ASSERT_TRUE(add_is_at_it);
        ASSERT_EQ(::flock(add_is_at_it.get(), LOCK_EX), 0);
    }
    wait_for_a_look();
    EXPECT_TRUE(is_reserved_for("dying")) << log();
    add_is_at_it = UniqueFd();
    expect_only_the_living();
}

/// An ADD dies, and then its pod.
class AbandonedByAdd : public Abandoned, public testing::WithParamInterface<const char *> {};

TEST_P(AbandonedByAdd, IsGivenBack) {
    {
        WEFT_ASSERT_ASSIGN(const auto ns,
                           add("dead", "weft-testhooks", {std::string("WEFT_TEST_FAIL_AT=") + GetParam()}));
    }
    expect_only_the_living();
    const auto veths = sh("ip -o link show type veth");
    EXPECT_EQ(times(veths, ": weft"), 1U) << veths;
}

INSTANTIATE_TEST_SUITE_P(At, AbandonedByAdd, testing::Values("ipam:kill", "veth:kill", "endpoint:kill"),
                         [](const auto &step) {
                             const std::string name = step.param;
                             return name.substr(0, name.find(':'));
                         });

// A plugin that is stopped while it has IPAM's lock must not stop weftd.
TEST_F(Abandoned, ALockedDirectoryIsTriedAgain) {
    UniqueFd ipam;
    {
        WEFT_ASSERT_ASSIGN(const auto ns, add("lost"));
        ipam = UniqueFd(::open((node_->dir() / "cni" / "cbr0" / "lock").c_str(), O_RDONLY));
        ASSERT_TRUE(ipam);
        ASSERT_EQ(::flock(ipam.get(), LOCK_EX), 0);
    }
    EXPECT_TRUE(wait_until([&] { return log().contains("reservations of pods that are gone: "); }, 3s)) << log();
    EXPECT_EQ(status()["state"], "synced");
    EXPECT_TRUE(is_reserved_for("lost"));
    ipam = UniqueFd();
    expect_only_the_living();
}

// Pods come and go, some without DEL, while weftd is killed and started again and again.
TEST_F(Abandoned, AddsGoOnWhileWeftdRestarts) {
    std::list<std::pair<std::string, Netns>> living;
    for (int i = 0; i < 24; ++i) {
        if (i % 6 == 2) node_->kill();
        if (i % 6 == 4) launch();
        const auto id = fmt::format("pod{}", i);
        WEFT_ASSERT_ASSIGN(auto ns, Netns::create(id));
        WEFT_ASSERT_OK(node_->cni("ADD", id, ns.path()));
        if (i % 3 == 0) continue; // vanishes
        living.emplace_back(id, std::move(ns));
        if (i % 3 == 1) continue;
        WEFT_ASSERT_OK(node_->cni("DEL", living.front().first, living.front().second.path()));
        living.pop_front();
    }
    std::set<std::string> wanted{pod_->container_id};
    for (const auto &[id, ns] : living) wanted.insert(id);
    const auto owners = [&] {
        std::set<std::string> all;
        for (const auto &[address, id] : reserved()) all.insert(id);
        return all;
    };
    EXPECT_TRUE(wait_until([&] { return owners() == wanted && notes().size() == wanted.size(); }))
        << testing::PrintToString(owners()) << log();
    EXPECT_EQ(reserved().size(), wanted.size()) << "an address each";
    EXPECT_TRUE(wait_until([&] { return node_->weftctl("endpoints").value().size() == wanted.size(); })) << log();
    for (const auto &[address, id] : reserved()) WEFT_EXPECT_OK(ping(node_->netns(), address, 1));
}

} // namespace
} // namespace weft::test

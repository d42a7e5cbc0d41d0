// SPDX-License-Identifier: Apache-2.0
// host-local's directory as weft keeps it: bytes, order, lock, crashes.
#include "cni/ipam_store.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <set>
#include <sstream>
#include <thread>

namespace weft::cni {
namespace {

using testing::HasSubstr;
using testing::IsEmpty;

class IpamStoreTest : public testing::Test {
public:
    void SetUp() override {
        std::string pattern = "/tmp/weft-ipam-XXXXXX";
        root_ = ::mkdtemp(pattern.data());
    }
    void TearDown() override { std::filesystem::remove_all(root_); }

    std::filesystem::path dir() const { return root_ / "a" / "net"; }
    IpamStore store() const { return IpamStore(dir()); }
    /// What `id` is given, an address of each of the subnets, or the error.
    std::string give(const std::string &id, const std::vector<std::string> &wanted = {},
                     const std::vector<std::string> &subnets = {"10.5.3.1/29"}) const {
        std::vector<Ip> ips;
        for (const auto &ip : wanted) ips.push_back(*parse_ip(ip));
        std::vector<AddressRange> ranges;
        for (const auto &subnet : subnets) ranges.push_back(range_of(*parse_net(subnet)));
        const auto given = store().allocate(ranges, {id, "eth0"}, ips);
        if (!given) return given.error().sentence();
        std::string text;
        for (const Ip &ip : *given) text += (text.empty() ? "" : " ") + ip.to_string();
        return text;
    }
    std::string give_both(const std::string &id, const std::vector<std::string> &wanted = {}) const {
        return give(id, wanted, {"10.5.3.1/29", "fd00:5:3::1/64"});
    }
    std::string read(const std::string &name) const {
        std::ifstream in(dir() / name, std::ios::binary);
        std::ostringstream text;
        text << in.rdbuf();
        return text.str();
    }
    void write(const std::string &name, const std::string &text) const {
        std::filesystem::create_directories(dir());
        std::ofstream(dir() / name, std::ios::binary) << text;
    }
    std::set<std::string> files() const {
        std::set<std::string> names;
        for (const auto &entry : std::filesystem::directory_iterator(dir())) names.insert(entry.path().filename());
        return names;
    }

    std::filesystem::path root_;
};

TEST_F(IpamStoreTest, TheFilesAreHostLocals) {
    EXPECT_EQ(give("pod1"), "10.5.3.2");
    EXPECT_EQ(read("10.5.3.2"), "pod1\r\neth0");
    EXPECT_EQ(read("last_reserved_ip.0"), "10.5.3.2");
    EXPECT_EQ(files(), (std::set<std::string>{"10.5.3.2", "last_reserved_ip.0", "lock"}));
    struct stat st{};
    ASSERT_EQ(::stat((dir() / "10.5.3.2").c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777, 0600U);
    ASSERT_EQ(::stat(dir().c_str(), &st), 0);
    EXPECT_EQ(st.st_mode & 07777, 0755U);
}

TEST_F(IpamStoreTest, GoesRoundAndSkipsGatewayAndTaken) {
    EXPECT_EQ(give("a"), "10.5.3.2");
    EXPECT_EQ(give("b"), "10.5.3.3");
    ASSERT_TRUE(store().release({"a", "eth0"}));
    EXPECT_EQ(give("c"), "10.5.3.4"); // not the one just freed
    EXPECT_EQ(give("d"), "10.5.3.5");
    EXPECT_EQ(give("e"), "10.5.3.6"); // the last: .7 is broadcast
    EXPECT_EQ(give("f"), "10.5.3.2"); // round, over the gateway
    EXPECT_EQ(give("g"), "failed to allocate for range 0: no IP addresses available in range set: 10.5.3.1-10.5.3.6");
    EXPECT_FALSE(store().has_free(range_of(*parse_net("10.5.3.1/29"))).value());
    EXPECT_EQ(files().size(), 7U);
}

TEST_F(IpamStoreTest, ACursorThatIsForeignOrDamagedStartsAtTheBeginning) {
    for (const char *cursor : {"", "10.9.9.9", "garbage"}) {
        write("last_reserved_ip.0", cursor);
        EXPECT_EQ(give("a"), "10.5.3.2") << cursor;
        ASSERT_TRUE(store().release({"a", "eth0"}));
    }
}

TEST_F(IpamStoreTest, OneOwnerGetsOneAddress) {
    EXPECT_EQ(give("a"), "10.5.3.2");
    EXPECT_EQ(give("a"), "10.5.3.2 has been allocated to a, duplicate allocation is not allowed");
    EXPECT_EQ(give("a", {"10.5.3.4"}), "10.5.3.2 has been allocated to a, duplicate allocation is not allowed");
    const auto other_interface = store().allocate({range_of(*parse_net("10.5.3.1/29"))}, {"a", "net1"}, {});
    EXPECT_EQ(other_interface->front().to_string(), "10.5.3.3");
}

TEST_F(IpamStoreTest, RequestedAddresses) {
    EXPECT_EQ(give("a", {"10.5.3.5"}), "10.5.3.5");
    EXPECT_EQ(read("last_reserved_ip.0"), "10.5.3.5");
    EXPECT_EQ(give("b", {"10.5.3.5"}), "requested IP address 10.5.3.5 is not available in range set 10.5.3.1-10.5.3.6");
    EXPECT_EQ(give("b", {"10.5.3.1"}), "requested ip 10.5.3.1 is subnet's gateway");
    EXPECT_EQ(give("b", {"10.5.3.7"}), "failed to allocate all requested IPs: 10.5.3.7");
    EXPECT_EQ(give("b", {"10.5.3.3", "10.5.3.4", "fd00::4"}),
              "failed to allocate all requested IPs: 10.5.3.4, fd00::4");
    EXPECT_EQ(files(), (std::set<std::string>{"10.5.3.5", "last_reserved_ip.0", "lock"}));
}

TEST_F(IpamStoreTest, ReleasesOldFilesAndIpv6AndToleratesSpace) {
    write("10.5.3.4", "a");
    write("10.5.3.5", " a\r\neth0\n");
    write("fd00::5", "a\r\neth0");
    write("10.5.3.6", "b\r\neth0");
    ASSERT_EQ(store().release({"a", "eth0"})->size(), 2U);
    EXPECT_TRUE(std::filesystem::exists(dir() / "10.5.3.4")); // only when there is nothing newer
    ASSERT_EQ(store().release({"a", "eth0"})->size(), 1U);
    EXPECT_THAT(*store().release({"a", "eth0"}), IsEmpty());
    EXPECT_TRUE(std::filesystem::exists(dir() / "10.5.3.6"));
}

TEST_F(IpamStoreTest, NothingThereIsNoError) {
    EXPECT_THAT(store().release({"a", "eth0"}).value(), IsEmpty());
    EXPECT_THAT(store().held_by({"a", "eth0"}).value(), IsEmpty());
    EXPECT_THAT(store().release_others({}).value(), IsEmpty());
    EXPECT_FALSE(std::filesystem::exists(dir()));
}

TEST_F(IpamStoreTest, AnEmptyFileIsACrashsDebrisAndFree) {
    write("10.5.3.2", "");
    EXPECT_EQ(give("a"), "10.5.3.2");
    EXPECT_EQ(read("10.5.3.2"), "a\r\neth0");
    write("10.5.3.3", "");
    EXPECT_EQ(store().release_others({{"a", "eth0"}})->size(), 1U);
    EXPECT_FALSE(std::filesystem::exists(dir() / "10.5.3.3"));
}

TEST_F(IpamStoreTest, KeepsWhatIsValid) {
    EXPECT_EQ(give("a"), "10.5.3.2");
    EXPECT_EQ(give("b"), "10.5.3.3");
    write("10.5.3.6", "a");
    const auto gone = store().release_others({{"a", "eth0"}});
    ASSERT_EQ(gone->size(), 1U);
    EXPECT_EQ(gone->front().container_id, "b");
}

TEST_F(IpamStoreTest, WaitsForHostLocalsLock) {
    EXPECT_EQ(give("a"), "10.5.3.2");
    const int fd = ::open((dir() / "lock").c_str(), O_RDONLY);
    ASSERT_EQ(::flock(fd, LOCK_EX), 0);
    std::atomic<bool> done = false;
    std::thread waiter([&] {
        EXPECT_EQ(give("b"), "10.5.3.3");
        done = true;
    });
    // It is asleep in flock(): seen in its own wait channel rather than guessed by time.
    std::string state;
    for (int i = 0; i < 1000 && state.find("FLOCK") == std::string::npos; ++i) {
        std::ifstream locks("/proc/locks");
        std::string line;
        while (std::getline(locks, line))
            if (line.find("->") != std::string::npos && line.find("FLOCK") != std::string::npos &&
                line.find(' ' + std::to_string(::getpid()) + ' ') != std::string::npos)
                state = line;
        std::this_thread::yield();
    }
    EXPECT_FALSE(done);
    ::close(fd);
    waiter.join();
    EXPECT_TRUE(done);
}

TEST_F(IpamStoreTest, ManyAtOnceGetDifferentAddresses) {
    constexpr int kThreads = 8, kEach = 25;
    std::vector<std::thread> threads;
    std::vector<std::vector<std::string>> given(kThreads);
    for (int t = 0; t < kThreads; ++t)
        threads.emplace_back([&, t] {
            for (int i = 0; i < kEach; ++i)
                given[t].push_back(give("p" + std::to_string(t * kEach + i), {}, {"10.5.3.1/24"}));
        });
    for (auto &thread : threads) thread.join();
    std::set<std::string> all;
    for (const auto &some : given) all.insert(some.begin(), some.end());
    EXPECT_EQ(all.size(), 200U);
    EXPECT_EQ(*all.begin(), "10.5.3.10");
}

TEST_F(IpamStoreTest, RangesAreHostLocals) {
    EXPECT_EQ(range_of(*parse_net("10.5.3.1/24")).to_string(), "10.5.3.1-10.5.3.254");
    EXPECT_EQ(range_of(*parse_net("fd00:5:3::1/64")).to_string(), "fd00:5:3::1-fd00:5:3:0:ffff:ffff:ffff:ffff");
    EXPECT_EQ(range_of(*parse_net("fd00:5:3:f0::1/60")).to_string(), "fd00:5:3:f0::1-fd00:5:3:ff:ffff:ffff:ffff:ffff");
    EXPECT_EQ(range_of(*parse_net("fd00::5:1/126")).to_string(), "fd00::5:1-fd00::5:3");
}

TEST_F(IpamStoreTest, EachFamilyHasItsOwnRoundRobin) {
    EXPECT_EQ(give_both("a"), "10.5.3.2 fd00:5:3::2");
    EXPECT_EQ(files(),
              (std::set<std::string>{"10.5.3.2", "fd00:5:3::2", "last_reserved_ip.0", "last_reserved_ip.1", "lock"}));
    EXPECT_EQ(read("fd00:5:3::2"), "a\r\neth0");
    EXPECT_EQ(read("last_reserved_ip.1"), "fd00:5:3::2");
    EXPECT_EQ(give_both("b", {"fd00:5:3::ffff:ffff"}), "10.5.3.3 fd00:5:3::ffff:ffff");
    EXPECT_EQ(give_both("c"), "10.5.3.4 fd00:5:3::1:0:0");
    ASSERT_EQ(store().release({"a", "eth0"})->size(), 2U);
    EXPECT_EQ(give_both("d", {"10.5.3.6", "fd00:5:3::2"}), "10.5.3.6 fd00:5:3::2");
    EXPECT_EQ(give("e", {}, {"fd00:6::1/64"}), "fd00:6::2"); // alone it is the first set
    EXPECT_EQ(read("last_reserved_ip.0"), "fd00:6::2");
}

TEST_F(IpamStoreTest, ALargeRangesEndIsNotWalkedTo) {
    write("last_reserved_ip.1", "fd00:5:3:0:ffff:ffff:ffff:fffe");
    EXPECT_EQ(give_both("a"), "10.5.3.2 fd00:5:3:0:ffff:ffff:ffff:ffff");
    EXPECT_EQ(give_both("b"), "10.5.3.3 fd00:5:3::2"); // round, over the gateway
    EXPECT_TRUE(store().has_free(range_of(*parse_net("fd00:5:3::1/64"))).value());
}

TEST_F(IpamStoreTest, AllOrNothing) {
    const std::vector<std::string> small{"10.5.3.1/29", "fd00::1/126"};
    EXPECT_EQ(give("a", {}, small), "10.5.3.2 fd00::2");
    EXPECT_EQ(give("b", {}, small), "10.5.3.3 fd00::3");
    EXPECT_FALSE(store().has_free(range_of(*parse_net("fd00::1/126"))).value());
    const auto before = files();
    EXPECT_EQ(give("c", {}, small),
              "failed to allocate for range 1: no IP addresses available in range set: fd00::1-fd00::3");
    EXPECT_EQ(give("c", {"fd00::1"}, small), "requested ip fd00::1 is subnet's gateway");
    EXPECT_EQ(give("c", {"fd00::2"}, small),
              "requested IP address fd00::2 is not available in range set fd00::1-fd00::3");
    EXPECT_EQ(files(), before);
}

TEST_F(IpamStoreTest, WhoHoldsOneOfTwoFamiliesIsRefusedAndKeepsIt) {
    EXPECT_EQ(give("a", {}, {"10.5.3.1/29"}), "10.5.3.2");
    EXPECT_EQ(give_both("a"), "10.5.3.2 has been allocated to a, duplicate allocation is not allowed");
    EXPECT_TRUE(std::filesystem::exists(dir() / "10.5.3.2"));
    write("fd00:5:3:0:0:0:0:9", "b\r\neth0"); // somebody else's spelling
    EXPECT_EQ(give_both("b"), "fd00:5:3:0:0:0:0:9 has been allocated to b, duplicate allocation is not allowed");
}

} // namespace
} // namespace weft::cni

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
    std::string give(const std::string &id, std::optional<std::string> wanted = {},
                     const std::string &subnet = "10.5.3.1/29") const {
        std::optional<Ip4> ip;
        if (wanted) ip = *parse_ip4(*wanted);
        const auto given = store().allocate(range_of(*parse_net4(subnet)), {id, "eth0"}, ip);
        return given ? given->to_string() : given.error().sentence();
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
    EXPECT_FALSE(store().has_free(range_of(*parse_net4("10.5.3.1/29"))).value());
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
    EXPECT_EQ(give("a", "10.5.3.4"), "10.5.3.2 has been allocated to a, duplicate allocation is not allowed");
    const auto other_interface = store().allocate(range_of(*parse_net4("10.5.3.1/29")), {"a", "net1"}, {});
    EXPECT_EQ(other_interface->to_string(), "10.5.3.3");
}

TEST_F(IpamStoreTest, RequestedAddresses) {
    EXPECT_EQ(give("a", "10.5.3.5"), "10.5.3.5");
    EXPECT_EQ(read("last_reserved_ip.0"), "10.5.3.5");
    EXPECT_EQ(give("b", "10.5.3.5"), "requested IP address 10.5.3.5 is not available in range set 10.5.3.1-10.5.3.6");
    EXPECT_EQ(give("b", "10.5.3.1"), "requested ip 10.5.3.1 is subnet's gateway");
    EXPECT_THAT(give("b", "10.5.3.7"), HasSubstr("10.5.3.7"));
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
                given[t].push_back(give("p" + std::to_string(t * kEach + i), {}, "10.5.3.1/24"));
        });
    for (auto &thread : threads) thread.join();
    std::set<std::string> all;
    for (const auto &some : given) all.insert(some.begin(), some.end());
    EXPECT_EQ(all.size(), 200U);
    EXPECT_EQ(*all.begin(), "10.5.3.10");
}

} // namespace
} // namespace weft::cni

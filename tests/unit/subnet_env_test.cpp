// SPDX-License-Identifier: Apache-2.0
#include "config/subnet_env.hpp"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <sstream>
#include <thread>

namespace weft {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr const char *kBytes = "FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=10.42.3.1/24\nFLANNEL_MTU=1450\n"
                               "FLANNEL_IPMASQ=true\n";

SubnetEnv example() {
    return {
        .network = *parse_net4("10.42.0.0/16"), .subnet = *parse_net4("10.42.3.1/24"), .mtu = 1450, .ip_masq = true};
}

class SubnetEnvFile : public ::testing::Test {
protected:
    void SetUp() override {
        char name[] = "/tmp/weft-subnet-env.XXXXXX";
        ASSERT_NE(::mkdtemp(name), nullptr);
        dir_ = name;
    }
    void TearDown() override { fs::remove_all(dir_); }
    static std::string slurp(const fs::path &path) {
        std::ostringstream text;
        text << std::ifstream(path).rdbuf();
        return text.str();
    }
    static unsigned mode(const fs::path &path) {
        struct stat st{};
        return ::stat(path.c_str(), &st) == 0 ? st.st_mode & 07777u : 0u;
    }
    fs::path dir_;
};

TEST(SubnetEnv, BytesAreFlannels) {
    EXPECT_EQ(format(example()), kBytes);
    auto dual = example();
    dual.ipv6_network = *parse_net6("2001:cafe:42::/56");
    dual.ipv6_subnet = *parse_net6("2001:cafe:42::1/64");
    dual.ip_masq = false;
    EXPECT_EQ(format(dual), "FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=10.42.3.1/24\n"
                            "FLANNEL_IPV6_NETWORK=2001:cafe:42::/56\nFLANNEL_IPV6_SUBNET=2001:cafe:42::1/64\n"
                            "FLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n");
    EXPECT_EQ(*parse_subnet_env(format(dual)), dual);
    const SubnetEnv v6_only{.ipv6_network = dual.ipv6_network, .ipv6_subnet = dual.ipv6_subnet, .mtu = 1450};
    EXPECT_EQ(format(v6_only), "FLANNEL_IPV6_NETWORK=2001:cafe:42::/56\nFLANNEL_IPV6_SUBNET=2001:cafe:42::1/64\n"
                               "FLANNEL_MTU=1450\nFLANNEL_IPMASQ=false\n");
    EXPECT_EQ(*parse_subnet_env(format(v6_only)), v6_only);
}

TEST(SubnetEnv, BothFamiliesInOneOrder) {
    auto env = example();
    EXPECT_EQ(env.subnets(), std::vector{*parse_net("10.42.3.1/24")});
    env.ipv6_network = *parse_net6("2001:cafe:42::/56");
    env.ipv6_subnet = *parse_net6("2001:cafe:42::1/64");
    EXPECT_EQ(env.networks(), (std::vector{*parse_net("10.42.0.0/16"), *parse_net("2001:cafe:42::/56")}));
    EXPECT_EQ(env.subnets(), (std::vector{*parse_net("10.42.3.1/24"), *parse_net("2001:cafe:42::1/64")}));
}

TEST(SubnetEnv, ReaderIsLenient) {
    const auto env =
        parse_subnet_env("# by hand\n\n export FLANNEL_NETWORK = \"10.42.0.0/16\"\r\nFLANNEL_SUBNET='10.42.3.1/24'\n"
                         "SOMETHING=else\nFLANNEL_MTU=9000\nFLANNEL_MTU=1450 # the link's\nFLANNEL_IPMASQ=true");
    ASSERT_TRUE(env) << env.error().sentence();
    EXPECT_EQ(*env, example());
}

TEST(SubnetEnv, ListsSkipWhatIsNoCidr) {
    const auto env = parse_subnet_env("FLANNEL_NETWORK=nonsense,10.42.0.0/16,10.43.0.0/16\n"
                                      "FLANNEL_SUBNET=10.42.3.1/24,bad\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n");
    ASSERT_TRUE(env) << env.error().sentence();
    EXPECT_EQ(*env, example());
}

TEST(SubnetEnv, OnlyTrueMeansMasquerade) {
    for (const char *value : {"false", "True", "1", "yes", ""}) {
        const auto env =
            parse_subnet_env("FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=10.42.3.1/24\nFLANNEL_MTU=1450\n"
                             "FLANNEL_IPMASQ=" +
                             std::string(value) + "\n");
        ASSERT_TRUE(env);
        EXPECT_FALSE(env->ip_masq) << value;
    }
}

TEST_F(SubnetEnvFile, ErrorsNameFileAndVariable) {
    const auto path = dir_ / "subnet.env";
    EXPECT_EQ(read_subnet_env(path).error().sentence(), path.string() + ": No such file or directory");
    std::ofstream(path) << "FLANNEL_SUBNET=10.42.3.1/24\n";
    EXPECT_EQ(read_subnet_env(path).error().sentence(),
              path.string() + " is missing FLANNEL_NETWORK, FLANNEL_MTU, FLANNEL_IPMASQ");
    std::ofstream(path)
        << "FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=10.42.3.1/24\nFLANNEL_MTU=big\nFLANNEL_IPMASQ=true\n";
    EXPECT_THAT(read_subnet_env(path).error().sentence(), HasSubstr(path.string() + ": FLANNEL_MTU: \"big\""));
    std::ofstream(path)
        << "FLANNEL_NETWORK=10.42.0.0/16\nFLANNEL_SUBNET=10.42.3.1\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";
    EXPECT_THAT(read_subnet_env(path).error().sentence(), HasSubstr("FLANNEL_SUBNET: \"10.42.3.1\""));
    std::ofstream(path) << "FLANNEL_IPV6_NETWORK=2001:cafe:42::/56\nFLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";
    EXPECT_EQ(read_subnet_env(path).error().sentence(), path.string() + " is missing FLANNEL_IPV6_SUBNET");
    std::ofstream(path) << "FLANNEL_IPV6_NETWORK=2001:cafe:42::/56\nFLANNEL_IPV6_SUBNET=10.42.3.1/24\n"
                           "FLANNEL_MTU=1450\nFLANNEL_IPMASQ=true\n";
    EXPECT_THAT(read_subnet_env(path).error().sentence(),
                HasSubstr("FLANNEL_IPV6_SUBNET: \"10.42.3.1/24\" is not one IPv6 CIDR"));
}

TEST_F(SubnetEnvFile, PreviousSubnetNeedsNothingElse) {
    const auto path = dir_ / "subnet.env";
    EXPECT_FALSE(read_previous_subnet(path).v4);
    std::ofstream(path) << "FLANNEL_SUBNET=10.42.3.1/24\nFLANNEL_IPV6_SUBNET=2001:cafe:42::1/64\n";
    EXPECT_EQ(read_previous_subnet(path).v4->to_string(), "10.42.3.0/24");
    EXPECT_EQ(read_previous_subnet(path).v6->to_string(), "2001:cafe:42::/64");
    std::ofstream(path) << "FLANNEL_SUBNET=10.42.3.1/24,10.42.4.1/24\n";
    EXPECT_FALSE(read_previous_subnet(path).v4);
}

TEST_F(SubnetEnvFile, WriteMakesDirectoryAndModesWhateverTheUmask) {
    const auto path = dir_ / "run" / "flannel" / "subnet.env";
    const auto umask_before = ::umask(0077);
    const auto done = write_subnet_env(path, example());
    ::umask(umask_before);
    ASSERT_TRUE(done) << done.error().sentence();
    EXPECT_EQ(slurp(path), kBytes);
    EXPECT_EQ(mode(path), 0644u);
    EXPECT_EQ(mode(path.parent_path()), 0755u);
    EXPECT_EQ(std::distance(fs::directory_iterator(path.parent_path()), fs::directory_iterator{}), 1)
        << "temp file left";
}

TEST_F(SubnetEnvFile, FailedWriteKeepsTheOldFileAndLeavesNothing) {
    const auto path = dir_ / "subnet.env";
    fs::create_directory(path); // rename() onto a directory fails
    const auto done = write_subnet_env(path, example());
    ASSERT_FALSE(done);
    EXPECT_THAT(done.error().sentence(), HasSubstr(path.string()));
    EXPECT_EQ(std::distance(fs::directory_iterator(dir_), fs::directory_iterator{}), 1);
}

// A writer killed at any moment leaves the old file or the new one, never part of one.
TEST_F(SubnetEnvFile, ReadersNeverSeeATornFile) {
    const auto path = dir_ / "subnet.env";
    auto other = example();
    other.network = *parse_net4("10.142.0.0/16");
    ASSERT_TRUE(write_subnet_env(path, example()));
    for (int round = 0; round < 20; ++round) {
        const pid_t child = ::fork();
        ASSERT_GE(child, 0);
        if (child == 0) {
            while (true) {
                (void)write_subnet_env(path, other);
                (void)write_subnet_env(path, example());
            }
        }
        for (int reads = 0; reads < 50; ++reads) {
            const auto text = slurp(path);
            EXPECT_TRUE(text == kBytes || text == format(other)) << text;
        }
        ::kill(child, SIGKILL);
        ::waitpid(child, nullptr, 0);
        const auto text = slurp(path);
        EXPECT_TRUE(text == kBytes || text == format(other)) << text;
    }
}

} // namespace
} // namespace weft

// SPDX-License-Identifier: Apache-2.0
// The options, the bytes and the exit codes of flannel's mk-docker-opts.sh.
#include "ctl/docker_opts.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "dirs.hpp"
#include "needs.hpp"
#include "process.hpp"

namespace weft::test {
namespace {

using testing::HasSubstr;

constexpr const char *kSubnetEnv = "FLANNEL_NETWORK=10.1.0.0/16\n"
                                   "FLANNEL_SUBNET=10.1.74.1/24\n"
                                   "FLANNEL_MTU=1472\n"
                                   "FLANNEL_IPMASQ=false\n";

struct Golden {
    const char *name;
    std::vector<std::string> flags;
    const char *subnet_env;
    const char *text;
};
void PrintTo(const Golden &golden, std::ostream *out) { *out << golden.name; }

const Golden kGolden[] = {
    {"Default",
     {},
     kSubnetEnv,
     "DOCKER_OPT_BIP=\"--bip=10.1.74.1/24\"\nDOCKER_OPT_IPMASQ=\"--ip-masq=true\"\nDOCKER_OPT_MTU=\"--mtu=1472\"\n"
     "DOCKER_OPTS=\" --bip=10.1.74.1/24 --ip-masq=true --mtu=1472\"\n"},
    {"Individual",
     {"-i"},
     kSubnetEnv,
     "DOCKER_OPT_BIP=\"--bip=10.1.74.1/24\"\nDOCKER_OPT_IPMASQ=\"--ip-masq=true\"\nDOCKER_OPT_MTU=\"--mtu=1472\"\n"},
    {"Combined", {"-c"}, kSubnetEnv, "DOCKER_OPTS=\" --bip=10.1.74.1/24 --ip-masq=true --mtu=1472\"\n"},
    {"CustomKey",
     {"-k", "CUSTOM_KEY"},
     kSubnetEnv,
     "DOCKER_OPT_BIP=\"--bip=10.1.74.1/24\"\nDOCKER_OPT_IPMASQ=\"--ip-masq=true\"\nDOCKER_OPT_MTU=\"--mtu=1472\"\n"
     "CUSTOM_KEY=\" --bip=10.1.74.1/24 --ip-masq=true --mtu=1472\"\n"},
    {"WithoutIpMasq",
     {"-m"},
     kSubnetEnv,
     "DOCKER_OPT_BIP=\"--bip=10.1.74.1/24\"\nDOCKER_OPT_MTU=\"--mtu=1472\"\n"
     "DOCKER_OPTS=\" --bip=10.1.74.1/24 --mtu=1472\"\n"},
    {"FlagsInOneWord", {"-cm"}, kSubnetEnv, "DOCKER_OPTS=\" --bip=10.1.74.1/24 --mtu=1472\"\n"},
    {"BothFlagsAreTheDefault",
     {"-i", "-c", "-m"},
     kSubnetEnv,
     "DOCKER_OPT_BIP=\"--bip=10.1.74.1/24\"\nDOCKER_OPT_MTU=\"--mtu=1472\"\n"
     "DOCKER_OPTS=\" --bip=10.1.74.1/24 --mtu=1472\"\n"},
    {"FlannelMasquerades",
     {"-c"},
     "FLANNEL_SUBNET=10.1.74.1/24\nFLANNEL_IPMASQ=true\n",
     "DOCKER_OPTS=\" --bip=10.1.74.1/24 --ip-masq=false\"\n"},
    {"QuotedAsAShellReadsIt",
     {"-i"},
     "# written by hand\nexport FLANNEL_SUBNET=\"10.1.74.1/24\"\nFLANNEL_MTU='1472'\n",
     "DOCKER_OPT_BIP=\"--bip=10.1.74.1/24\"\nDOCKER_OPT_MTU=\"--mtu=1472\"\n"},
    {"NothingKnown", {}, "", "DOCKER_OPTS=\"\"\n"},
};

class DockerOpts : public testing::Test {
protected:
    void SetUp() override {
        WEFT_REQUIRES(requires_binary("weftctl"));
        WEFT_ASSERT_ASSIGN(auto dir, TempDir::create("docker-opts"));
        dir_.emplace(std::move(dir));
    }

    [[nodiscard]] std::string input() const { return *dir_ / "subnet.env"; }
    [[nodiscard]] std::string output() const { return *dir_ / "docker.env"; }
    Output weftctl(std::vector<std::string> flags, std::vector<std::string> env = {}) const {
        flags.insert(flags.begin(), {binary("weftctl"), "docker-opts", "-f", input(), "-d", output()});
        auto out = run(std::move(flags), {.env = std::move(env)});
        return out ? *out : Output{.code = -1, .out = "", .err = out.error().sentence()};
    }
    [[nodiscard]] std::string written() const {
        auto text = read_file(output());
        return text ? *text : text.error().sentence();
    }

    std::optional<TempDir> dir_;
};

class DockerOptsGolden : public DockerOpts, public testing::WithParamInterface<Golden> {};

TEST_P(DockerOptsGolden, TheFileIsByteForByteFlannels) {
    WEFT_ASSERT_OK(write_file(input(), GetParam().subnet_env));
    const auto out = weftctl(GetParam().flags);
    EXPECT_EQ(out.code, 0) << out.err;
    EXPECT_EQ(out.out + out.err, "");
    EXPECT_EQ(written(), GetParam().text);
}

INSTANTIATE_TEST_SUITE_P(Cases, DockerOptsGolden, testing::ValuesIn(kGolden),
                         [](const auto &golden) { return std::string(golden.param.name); });

TEST_F(DockerOpts, TheCallersOptionsAreKept) {
    WEFT_ASSERT_OK(write_file(input(), "FLANNEL_SUBNET=10.1.74.1/24\n"));
    EXPECT_EQ(weftctl({}, {"DOCKER_OPT_DEBUG=--debug", "DOCKER_OPTS=--tls"}).code, 0);
    EXPECT_EQ(written(), "DOCKER_OPT_BIP=\"--bip=10.1.74.1/24\"\nDOCKER_OPT_DEBUG=\"--debug\"\n"
                         "DOCKER_OPTS=\"--tls  --bip=10.1.74.1/24 --debug\"\n");
}

TEST_F(DockerOpts, AWrongIpMasqIsRefusedBeforeAnythingIsWritten) {
    WEFT_ASSERT_OK(write_file(input(), "FLANNEL_SUBNET=10.1.74.1/24\nFLANNEL_IPMASQ=maybe\n"));
    WEFT_ASSERT_OK(write_file(output(), "before\n"));
    const auto out = weftctl({});
    EXPECT_EQ(out.code, 1);
    EXPECT_THAT(out.err, HasSubstr("Invalid value of FLANNEL_IPMASQ: maybe"));
    EXPECT_EQ(written(), "before\n");
    EXPECT_EQ(weftctl({"-m"}).code, 0) << "nobody asks for it with -m";
}

TEST_F(DockerOpts, AMistakeGetsTheUsageAndExitStatus1) {
    WEFT_ASSERT_OK(write_file(input(), kSubnetEnv));
    for (const auto &flags : std::vector<std::vector<std::string>>{{"-x"}, {"-k"}, {"-h"}, {"--bogus"}}) {
        const auto out = weftctl(flags);
        EXPECT_EQ(out.code, 1) << flags.front();
        EXPECT_EQ(out.out, "");
        for (const char *option : {"-f", "-d", "-i", "-c", "-m", "-k"}) EXPECT_THAT(out.err, HasSubstr(option));
    }
}

TEST_F(DockerOpts, WithoutASubnetFileThereAreNoOptionsAndARemark) {
    const auto out = weftctl({"-c"});
    EXPECT_EQ(out.code, 0) << out.err;
    EXPECT_EQ(written(), "DOCKER_OPTS=\"\"\n");
    EXPECT_THAT(out.err, HasSubstr(input()));
}

TEST_F(DockerOpts, WhatCannotBeReplacedIsWrittenTo) {
    WEFT_ASSERT_OK(write_file(input(), kSubnetEnv));
    const auto link = *dir_ / "stdout"; // as /dev/stdout is
    std::filesystem::create_symlink("/proc/self/fd/1", link);
    EXPECT_EQ(weftctl({"-i", "-m", "-d", link}).out,
              "DOCKER_OPT_BIP=\"--bip=10.1.74.1/24\"\nDOCKER_OPT_MTU=\"--mtu=1472\"\n");
    EXPECT_TRUE(std::filesystem::is_symlink(link));
    std::filesystem::create_symlink(output(), *dir_ / "link");
    WEFT_ASSERT_OK(write_file(output(), "before\n"));
    EXPECT_EQ(weftctl({"-c", "-m", "-d", *dir_ / "link"}).code, 0);
    EXPECT_TRUE(std::filesystem::is_symlink(*dir_ / "link"));
    EXPECT_EQ(written(), "DOCKER_OPTS=\" --bip=10.1.74.1/24 --mtu=1472\"\n");
    const auto nowhere = weftctl({"-d", "/proc/nowhere/docker.env"});
    EXPECT_EQ(nowhere.code, 1);
    EXPECT_THAT(nowhere.err, HasSubstr("/proc/nowhere"));
}

TEST(DockerOptsRoutes, ASubnetBehindAGatewayIsRefused) {
    const net::Route elsewhere{.destination = *parse_net4("10.1.74.0/24"), .gateway = parse_ip4("192.0.2.254").value()};
    const net::Route reject{.destination = *parse_net4("10.1.74.0/24"), .type = net::RouteType::unreachable};
    const net::Route wider{.destination = *parse_net4("10.1.0.0/16"), .gateway = parse_ip4("169.254.1.1").value()};
    const auto refused = ctl::refuse_if_routed("10.1.74.1/24", {wider, elsewhere});
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().sentence(),
                HasSubstr("Your routing table already contains the subnet: 10.1.74.0/24 via 192.0.2.254"));
    EXPECT_TRUE(ctl::refuse_if_routed("10.1.74.1/24", {wider, reject})) << "weft's own routes are none";
    EXPECT_TRUE(ctl::refuse_if_routed("", {elsewhere}));
    EXPECT_FALSE(ctl::refuse_if_routed("10.1.74.300/24", {}));
}

} // namespace
} // namespace weft::test

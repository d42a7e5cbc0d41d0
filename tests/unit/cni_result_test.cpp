// SPDX-License-Identifier: Apache-2.0
// Results of every version, both ways.
#include "cni/result.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weft::cni {
namespace {

using nlohmann::json;
using testing::HasSubstr;

CniResult sample() {
    return {
        .interfaces = {{.name = "weft00", .mac = "0e:77:0a:05:03:02", .mtu = 1450},
                       {.name = "eth0", .mac = "0a:77:0a:05:03:02", .mtu = 1450, .sandbox = "/run/netns/x"}},
        .ips = {{.address = *parse_net("10.5.3.2/32"), .gateway = *parse_ip("10.5.3.1"), .interface = 1},
                {.address = *parse_net("fd00:5:3::2/128"), .gateway = *parse_ip("fd00:5:3::1"), .interface = 1}},
        .routes = {{.destination = *parse_net("0.0.0.0/0"), .gateway = *parse_ip("10.5.3.1"), .mtu = 1400, .scope = 0},
                   {.destination = *parse_net("::/0"), .gateway = *parse_ip("fd00:5:3::1")}},
        .dns = {.nameservers = {"10.96.0.10"}}};
}

TEST(CniResult, EachVersionHasItsShape) {
    const json old = to_json(sample(), Version::v0_4_0);
    EXPECT_EQ(old, json::parse(R"({"cniVersion": "0.4.0",
        "interfaces": [{"name": "weft00", "mac": "0e:77:0a:05:03:02"},
                       {"name": "eth0", "mac": "0a:77:0a:05:03:02", "sandbox": "/run/netns/x"}],
        "ips": [{"version": "4", "address": "10.5.3.2/32", "gateway": "10.5.3.1", "interface": 1},
                {"version": "6", "address": "fd00:5:3::2/128", "gateway": "fd00:5:3::1", "interface": 1}],
        "routes": [{"dst": "0.0.0.0/0", "gw": "10.5.3.1"}, {"dst": "::/0", "gw": "fd00:5:3::1"}],
        "dns": {"nameservers": ["10.96.0.10"]}})"));
    const json middle = to_json(sample(), Version::v1_0_0);
    EXPECT_FALSE(middle["ips"][0].contains("version"));
    EXPECT_FALSE(middle["interfaces"][0].contains("mtu"));
    const json current = to_json(sample(), Version::v1_1_0);
    EXPECT_EQ(current["interfaces"][0]["mtu"], 1450);
    EXPECT_EQ(current["routes"][0]["mtu"], 1400);
    EXPECT_EQ(current["routes"][0]["scope"], 0);
}

TEST(CniResult, TheOldestVersionsHaveAPartForEachFamily) {
    const json text = to_json(sample(), Version::v0_2_0);
    EXPECT_EQ(text, json::parse(R"({"cniVersion": "0.2.0",
        "ip4": {"ip": "10.5.3.2/32", "gateway": "10.5.3.1", "routes": [{"dst": "0.0.0.0/0", "gw": "10.5.3.1"}]},
        "ip6": {"ip": "fd00:5:3::2/128", "gateway": "fd00:5:3::1", "routes": [{"dst": "::/0", "gw": "fd00:5:3::1"}]},
        "dns": {"nameservers": ["10.96.0.10"]}})"));
    const auto read = parse_result(text, "result");
    ASSERT_TRUE(read) << read.error().msg;
    EXPECT_EQ(to_json(*read, Version::v0_2_0), text);

    CniResult only_v6 = sample();
    std::erase_if(only_v6.ips, [](const IpConfig &ip) { return ip.address.is_v4(); });
    EXPECT_FALSE(to_json(only_v6, Version::v0_1_0).contains("ip4"));
    EXPECT_EQ(to_json(only_v6, Version::v0_1_0)["ip6"]["ip"], "fd00:5:3::2/128");
}

TEST(CniResult, AnAddressIsOfTheContainersInterface) {
    CniResult result = sample();
    EXPECT_TRUE(is_of(result, result.ips[1], "eth0"));
    EXPECT_FALSE(is_of(result, result.ips[1], "weft00"));
    result.ips[1].interface = 0;
    EXPECT_FALSE(is_of(result, result.ips[1], "weft00")); // the host's
    result.ips[1].interface = 2;
    EXPECT_FALSE(is_of(result, result.ips[1], "eth0"));
    result.ips[1].interface.reset();
    EXPECT_FALSE(is_of(result, result.ips[1], "eth0"));
}

TEST(CniResult, ReadsBackWhatItWrote) {
    const auto read = parse_result(to_json(sample(), Version::v1_1_0), "prevResult");
    ASSERT_TRUE(read) << read.error().msg;
    EXPECT_EQ(*read, sample());
}

TEST(CniResult, OthersResultsAreReadIpv6AndAll) {
    const auto read = parse_result(json::parse(R"({"cniVersion": "0.3.1", "interfaces": null,
        "ips": [{"version": "6", "address": "fd00::5/64", "gateway": ""}], "routes": [{"dst": "::/0"}]})"),
                                   "prevResult");
    ASSERT_TRUE(read) << read.error().msg;
    EXPECT_EQ(read->ips[0].address.to_string(), "fd00::5/64");
    EXPECT_FALSE(read->ips[0].gateway);
    EXPECT_FALSE(read->ips[0].interface);
}

TEST(CniResult, WhatIsWrongIsNamed) {
    const auto said = [](const char *text) { return parse_result(json::parse(text), "prevResult").error(); };
    EXPECT_THAT(said(R"({"ips": {}})").msg, HasSubstr("prevResult.ips: an array"));
    EXPECT_THAT(said(R"({"ips": [{"address": "10.5.3.2"}]})").msg, HasSubstr("prevResult.ips[0].address"));
    EXPECT_THAT(said(R"({"ips": [{"address": "10.5.3.2/32", "gateway": "x"}]})").msg, HasSubstr("\"x\""));
    EXPECT_THAT(said(R"({"interfaces": [1]})").msg, HasSubstr("prevResult.interfaces[0]"));
    EXPECT_THAT(said(R"({"routes": [{"dst": "0.0.0.0/0", "scope": 256}]})").msg, HasSubstr("256"));
    EXPECT_THAT(said(R"({"ip6": {"ip": "fd00::5"}})").msg, HasSubstr("prevResult.ip6.ip"));
    EXPECT_THAT(said(R"({"ip4": "10.5.3.2"})").msg, HasSubstr("prevResult.ip4: an object"));
    EXPECT_EQ(said("[]").code, kDecodeFailure);
}

} // namespace
} // namespace weft::cni

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
    return {.interfaces = {{.name = "weft00", .mac = "0e:77:0a:05:03:02", .mtu = 1450},
                           {.name = "eth0", .mac = "0a:77:0a:05:03:02", .mtu = 1450, .sandbox = "/run/netns/x"}},
            .ips = {{.address = *parse_prefix("10.5.3.2/32"),
                     .gateway = asio::ip::make_address("10.5.3.1"),
                     .interface = 1}},
            .routes = {{.destination = *parse_prefix("0.0.0.0/0"),
                        .gateway = asio::ip::make_address("10.5.3.1"),
                        .mtu = 1400,
                        .scope = 0}},
            .dns = {.nameservers = {"10.96.0.10"}}};
}

TEST(CniResult, EachVersionHasItsShape) {
    const json old = to_json(sample(), Version::v0_4_0);
    EXPECT_EQ(old, json::parse(R"({"cniVersion": "0.4.0",
        "interfaces": [{"name": "weft00", "mac": "0e:77:0a:05:03:02"},
                       {"name": "eth0", "mac": "0a:77:0a:05:03:02", "sandbox": "/run/netns/x"}],
        "ips": [{"version": "4", "address": "10.5.3.2/32", "gateway": "10.5.3.1", "interface": 1}],
        "routes": [{"dst": "0.0.0.0/0", "gw": "10.5.3.1"}],
        "dns": {"nameservers": ["10.96.0.10"]}})"));
    const json middle = to_json(sample(), Version::v1_0_0);
    EXPECT_FALSE(middle["ips"][0].contains("version"));
    EXPECT_FALSE(middle["interfaces"][0].contains("mtu"));
    const json current = to_json(sample(), Version::v1_1_0);
    EXPECT_EQ(current["interfaces"][0]["mtu"], 1450);
    EXPECT_EQ(current["routes"][0]["mtu"], 1400);
    EXPECT_EQ(current["routes"][0]["scope"], 0);
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
    EXPECT_EQ(said("[]").code, kDecodeFailure);
}

} // namespace
} // namespace weft::cni

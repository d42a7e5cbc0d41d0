// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "lease/lease.hpp"

namespace weft {
namespace {

using ::testing::HasSubstr;

TEST(LeaseValue, BytesAndFieldOrderAreFlannels) {
    LeaseAttrs attrs{.public_ip = *parse_ip4("1.2.3.4")};
    EXPECT_EQ(format_lease_value(attrs), R"({"PublicIP":"1.2.3.4","PublicIPv6":null})");
    attrs.public_ip = *parse_ip4("192.168.64.3");
    attrs.backend_type = "vxlan";
    attrs.backend_data = {{"VNI", 1}, {"VtepMAC", "c6:d2:32:6f:8f:44"}};
    EXPECT_EQ(format_lease_value(attrs), R"({"PublicIP":"192.168.64.3","PublicIPv6":null,"BackendType":"vxlan",)"
                                         R"("BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}})");
    attrs.public_ip = *parse_ip4("10.0.0.1");
    attrs.public_ipv6 = *parse_ip6("fd00::1");
    attrs.backend_v6_data = attrs.backend_data;
    EXPECT_EQ(
        format_lease_value(attrs),
        R"({"PublicIP":"10.0.0.1","PublicIPv6":"fd00::1","BackendType":"vxlan",)"
        R"("BackendData":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"},"BackendV6Data":{"VNI":1,"VtepMAC":"c6:d2:32:6f:8f:44"}})");
    EXPECT_EQ(*parse_lease_value(format_lease_value(attrs)), attrs);
    const LeaseAttrs v6_only{.public_ip = {}, .public_ipv6 = *parse_ip6("2001:db8::1"), .backend_type = "host-gw"};
    EXPECT_EQ(format_lease_value(v6_only),
              R"({"PublicIP":"0.0.0.0","PublicIPv6":"2001:db8::1","BackendType":"host-gw"})");
}

TEST(LeaseValue, OurOwnFieldIsWrittenOnlyWhenTrue) {
    LeaseAttrs attrs{.public_ip = *parse_ip4("192.0.2.1"), .backend_type = "vxlan"};
    attrs.awaits_ipv6 = true;
    EXPECT_EQ(format_lease_value(attrs),
              R"({"PublicIP":"192.0.2.1","PublicIPv6":null,"BackendType":"vxlan","AwaitsIPv6":true})");
    EXPECT_EQ(*parse_lease_value(format_lease_value(attrs)), attrs);
    EXPECT_FALSE(parse_lease_value(R"({"PublicIP":"192.0.2.1","AwaitsIPv6":"x"})")->awaits_ipv6);
}

TEST(LeaseValue, NodesAreToldApartByTheAddressTheyHave) {
    const auto attrs = [](const char *v4, const char *v6) {
        LeaseAttrs node{.public_ip = *parse_ip4(v4)};
        if (*v6) node.public_ipv6 = *parse_ip6(v6);
        return node;
    };
    EXPECT_TRUE(same_node(attrs("192.0.2.1", ""), attrs("192.0.2.1", "2001:db8::1")));
    EXPECT_FALSE(same_node(attrs("192.0.2.1", "2001:db8::1"), attrs("192.0.2.2", "2001:db8::1")));
    EXPECT_TRUE(same_node(attrs("0.0.0.0", "2001:db8::1"), attrs("192.0.2.2", "2001:db8::1")));
    EXPECT_FALSE(same_node(attrs("0.0.0.0", "2001:db8::1"), attrs("0.0.0.0", "2001:db8::2")));
    EXPECT_FALSE(same_node(attrs("0.0.0.0", ""), attrs("0.0.0.0", "")));
    EXPECT_EQ(attrs("0.0.0.0", "2001:db8::1").node(), "2001:db8::1");
    EXPECT_EQ(attrs("192.0.2.1", "2001:db8::1").node(), "192.0.2.1");
}

TEST(LeaseValue, UnsetAddressIsWrittenAsZeros) {
    EXPECT_EQ(format_lease_value({}), R"({"PublicIP":"0.0.0.0","PublicIPv6":null})");
}

TEST(LeaseValue, ReaderMatchesNamesWithoutCaseAndIgnoresTheRest) {
    const auto attrs = parse_lease_value(R"( {"publicip":"192.0.2.2", "PUBLICIPV6":null, "backendType":"vxlan",
        "New":{"x":[1,2]}, "BackendData":{"VNI":7,"VtepMAC":"1e:3a:76:11:44:7f"}} )");
    ASSERT_TRUE(attrs) << attrs.error().sentence();
    EXPECT_EQ(attrs->public_ip.to_string(), "192.0.2.2");
    EXPECT_FALSE(attrs->public_ipv6);
    EXPECT_EQ(attrs->backend_type, "vxlan");
    EXPECT_EQ(attrs->backend_data.to_json()["VNI"], 7);
    EXPECT_TRUE(attrs->backend_v6_data.is_null());
}

TEST(LeaseValue, WhatMayBeMissing) {
    EXPECT_EQ(parse_lease_value("{}")->public_ip.to_string(), "0.0.0.0");
    EXPECT_EQ(parse_lease_value(R"({"PublicIP":"1.2.3.4"})")->backend_type, "");
    // extension's backend data is a string, flannel takes any shape
    EXPECT_EQ(parse_lease_value(R"({"PublicIP":"1.2.3.4","BackendType":"extension","BackendData":"text"})")
                  ->backend_data.to_json(),
              "text");
}

TEST(LeaseValue, BottomlessNestingIsRefused) {
    const std::string deep = std::string(500'000, '[') + std::string(500'000, ']');
    const auto attrs = parse_lease_value(R"({"PublicIP":"1.2.3.4","BackendData":)" + deep + "}");
    ASSERT_FALSE(attrs);
    EXPECT_THAT(attrs.error().sentence(), HasSubstr("nested"));
}

TEST(LeaseValue, ErrorsNameFieldAndValue) {
    const std::pair<const char *, const char *> cases[] = {
        {"", "not JSON"},
        {"{", "not JSON"},
        {"[]", "[] is not a JSON object"},
        {R"({"PublicIP":null})", "PublicIP: null"},
        {R"({"PublicIP":""})", "PublicIP: \"\""},
        {R"({"PublicIP":"node-a"})", "PublicIP: \"node-a\""},
        {R"({"PublicIP":5})", "PublicIP: 5"},
        {R"({"PublicIP":"1.2.3.4","PublicIPv6":""})", "PublicIPv6: \"\""},
        {R"({"PublicIP":"1.2.3.4","PublicIPv6":"::ffff:1.2.3.4"})", "PublicIPv6: \"::ffff:1.2.3.4\""},
        {R"({"PublicIP":"1.2.3.4","BackendType":["vxlan"]})", "BackendType: [\"vxlan\"]"},
    };
    for (const auto &[json, text] : cases) {
        const auto attrs = parse_lease_value(json);
        ASSERT_FALSE(attrs) << json;
        EXPECT_THAT(attrs.error().sentence(), HasSubstr(text));
    }
}

} // namespace
} // namespace weft

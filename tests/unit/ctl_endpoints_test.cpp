// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctl/endpoints.hpp"
#include "ctl/table.hpp"

namespace weft::ctl {
namespace {

EndpointEntry entry(const char *address, unsigned ifindex, __u32 flags = 0) {
    weft_endpoint endpoint{};
    endpoint.ifindex = ifindex;
    endpoint.pod_mac = abi::mac(*parse_mac("0a:58:0a:f4:01:02"));
    endpoint.host_mac = abi::mac(*parse_mac("0a:58:0a:f4:01:01"));
    endpoint.flags = flags;
    return {abi::ip(*parse_ip4(address)), endpoint};
}

TEST(CtlEndpoints, AreSortedAsNumbersNotAsText) {
    const auto rows = endpoint_rows({entry("10.244.1.10", 7), entry("10.244.1.9", 8), entry("10.244.1.10", 7)}, {});
    ASSERT_EQ(rows.size(), 2U);
    EXPECT_EQ(rows[0].address.to_string(), "10.244.1.9");
    EXPECT_EQ(rows[1].address.to_string(), "10.244.1.10");
}

TEST(CtlEndpoints, TableTellsWhosePodItIs) {
    const Links links{{7, {"weft0123456789a", "weft:cbr0:4f2d:eth0"}}, {8, {"weftba987654321", ""}}};
    const auto rows = endpoint_rows({entry("10.244.1.2", 7), entry("10.244.1.10", 8, WEFT_EP_STACK)}, links);
    EXPECT_EQ(
        endpoints_table(rows),
        "ADDRESS      DEV                POD-MAC            HOST-MAC           PATH    NETWORK  CONTAINER  POD-IFNAME\n"
        "10.244.1.2   7:weft0123456789a  0a:58:0a:f4:01:02  0a:58:0a:f4:01:01  direct  cbr0     4f2d       eth0\n"
        "10.244.1.10  8:weftba987654321  0a:58:0a:f4:01:02  0a:58:0a:f4:01:01  stack   -        -          -\n");
}

TEST(CtlEndpoints, JsonKeepsItsFieldNames) {
    const Links links{{7, {"weft0123456789a", "weft:cbr0:4f2d:eth0"}}};
    const nlohmann::json expected = {{{"address", "10.244.1.2"},
                                      {"ifindex", 7},
                                      {"ifname", "weft0123456789a"},
                                      {"pod_mac", "0a:58:0a:f4:01:02"},
                                      {"host_mac", "0a:58:0a:f4:01:01"},
                                      {"via_stack", false},
                                      {"network", "cbr0"},
                                      {"container_id", "4f2d"},
                                      {"container_ifname", "eth0"}}};
    EXPECT_EQ(nlohmann::json(endpoints_json(endpoint_rows({entry("10.244.1.2", 7)}, links))), expected);
}

TEST(CtlEndpoints, APodWhoseVethIsGoneIsStillListed) {
    const auto rows = endpoint_rows({entry("10.244.1.2", 7)}, {});
    EXPECT_THAT(endpoints_table(rows), testing::HasSubstr("7:?"));
    const auto json = endpoints_json(rows);
    EXPECT_TRUE(json[0]["ifname"].is_null());
    EXPECT_TRUE(json[0]["container_id"].is_null());
}

TEST(CtlEndpoints, NoneIsSaidInWordsAndIsAnEmptyArrayInJson) {
    EXPECT_EQ(endpoints_table({}), "no pods on this node\n");
    EXPECT_EQ(json_text(endpoints_json({})), "[]\n");
}

TEST(CtlPodAlias, OnlyWeftsOwnFormIsRead) {
    EXPECT_EQ(parse_pod_alias("weft:net-a.1:0123abcd:net1").container_id, "0123abcd");
    EXPECT_EQ(parse_pod_alias("weft:net-a.1:0123abcd:net1").network, "net-a.1");
    EXPECT_EQ(parse_pod_alias("weft:net-a.1:0123abcd:net1").ifname, "net1");
    for (const char *other : {"", "weft", "weft:", "weft:net", "weft:net:id", "uplink to tor 3", "WEFT:net:id:eth0"})
        EXPECT_EQ(parse_pod_alias(other).network, "") << other;
}

TEST(CtlLinks, TheLoopbackIsReadByNameFromTheKernel) {
    const auto links = read_links();
    ASSERT_TRUE(links) << links.error().sentence();
    EXPECT_EQ(link_name(*links, 1), "lo");
    EXPECT_EQ(link_name(*links, 0x7fffffff), "");
}

} // namespace
} // namespace weft::ctl

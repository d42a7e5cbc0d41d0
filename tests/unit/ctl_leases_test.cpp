// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ctl/leases.hpp"
#include "ctl/table.hpp"

namespace weft::ctl {
namespace {

using testing::ElementsAre;

LeaseEntry entry(const char *subnet, const char *node, weft_lease_stats stats = {}) {
    weft_lease lease{};
    lease.node = lease.next_hop = abi::ip(*parse_ip4(node));
    lease.ifindex = 2;
    lease.vtep_mac = abi::mac(*parse_mac("02:77:c0:00:02:02"));
    lease.mtu = 1450;
    lease.encap = WEFT_ENCAP_VXLAN;
    return {abi::lease_key(*parse_net4(subnet)), lease, stats};
}

std::vector<std::string> subnets(const std::vector<LeaseRow> &rows) {
    std::vector<std::string> texts;
    for (const auto &row : rows) texts.push_back(row.subnet.to_string());
    return texts;
}

TEST(CtlLeases, AreSortedAsNumbersNotAsText) {
    const auto rows = lease_rows({entry("10.244.100.0/24", "192.0.2.4"), entry("10.244.9.0/24", "192.0.2.3"),
                                  entry("10.244.20.0/24", "192.0.2.2")},
                                 {});
    EXPECT_THAT(subnets(rows), ElementsAre("10.244.9.0/24", "10.244.20.0/24", "10.244.100.0/24"));
}

TEST(CtlLeases, TheWiderPrefixComesFirst) {
    const auto rows = lease_rows({entry("10.244.0.0/24", "192.0.2.2"), entry("10.244.0.0/20", "192.0.2.3")}, {});
    EXPECT_THAT(subnets(rows), ElementsAre("10.244.0.0/20", "10.244.0.0/24"));
}

TEST(CtlLeases, AnEntryMetTwiceInTheWalkIsShownOnce) {
    const auto rows = lease_rows(
        {entry("10.244.1.0/24", "192.0.2.2"), entry("10.244.2.0/24", "192.0.2.3"), entry("10.244.1.0/24", "192.0.2.2")},
        {});
    EXPECT_THAT(subnets(rows), ElementsAre("10.244.1.0/24", "10.244.2.0/24"));
}

TEST(CtlLeases, StatisticsAreTheSumOfAllCpus) {
    const std::vector<weft_lease_stats> per_cpu{{1, 100, 5, 500}, {2, 200, 0, 0}, {0, 0, 10, 1000}};
    const auto total = sum(per_cpu);
    EXPECT_EQ(total.tx_packets, 3U);
    EXPECT_EQ(total.tx_bytes, 300U);
    EXPECT_EQ(total.rx_packets, 15U);
    EXPECT_EQ(total.rx_bytes, 1500U);
}

TEST(CtlLeases, TableIsAlignedAndNamesTheLink) {
    const auto rows =
        lease_rows({entry("10.244.9.0/24", "192.0.2.3", {12, 3456, 7, 890}), entry("10.244.20.0/24", "192.0.2.2")},
                   {{2, {"eth0", ""}}});
    EXPECT_EQ(leases_table(rows), "SUBNET          NODE       ENCAP  NEXT-HOP   DEV      MTU  VTEP-MAC           "
                                  "TX-PACKETS  TX-BYTES  RX-PACKETS  RX-BYTES\n"
                                  "10.244.9.0/24   192.0.2.3  vxlan  192.0.2.3  2:eth0  1450  02:77:c0:00:02:02        "
                                  "  12      3456           7       890\n"
                                  "10.244.20.0/24  192.0.2.2  vxlan  192.0.2.2  2:eth0  1450  02:77:c0:00:02:02        "
                                  "   0         0           0         0\n");
}

TEST(CtlLeases, JsonKeepsItsFieldNames) {
    const auto rows = lease_rows({entry("10.244.9.0/24", "192.0.2.3", {12, 3456, 7, 890})}, {{2, {"eth0", ""}}});
    const nlohmann::json expected = {{{"subnet", "10.244.9.0/24"},
                                      {"node", "192.0.2.3"},
                                      {"encap", "vxlan"},
                                      {"next_hop", "192.0.2.3"},
                                      {"ifindex", 2},
                                      {"ifname", "eth0"},
                                      {"mtu", 1450},
                                      {"vtep_mac", "02:77:c0:00:02:02"},
                                      {"tx_packets", 12},
                                      {"tx_bytes", 3456},
                                      {"rx_packets", 7},
                                      {"rx_bytes", 890}}};
    EXPECT_EQ(nlohmann::json(leases_json(rows)), expected);
}

TEST(CtlLeases, ALinkThatIsGoneHasANumberAndNoName) {
    const auto rows = lease_rows({entry("10.244.9.0/24", "192.0.2.3")}, {});
    EXPECT_THAT(leases_table(rows), testing::HasSubstr(" 2:? "));
    EXPECT_TRUE(leases_json(rows)[0]["ifname"].is_null());
}

TEST(CtlLeases, NoneIsSaidInWordsAndIsAnEmptyArrayInJson) {
    EXPECT_EQ(leases_table({}), "no leases of other nodes\n");
    EXPECT_EQ(json_text(leases_json({})), "[]\n");
}

TEST(CtlLeases, AnUnknownEncapsulationDoesNotBreakTheTable) {
    auto odd = entry("10.244.9.0/24", "192.0.2.3");
    odd.lease.encap = 200;
    EXPECT_EQ(lease_rows({odd}, {}).front().encap, "none");
}

} // namespace
} // namespace weft::ctl

// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>

#include "ctl/refused.hpp"

namespace weft::ctl {
namespace {

using namespace std::chrono_literals;

const weft_mac kMac = abi::mac(*parse_mac("02:00:00:00:00:01"));

RefusedEntry entry(const weft_refused_key &key, std::chrono::nanoseconds last) {
    return {key,
            {.packets = 3, .bytes = 180, .last_ns = static_cast<__u64>(last.count()), .mac = kMac, .reserved = {}}};
}

weft_refused_key from_wire(const char *sender) {
    weft_refused_key key{};
    if (sender) key.sender = abi::ip(*parse_ip(sender));
    key.hook = WEFT_HOOK_FROM_WIRE;
    key.reason = WEFT_R_UNKNOWN_SENDER;
    return key;
}

weft_refused_key from_pod(unsigned ifindex) {
    weft_refused_key key{};
    key.ifindex = ifindex;
    key.hook = WEFT_HOOK_FROM_POD;
    key.reason = WEFT_R_POD_SOURCE;
    key.tolerated = 1;
    return key;
}

TEST(CtlRefused, ASenderIsAnAddressAPodOrOthers) {
    const auto pod = [](const char *address) {
        weft_endpoint endpoint{};
        endpoint.ifindex = 7;
        return EndpointEntry{abi::ip(*parse_ip(address)), endpoint};
    };
    const auto rows =
        refused_rows({entry(from_wire("192.0.2.66"), 1s), entry(from_wire("2001:db8::66"), 2s),
                      entry(from_wire(nullptr), 3s), entry(from_pod(7), 4s), entry(from_pod(8), 5s)},
                     {pod("fd00:244:0:1::2"), pod("10.244.1.2")}, {{7, {"weft7", ""}}, {8, {"weft8", ""}}}, 6s);
    ASSERT_EQ(rows.size(), 5U);
    EXPECT_EQ(rows[0].sender, "weft8") << "whose pod is gone";
    EXPECT_EQ(rows[1].sender, "10.244.1.2,fd00:244:0:1::2");
    EXPECT_EQ(rows[1].ifname, "weft7");
    EXPECT_TRUE(rows[1].tolerated);
    EXPECT_EQ(rows[2].sender, "others");
    EXPECT_EQ(rows[3].sender, "2001:db8::66");
    EXPECT_EQ(rows[4].sender, "192.0.2.66");
    EXPECT_EQ(rows[4].hook + "/" + rows[4].reason, "from_wire/unknown_sender");
    EXPECT_EQ(rows[4].ago, 5s) << "the latest is first";
}

TEST(CtlRefused, NothingHappensLaterThanNow) {
    EXPECT_EQ(refused_rows({entry(from_wire("192.0.2.66"), 9s)}, {}, {}, 6s).at(0).ago, 0s);
}

TEST(CtlRefused, IsATableForEyesAndAwk) {
    EXPECT_EQ(refused_table({}), "nothing refused yet\n");
    const auto rows =
        refused_rows({entry(from_wire("192.0.2.66"), 1s), entry(from_pod(8), 3500ms)}, {}, {{8, {"weft8", ""}}}, 4s);
    EXPECT_EQ(
        refused_table(rows),
        "SENDER      MAC                DEV    PROGRAM    VERDICT    REASON          PACKETS  BYTES       LAST\n"
        "weft8       02:00:00:00:00:01  weft8  from_pod   tolerated  pod_source            3    180  0.5 s ago\n"
        "192.0.2.66  02:00:00:00:00:01  -      from_wire  drop       unknown_sender        3    180  3.0 s ago\n");
}

TEST(CtlRefused, WhatEachCpuCountedIsOneRowWithTheLatestMac) {
    const weft_mac old = abi::mac(*parse_mac("02:00:00:00:00:99"));
    const std::array<weft_refused, 3> cpus{weft_refused{1, 60, 500, old, {}}, weft_refused{2, 120, 900, kMac, {}},
                                           weft_refused{}};
    const auto total = sum(cpus);
    EXPECT_EQ(total.packets, 3U);
    EXPECT_EQ(total.bytes, 180U);
    EXPECT_EQ(total.last_ns, 900U);
    EXPECT_EQ(abi::mac(total.mac), abi::mac(kMac));
}

} // namespace
} // namespace weft::ctl

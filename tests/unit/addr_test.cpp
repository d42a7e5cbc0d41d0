// SPDX-License-Identifier: Apache-2.0
#include "base/addr.hpp"

#include <gtest/gtest.h>

namespace weft {
namespace {

TEST(Net4, KeepsHostBitsUntilCanonical) {
    const auto net = parse_net4("10.5.3.7/16");
    ASSERT_TRUE(net);
    EXPECT_EQ(net->address().to_string(), "10.5.3.7");
    EXPECT_EQ(net->canonical().to_string(), "10.5.0.0/16");
}

TEST(Net4, RefusesWhatIsNotACidr) {
    for (const char *text : {"", "10.5.0.0", "10.5.0.0/", "10.5.0.0/33", "10.5.0/16", "10.5.0.0/016", "10.5.0.0/+8",
                             "fc00::/48", "10.5.0.0/16 ", "256.0.0.0/8"}) {
        const auto net = parse_net4(text);
        ASSERT_FALSE(net) << text;
        EXPECT_NE(net.error().sentence().find(text), std::string::npos) << net.error().sentence();
    }
}

TEST(Net4, ContainsAndOverlaps) {
    const auto a = *parse_net4("10.5.0.0/16"), b = *parse_net4("10.5.34.0/24"), c = *parse_net4("10.6.0.0/24");
    EXPECT_TRUE(contains(a, *parse_ip4("10.5.255.255")));
    EXPECT_FALSE(contains(a, *parse_ip4("10.6.0.0")));
    EXPECT_TRUE(overlaps(a, b));
    EXPECT_TRUE(overlaps(b, a));
    EXPECT_FALSE(overlaps(a, c));
    EXPECT_TRUE(contains(*parse_net4("0.0.0.0/0"), *parse_ip4("255.1.2.3")));
}

TEST(Net6, ParsesAndFormatsAsRfc5952) {
    EXPECT_EQ(parse_net6("FD00:0:0:5:0:0:0:0/64")->address().to_string(), "fd00:0:0:5::");
    EXPECT_FALSE(parse_net6("fd00::/129"));
    EXPECT_FALSE(parse_net6("10.0.0.0/8"));
    EXPECT_FALSE(parse_ip6("fe80::1%eth0"));
}

TEST(Net, HoldsEitherFamilyAndNeverMixesThem) {
    const Net v4 = *parse_net("10.5.3.7/16"), v6 = *parse_net("fd00:0:0:5::7/64");
    EXPECT_EQ(v4.canonical().to_string(), "10.5.0.0/16");
    EXPECT_EQ(v6.canonical().to_string(), "fd00:0:0:5::/64");
    EXPECT_EQ(v6.to_string(), "fd00:0:0:5::7/64");
    EXPECT_TRUE(contains(v6, *parse_ip("fd00:0:0:5:1::")));
    EXPECT_FALSE(contains(*parse_net("::/0"), *parse_ip("10.5.3.7")));
    EXPECT_FALSE(contains(*parse_net("::ffff:0:0/96"), *parse_ip("10.5.3.7"))) << "a mapped address is IPv6";
    EXPECT_FALSE(overlaps(*parse_net("0.0.0.0/0"), *parse_net("::/0")));
    EXPECT_TRUE(overlaps(*parse_net("fd00::/16"), v6));
    EXPECT_LT(*parse_net("255.0.0.0/8"), *parse_net("::/0"));
    EXPECT_LT(*parse_net("10.5.0.0/16"), *parse_net("10.5.0.0/24"));
    EXPECT_EQ(host_net(*parse_ip("fd00::1")).to_string(), "fd00::1/128");
    EXPECT_EQ(host_net(*parse_ip("10.5.0.1")).to_string(), "10.5.0.1/32");
}

TEST(Net, RefusesWhatIsOfNoFamily) {
    for (const char *text : {"", "10.5.0.0", "fd00::", "fd00::/129", "10.5.0.0/33", "::1%lo/128"})
        EXPECT_FALSE(parse_net(text)) << text;
    EXPECT_NE(parse_ip("10.5.0").error().sentence().find("\"10.5.0\""), std::string::npos);
}

TEST(Ip, CountsOnOverOctetsAndWrapsAtTheEnd) {
    for (const auto &[from, n, to] :
         {std::tuple{"10.5.3.255", 1U, "10.5.4.0"}, std::tuple{"fd00:0:0:5::", 1U, "fd00:0:0:5::1"},
          std::tuple{"fd00::ffff:ffff", 1U, "fd00::1:0:0"}, std::tuple{"fd00::ff", 0xffffff01U, "fd00::1:0:0"},
          std::tuple{"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", 2U, "::1"}})
        EXPECT_EQ((*parse_ip(from) + n).to_string(), to) << from;
}

TEST(Mac, RoundTripsAndRefusesOtherShapes) {
    EXPECT_EQ(parse_mac("1E:3a:76:11:44:7f")->to_string(), "1e:3a:76:11:44:7f");
    for (const char *text : {"", "1e:3a:76:11:44", "1e:3a:76:11:44:7f:00", "1e-3a-76-11-44-7f", "1g:3a:76:11:44:7f"})
        EXPECT_FALSE(parse_mac(text)) << text;
}

} // namespace
} // namespace weft

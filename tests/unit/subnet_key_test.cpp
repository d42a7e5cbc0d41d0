// SPDX-License-Identifier: Apache-2.0
#include <gmock/gmock.h>

#include "lease/lease.hpp"

namespace weft {
namespace {

using ::testing::HasSubstr;

TEST(SubnetKey, RoundTrips) {
    for (const char *key :
         {"10.5.34.0-24", "10.244.0.0-16", "192.168.4.4-30", "10.0.0.0-31", "128.0.0.0-1",
          "10.5.34.0-24&fd00:0:0:5::-64", "10.5.34.0-24&fc00::-48", "10.5.34.0-24&2001:cafe:42:1::-64",
          "10.5.34.0-24&fc00:0:0:1:8000::-65", "0.0.0.0-0&fd00:0:0:5::-64", "0.0.0.0-0&8000::-1"}) {
        const auto subnet = parse_subnet_key(key);
        ASSERT_TRUE(subnet) << subnet.error().sentence();
        EXPECT_EQ(format_subnet_key(*subnet), key);
    }
    const auto dual = *parse_subnet_key("10.5.34.0-24&fd00:0:0:5::-64");
    EXPECT_EQ(dual.v4->to_string(), "10.5.34.0/24");
    EXPECT_EQ(dual.v6->to_string(), "fd00:0:0:5::/64");
    EXPECT_EQ(dual.to_string(), "10.5.34.0/24 fd00:0:0:5::/64");
    const auto v6_only = *parse_subnet_key("0.0.0.0-0&fd00:0:0:5::-64");
    EXPECT_FALSE(v6_only.v4);
    EXPECT_EQ(v6_only.to_string(), "fd00:0:0:5::/64");
}

// What flannel refuses as well.
TEST(SubnetKey, RefusesWhatIsNoKey) {
    for (const char *key : {"", "10.5.34.0", "10.5.34.0-", "-24", "10.5.34-24", "10.5.34.0/24", "10.5.34.0-24-",
                            "10.5.34.0-24&", "10.5.34.0-24&fd00::", "10.5.34.0-24&fd00::/64", "10.5.34.256-24",
                            "10.5.34.0-32", "10.5.34.0-33", "10.5.34.0-a", "10.5.34.0-24&FD00::-64",
                            "10.5.34.0-24&fd00::-128", "10.5.34.0-24&fd0g::-64", "fd00::-64", "10.5.34.0-24 "})
        EXPECT_FALSE(parse_subnet_key(key)) << key;
}

// What flannel takes, but two keys for one subnet, or one node for every address, would follow from it.
TEST(SubnetKey, RefusesWhatIsDangerous) {
    for (const char *key : {"junk10.5.34.0-24", "a/10.5.34.0-24", "10.5.34.7-24", "10.5.34.0-024", "010.5.34.0-24",
                            "10.5.34.0-24&fd00:0:0:5:0:0:0:0-64", "10.5.34.0-24&fd00::1-64", "10.5.34.0-24&::-0",
                            "10.5.34.0-24&::ffff:10.0.0.0-112", "0.0.0.0-0", "0.0.0.0-0&::-0", "10.5.34.0-0&fd00::-64",
                            "0.0.0.0-00&fd00::-64"}) {
        const auto subnet = parse_subnet_key(key);
        ASSERT_FALSE(subnet) << key;
        EXPECT_THAT(subnet.error().sentence(), HasSubstr(key));
    }
    EXPECT_THAT(parse_subnet_key("10.5.34.7-24").error().sentence(), HasSubstr("\"10.5.34.0-24\""));
}

TEST(SubnetKey, OrdersByAddressThenLengthThenIpv6) {
    const auto key = [](const char *text) { return *parse_subnet_key(text); };
    EXPECT_LT(key("9.5.0.0-16"), key("10.5.0.0-16"));
    EXPECT_LT(key("10.5.0.0-16"), key("10.5.0.0-24"));
    EXPECT_LT(key("10.5.0.0-24"), key("10.5.0.0-24&fd00::-64"));
    EXPECT_LT(key("10.5.0.0-24&fd00::-64"), key("0.0.0.0-0&fd00::-64"));
    EXPECT_EQ(key("10.5.0.0-24&fd00::-64"), key("10.5.0.0-24&fd00::-64"));
}

} // namespace
} // namespace weft

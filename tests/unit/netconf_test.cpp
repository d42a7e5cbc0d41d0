// SPDX-License-Identifier: Apache-2.0
#include "config/net_conf.hpp"

#include <gmock/gmock.h>

namespace weft {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

Result<NetConf> load(std::string_view json) {
    auto conf = parse_net_conf(json);
    if (!conf) return conf;
    if (auto ok = validate(*conf); !ok) return fail_as_is(std::move(ok));
    return conf;
}

/// A v4 network with the rest of the document after it.
std::string v4(std::string_view network, std::string_view rest = "") {
    return R"({"Network":")" + std::string(network) + "\"" + std::string(rest) + R"(,"Backend":{"Type":"vxlan"}})";
}
std::string v6(std::string_view network, std::string_view rest = "") {
    return R"({"EnableIPv4":false,"EnableIPv6":true,"IPv6Network":")" + std::string(network) + "\"" +
           std::string(rest) + R"(,"Backend":{"Type":"vxlan"}})";
}

struct Good {
    std::string sentence, json;
    unsigned len;
    std::string min, max;
};
void PrintTo(const Good &c, std::ostream *os) { *os << c.sentence; }

class NetConfDefaults4 : public ::testing::TestWithParam<Good> {};
TEST_P(NetConfDefaults4, DivideAsFlannelDoes) {
    const auto conf = load(GetParam().json);
    ASSERT_TRUE(conf) << conf.error().sentence();
    EXPECT_EQ(conf->subnet_len, GetParam().len);
    EXPECT_EQ(conf->subnet_min.to_string(), GetParam().min);
    EXPECT_EQ(conf->subnet_max.to_string(), GetParam().max);
}
INSTANTIATE_TEST_SUITE_P(
    Golden, NetConfDefaults4,
    ::testing::Values(
        Good{"a /16 gives /24s, the first one unused", v4("10.5.0.0/16"), 24, "10.5.1.0", "10.5.255.0"},
        Good{"host bits of Network are masked", v4("10.5.3.7/16"), 24, "10.5.1.0", "10.5.255.0"},
        Good{"the smallest network is a /28", v4("10.5.0.0/28"), 30, "10.5.0.4", "10.5.0.12"},
        Good{"a /23 is quartered", v4("10.5.0.0/23"), 25, "10.5.0.128", "10.5.1.128"},
        Good{"a /22 still gives /24s", v4("10.5.0.0/22"), 24, "10.5.1.0", "10.5.3.0"},
        Good{"a /24 with SubnetLen 26", v4("10.5.0.0/24", R"(,"SubnetLen":26)"), 26, "10.5.0.64", "10.5.0.192"},
        Good{"a /16 with SubnetLen 18", v4("10.5.0.0/16", R"(,"SubnetLen":18)"), 18, "10.5.64.0", "10.5.192.0"},
        Good{"explicit bounds stay", v4("10.5.0.0/16", R"(,"SubnetMin":"10.5.7.0","SubnetMax":"10.5.9.0")"), 24,
             "10.5.7.0", "10.5.9.0"},
        Good{"0.0.0.0 as a bound means unset", v4("10.5.0.0/16", R"(,"SubnetMin":"0.0.0.0")"), 24, "10.5.1.0",
             "10.5.255.0"},
        Good{"SubnetMin above SubnetMax is not flannel's concern here",
             v4("10.5.0.0/16", R"(,"SubnetMin":"10.5.9.0","SubnetMax":"10.5.7.0")"), 24, "10.5.9.0", "10.5.7.0"},
        Good{"keys match without case", R"({"NETWORK":"10.5.0.0/16","subnetlen":25,"backend":{"TYPE":"VxLAN"}})", 25,
             "10.5.0.128", "10.5.255.128"},
        Good{"the last of duplicated keys wins, whatever its case",
             R"({"Network":"10.1.0.0/16","network":"10.2.0.0/16","Network":"10.5.0.0/16","Backend":{"Type":"vxlan"}})",
             24, "10.5.1.0", "10.5.255.0"},
        Good{"unknown keys are ignored", v4("10.5.0.0/16", R"(,"Colour":[1,{"x":null}])"), 24, "10.5.1.0",
             "10.5.255.0"},
        Good{"null leaves a plain field at its default", v4("10.5.0.0/16", R"(,"SubnetLen":null,"EnableIPv4":null)"),
             24, "10.5.1.0", "10.5.255.0"}));

class NetConfDefaults6 : public ::testing::TestWithParam<Good> {};
TEST_P(NetConfDefaults6, DivideAsFlannelDoes) {
    const auto conf = load(GetParam().json);
    ASSERT_TRUE(conf) << conf.error().sentence();
    EXPECT_EQ(conf->ipv6_subnet_len, GetParam().len);
    EXPECT_EQ(conf->ipv6_subnet_min.to_string(), GetParam().min);
    EXPECT_EQ(conf->ipv6_subnet_max.to_string(), GetParam().max);
}
INSTANTIATE_TEST_SUITE_P(
    Golden, NetConfDefaults6,
    ::testing::Values(Good{"a /48 gives /64s", v6("fc00::/48"), 64, "fc00:0:0:1::", "fc00:0:0:ffff::"},
                      Good{"a /63 is quartered", v6("fc00::/63"), 65, "fc00::8000:0:0:0", "fc00:0:0:1:8000::"},
                      Good{"the smallest network is a /124", v6("fc00::/124"), 126, "fc00::4", "fc00::c"},
                      Good{"a /8 gives /64s as well", v6("fd00::/8"), 64, "fd00:0:0:1::", "fdff:ffff:ffff:ffff::"},
                      Good{"host bits of IPv6Network are masked", v6("fc00::5:0:0:7/48"), 64,
                           "fc00:0:0:1::", "fc00:0:0:ffff::"},
                      Good{"a /48 with IPv6SubnetLen 50", v6("fc00::/48", R"(,"IPv6SubnetLen":50)"), 50,
                           "fc00:0:0:4000::", "fc00:0:0:c000::"},
                      Good{"explicit bounds stay",
                           v6("fc00::/48", R"(,"IPv6SubnetMin":"fc00:0:0:7::","ipv6subnetmax":"fc00:0:0:9::")"), 64,
                           "fc00:0:0:7::", "fc00:0:0:9::"},
                      Good{"null bounds are unset", v6("fc00::/48", R"(,"IPv6SubnetMin":null)"), 64,
                           "fc00:0:0:1::", "fc00:0:0:ffff::"}));

struct Bad {
    std::string sentence, json, flannels_text;
    std::vector<std::string> names; ///< key and value that the message must contain
};
void PrintTo(const Bad &c, std::ostream *os) { *os << c.sentence; }

class NetConfErrors : public ::testing::TestWithParam<Bad> {};
TEST_P(NetConfErrors, CarryFlannelsTextKeyAndValue) {
    const auto conf = load(GetParam().json);
    ASSERT_FALSE(conf);
    EXPECT_THAT(conf.error().sentence(), HasSubstr(GetParam().flannels_text));
    for (const auto &name : GetParam().names) EXPECT_THAT(conf.error().sentence(), HasSubstr(name));
}
INSTANTIATE_TEST_SUITE_P(
    Golden, NetConfErrors,
    ::testing::Values(
        Bad{"no Network", R"({})", "please define a correct Network parameter in the flannel config", {}},
        Bad{"null as the whole document", R"(null)", "is not a JSON object", {"null"}},
        Bad{"Network of length 0",
            v4("0.0.0.0/0"),
            "please define a correct Network parameter in the flannel config",
            {}},
        Bad{"Network null", R"({"Network":null})", "invalid IPv4 CIDR format", {"Network", "null"}},
        Bad{"Network with IPv6 text", v4("fc00::/48"), "invalid IPv4 CIDR format", {"Network", "fc00::/48"}},
        Bad{"Network a number", R"({"Network":10})", "invalid IPv4 CIDR format", {"Network", "10"}},
        Bad{"/29", v4("10.5.0.0/29"), "network is too small. Minimum useful network prefix is /28", {"10.5.0.0/29"}},
        Bad{"/24 with SubnetLen 25",
            v4("10.5.0.0/24", R"(,"SubnetLen":25)"),
            "network must be able to accommodate at least four subnets",
            {"SubnetLen 25", "10.5.0.0/24"}},
        Bad{"/16 with SubnetLen 17",
            v4("10.5.0.0/16", R"(,"SubnetLen":17)"),
            "network must be able to accommodate at least four subnets",
            {"SubnetLen 17"}},
        Bad{"SubnetLen 31",
            v4("10.5.0.0/16", R"(,"SubnetLen":31)"),
            "SubnetLen must be less than /31",
            {"SubnetLen 31"}},
        Bad{"SubnetLen beyond 32 bits",
            v4("10.5.0.0/16", R"(,"SubnetLen":4294967320)"),
            "SubnetLen must be less than /31",
            {}},
        Bad{"SubnetLen -1", v4("10.5.0.0/16", R"(,"SubnetLen":-1)"), "not an unsigned integer", {"SubnetLen", "-1"}},
        Bad{"SubnetLen a string",
            v4("10.5.0.0/16", R"(,"SubnetLen":"24")"),
            "not an unsigned integer",
            {"SubnetLen", "\"24\""}},
        Bad{"SubnetLen 24.5",
            v4("10.5.0.0/16", R"(,"SubnetLen":24.5)"),
            "not an unsigned integer",
            {"SubnetLen", "24.5"}},
        Bad{"EnableIPv6 a string", v4("10.5.0.0/16", R"(,"EnableIPv6":"true")"), "not true or false", {"EnableIPv6"}},
        Bad{"SubnetMin elsewhere",
            v4("10.5.0.0/16", R"(,"SubnetMin":"10.6.1.0")"),
            "SubnetMin is not in the range of the Network",
            {"10.6.1.0", "10.5.0.0/16"}},
        Bad{"SubnetMax elsewhere",
            v4("10.5.0.0/16", R"(,"SubnetMax":"10.6.1.0")"),
            "SubnetMax is not in the range of the Network",
            {"10.6.1.0"}},
        Bad{"SubnetMin off the grid",
            v4("10.5.0.0/16", R"(,"SubnetMin":"10.5.1.8")"),
            "SubnetMin is not on a SubnetLen boundary: 10.5.1.8",
            {}},
        Bad{"SubnetMax off the grid",
            v4("10.5.0.0/16", R"(,"SubnetMax":"10.5.1.8")"),
            "SubnetMax is not on a SubnetLen boundary: 10.5.1.8",
            {}},
        Bad{"SubnetMin null", v4("10.5.0.0/16", R"(,"SubnetMin":null)"), "not an IPv4 address", {"SubnetMin", "null"}},
        Bad{"no IPv6Network",
            R"({"Network":"10.5.0.0/16","EnableIPv6":true})",
            "please define a correct IPv6Network parameter in the flannel config",
            {}},
        Bad{"EnableIPv6 with IPv4 off and no IPv6Network",
            R"({"EnableIPv4":false,"EnableIPv6":true})",
            "please define a correct IPv6Network parameter in the flannel config",
            {}},
        Bad{"IPv6Network with IPv4 text",
            v6("10.5.0.0/16"),
            "invalid IPv6 CIDR format",
            {"IPv6Network", "10.5.0.0/16"}},
        Bad{"IPv6Network null",
            R"({"Network":"10.5.0.0/16","IPv6Network":null})",
            "invalid IPv6 CIDR format",
            {"IPv6Network", "null"}},
        Bad{"IPv6Network of IPv4 addresses",
            v6("::ffff:10.5.0.0/112"),
            "please define a correct IPv6Network parameter in the flannel config",
            {"IPv4-mapped"}},
        Bad{"/48 with IPv6SubnetLen 49",
            v6("fc00::/48", R"(,"IPv6SubnetLen":49)"),
            "network must be able to accommodate at least four subnets",
            {"IPv6SubnetLen 49", "fc00::/48"}},
        Bad{"IPv6SubnetMin with IPv4 text",
            v6("fc00::/48", R"(,"IPv6SubnetMin":"10.5.0.0")"),
            "not an IPv6 address",
            {"IPv6SubnetMin", "10.5.0.0"}},
        Bad{"/125",
            v6("fc00::/125"),
            "IPv6Network is too small. Minimum useful network prefix is /124",
            {"fc00::/125"}},
        Bad{"IPv6SubnetLen 127",
            v6("fc00::/48", R"(,"IPv6SubnetLen":127)"),
            "SubnetLen must be less than /127",
            {"IPv6SubnetLen 127"}},
        Bad{"IPv6SubnetMin elsewhere",
            v6("fc00::/48", R"(,"IPv6SubnetMin":"fd00::")"),
            "IPv6SubnetMin is not in the range of the IPv6Network",
            {"fd00::"}},
        Bad{"IPv6SubnetMax off the grid",
            v6("fc00::/48", R"(,"IPv6SubnetMax":"fc00::1")"),
            "IPv6SubnetMax is not on a SubnetLen boundary: fc00::1",
            {}},
        Bad{"no family", R"({"EnableIPv4":false,"Backend":{"Type":"vxlan"}})", "none defined stack", {"EnableIPv4"}},
        Bad{"broken JSON", R"({"Network":"10.5.0.0/16",})", "not JSON", {"column"}},
        Bad{"Backend a string",
            R"({"Network":"10.5.0.0/16","Backend":"vxlan"})",
            "error decoding Backend property of config: ",
            {"\"vxlan\""}},
        Bad{"Backend.Type a number",
            R"({"Network":"10.5.0.0/16","Backend":{"Type":7}})",
            "error decoding Backend property of config: ",
            {"Type", "7"}},
        Bad{"Backend without Type", R"({"Network":"10.5.0.0/16","Backend":{}})", "unknown backend type: ", {"Type"}},
        Bad{"Backend null", R"({"Network":"10.5.0.0/16","Backend":null})", "unknown backend type: ", {}},
        Bad{"Backend.Type null", R"({"Network":"10.5.0.0/16","Backend":{"Type":null}})", "unknown backend type: ", {}},
        Bad{"Backend.Type unheard of",
            R"({"Network":"10.5.0.0/16","Backend":{"Type":"geneve"}})",
            "unknown backend type: geneve",
            {"Type"}}));

TEST(NetConf, BackendAbsentMeansUdpAndTypesAreLowerCased) {
    EXPECT_EQ(load(R"({"Network":"10.5.0.0/16"})")->backend_type, "udp");
    EXPECT_EQ(load(R"({"Network":"10.5.0.0/16","Backend":{"Type":"VXLAN"}})")->backend_type, "vxlan");
}

// Flannel checks only what is switched on, so a cluster may carry the other family's keys in advance.
TEST(NetConf, KeysOfAFamilyThatIsOffAreNotJudged) {
    const auto conf = load(v4("10.5.0.0/16", R"(,"IPv6Network":"fc00::/125","IPv6SubnetLen":3)"));
    ASSERT_TRUE(conf) << conf.error().sentence();
    EXPECT_TRUE(load(v6("fc00::/48", R"(,"Network":"10.5.0.0/31")")));
}

TEST(NetConf, SwitchesHaveFlannelsDefaults) {
    const auto conf = load(v4("10.5.0.0/16"));
    EXPECT_TRUE(conf->enable_ipv4);
    EXPECT_FALSE(conf->enable_ipv6);
    EXPECT_FALSE(conf->enable_nftables);
    EXPECT_TRUE(load(v4("10.5.0.0/16", R"(,"EnableNFTables":true)"))->enable_nftables);
}

} // namespace
} // namespace weft

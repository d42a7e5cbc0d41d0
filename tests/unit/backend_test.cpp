// SPDX-License-Identifier: Apache-2.0
// The Backend object: what each type takes from it, and what it refuses.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "config/backend.hpp"

namespace weft {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::StartsWith;

Result<BackendConf> backend(std::string_view type, std::string_view keys = "") {
    const auto conf = parse_net_conf(R"({"Network":"10.5.0.0/16","Backend":{"Type":")" + std::string(type) + "\"" +
                                     std::string(keys) + "}}");
    if (!conf) return std::unexpected(conf.error());
    return parse_backend(*conf);
}

TEST(Backend, EveryEncapsulationHasOneNameBothWays) {
    for (const auto *name : {"vxlan", "host-gw", "udp", "ipip"}) {
        const auto encap = encap_of_backend(name);
        ASSERT_TRUE(encap) << name;
        EXPECT_EQ(backend_name(*encap), name);
    }
    EXPECT_EQ(encap_of_backend(""), WEFT_ENCAP_UDP) << "flannel's udp leases name no backend";
    EXPECT_FALSE(encap_of_backend("wireguard"));
}

TEST(Backend, DefaultsAndValues) {
    const auto none = backend("vxlan");
    ASSERT_TRUE(none);
    EXPECT_EQ(none->encap, WEFT_ENCAP_VXLAN);
    EXPECT_EQ(none->vni, 1u);
    EXPECT_EQ(none->port, 8472);
    EXPECT_FALSE(none->mtu);
    EXPECT_THAT(none->remarks, IsEmpty());
    const auto all = backend("VXLAN", R"(,"vni":16777215,"PORT":4789,"MTU":1400,"Learning":true,"DirectRouting":true)");
    ASSERT_TRUE(all) << all.error().sentence();
    EXPECT_EQ(all->vni, 16777215u);
    EXPECT_EQ(all->port, 4789);
    EXPECT_EQ(all->mtu, 1400u);
    EXPECT_TRUE(all->direct_routing);
    EXPECT_THAT(all->remarks, ElementsAre(HasSubstr("Learning")));
    EXPECT_EQ(backend("vxlan", R"(,"Port":0)")->port, 8472);

    EXPECT_EQ(backend("udp", R"(,"Port":9000)")->udp_port, 9000);
    EXPECT_EQ(backend("udp")->udp_port, 8285);
    EXPECT_EQ(backend("host-gw")->encap, WEFT_ENCAP_DIRECT);
    EXPECT_EQ(backend("host-gw")->overhead(), 0u);
    EXPECT_TRUE(backend("ipip", R"(,"DirectRouting":true)")->direct_routing);
}

TEST(Backend, NoBackendMeansUdpAsWithFlannel) {
    const auto conf = parse_net_conf(R"({"Network":"10.5.0.0/16"})");
    ASSERT_TRUE(conf);
    EXPECT_EQ(parse_backend(*conf)->encap, WEFT_ENCAP_UDP);
}

TEST(Backend, KeysOfOtherBackendsAreNamedAndDoNoHarm) {
    const auto conf = backend("host-gw", R"(,"VNI":7,"Port":9,"DirectRouting":true)");
    ASSERT_TRUE(conf) << conf.error().sentence();
    EXPECT_THAT(conf->remarks, ElementsAre(HasSubstr("VNI"), HasSubstr("Port"), HasSubstr("DirectRouting")));
    EXPECT_FALSE(conf->direct_routing);
}

TEST(Backend, RoomForIpv6) {
    const auto with = [](std::string_view switches, std::string_view backend) {
        const auto conf = parse_net_conf(R"({"Network":"10.5.0.0/16","IPv6Network":"fd00::/48")" +
                                         std::string(switches) + R"(,"Backend":)" + std::string(backend) + "}");
        return conf ? parse_backend(*conf) : std::unexpected(conf.error());
    };
    constexpr const char *kDual = R"(,"EnableIPv6":true)", *kIpv6Only = R"(,"EnableIPv4":false,"EnableIPv6":true)";
    const auto vxlan = with(kDual, R"({"Type":"vxlan"})");
    ASSERT_TRUE(vxlan) << vxlan.error().sentence();
    EXPECT_EQ(vxlan->overhead(), 50u);
    EXPECT_EQ(vxlan->overhead(Underlay::ipv6), 70u);
    EXPECT_EQ(vxlan->least_mtu(), 1330u);
    EXPECT_EQ(vxlan->least_mtu(Underlay::ipv6), 1350u);
    const auto direct = with(kDual, R"({"Type":"host-gw"})");
    ASSERT_TRUE(direct) << direct.error().sentence();
    EXPECT_EQ(direct->overhead(Underlay::ipv6), 0u);
    EXPECT_EQ(direct->least_mtu(Underlay::ipv6), 1280u);

    EXPECT_TRUE(with(kDual, R"({"Type":"vxlan","MTU":1330})"));
    EXPECT_THAT(with(kDual, R"({"Type":"vxlan","MTU":1329})").error().sentence(),
                StartsWith("Backend.MTU: 1329 is not in 1330.."));
    EXPECT_THAT(with(kIpv6Only, R"({"Type":"vxlan","MTU":1349})").error().sentence(),
                StartsWith("Backend.MTU: 1349 is not in 1350.."));
    EXPECT_THAT(with(kDual, R"({"Type":"host-gw","MTU":1279})").error().sentence(),
                StartsWith("Backend.MTU: 1279 is not in 1280.."));
    for (const auto *backend : {R"({"Type":"udp"})", R"({"Type":"ipip"})"})
        for (const auto *switches : {kDual, kIpv6Only})
            EXPECT_THAT(with(switches, backend).error().sentence(), HasSubstr("carries IPv4 only")) << backend;
}

TEST(Backend, RefusesWhatCannotBe) {
    struct Case {
        const char *type, *keys, *text;
    };
    const Case cases[] = {
        {"vxlan", R"(,"VNI":16777216)", "Backend.VNI: 16777216"},
        {"vxlan", R"(,"VNI":-1)", "Backend.VNI: -1"},
        {"vxlan", R"(,"Port":65536)", "Backend.Port: 65536"},
        {"vxlan", R"(,"MTU":117)", "Backend.MTU: 117 is not in 118.."},
        {"host-gw", R"(,"MTU":67)", "Backend.MTU: 67 is not in 68.."},
        {"udp", R"(,"MTU":95)", "Backend.MTU: 95 is not in 96.."},
        {"vxlan", R"(,"MTU":0)", "Backend.MTU: 0"},
        {"vxlan", R"(,"MTU":-1)", "Backend.MTU: -1"},
        {"vxlan", R"(,"VNI":"1")", "error decoding vxlan backend config: Backend: VNI: \"1\""},
        {"vxlan", R"(,"GBP":1)", "error decoding vxlan backend config: Backend: GBP: 1"},
        {"vxlan", R"(,"GBP":true)", "Backend.GBP: true found"},
        {"wireguard", "", "Backend.Type: \"wireguard\" is none that weft carries (vxlan, host-gw, udp, ipip)"},
        {"", "", "Backend.Type: \"\" is none"},
    };
    for (const auto &[type, keys, text] : cases) {
        const auto conf = backend(type, keys);
        ASSERT_FALSE(conf) << type << keys;
        EXPECT_THAT(conf.error().sentence(), StartsWith(text));
    }
}

} // namespace
} // namespace weft

// SPDX-License-Identifier: Apache-2.0
// The flannel stand-in itself: two of them must talk as two flannel nodes do, and look alike on the wire.
#include <gtest/gtest.h>

#include <optional>
#include <ostream>
#include <vector>

#include <fmt/format.h>

#include "capture.hpp"
#include "families.hpp"
#include "flannel_node.hpp"
#include "lease/lease.hpp"
#include "needs.hpp"
#include "wire.hpp"

namespace weft::test {
namespace {

struct Pair {
    WireMode wire;
    Families families = Families::v4; ///< of the pods and of the segment
    std::string backend = "vxlan";
};
void PrintTo(const Pair &pair, std::ostream *out) {
    *out << name_of(pair.wire) << ' ' << pair.families << ' ' << pair.backend;
}
std::string pair_name(const testing::TestParamInfo<Pair> &pair) {
    const auto &[wire, families, backend] = pair.param;
    std::string name(name_of(wire));
    if (families != Families::v4) name += fmt::format("_{}_{}", to_string(families), backend);
    std::erase(name, '-'); // a test's name has no dashes
    return name;
}

/// Two flannel nodes: 192.0.2.n with 10.244.n.0/24, 2001:db8:2::n with fd00:244:0:n::/64.
class FlannelPair : public testing::TestWithParam<Pair> {
protected:
    void SetUp() override {
        WEFT_REQUIRES(requires_netns());
        WEFT_REQUIRES(requires_tools({"etcd", "etcdctl", "ethtool", "tcpdump", "iptables-restore", "bridge", "ping"}));
        WEFT_ASSERT_ASSIGN(etcd_, EtcdServer::start());
        WEFT_ASSERT_ASSIGN(lan_, Segment::create("lan", GetParam().wire));
        WEFT_ASSERT_ASSIGN(one_, make_node("one", 1, GetParam().families));
        WEFT_ASSERT_ASSIGN(two_, make_node("two", 2, GetParam().families));
        WEFT_ASSERT_OK(one_->sync(*etcd_));
        WEFT_ASSERT_OK(two_->sync(*etcd_));
        WEFT_ASSERT_ASSIGN(pod_one_, one_->add_pod());
        WEFT_ASSERT_ASSIGN(pod_two_, two_->add_pod());
    }

    Result<FlannelNode> make_node(std::string_view name, int n, Families families) {
        FlannelNode::Options options{.families = {}, .backend = GetParam().backend};
        if (has_v4(families))
            options.families.push_back({*parse_net("10.244.0.0/16"), *parse_net(fmt::format("10.244.{}.0/24", n)),
                                        *parse_ip(fmt::format("192.0.2.{}", n))});
        if (has_v6(families))
            options.families.push_back({*parse_net("fd00:244::/48"), *parse_net(fmt::format("fd00:244:0:{}::/64", n)),
                                        *parse_ip(fmt::format("2001:db8:2::{}", n))});
        auto node = FlannelNode::create(name, options);
        if (!node) return node;
        if (auto plugged = lan_->plug(node->netns(), "eth0", ""); !plugged) return fail_as_is(std::move(plugged));
        for (const auto &family : options.families) {
            const bool v4 = family.subnet.is_v4();
            auto set = node->netns().ip(fmt::format("address add {}/{} dev eth0{}", family.public_ip.to_string(),
                                                    v4 ? 24 : 64, v4 ? "" : " nodad"));
            if (!set) return fail_as_is(std::move(set));
        }
        if (auto started = node->start(*etcd_); !started) return fail_as_is(std::move(started));
        return node;
    }

    std::optional<EtcdServer> etcd_;
    std::optional<Segment> lan_;
    std::optional<FlannelNode> one_, two_;
    Pod *pod_one_ = nullptr, *pod_two_ = nullptr;
};

TEST_P(FlannelPair, TalksBothWays) {
    for (const auto family : members(GetParam().families)) {
        const auto &one = pod_one_->at(family), &two = pod_two_->at(family);
        WEFT_EXPECT_OK(ping(pod_one_->ns, two));
        WEFT_EXPECT_OK(ping(one_->netns(), two));
        WEFT_EXPECT_OK(udp_echo(pod_two_->ns, one, {1, 64, 1380, 3000}, 20));
        for (const auto direction : {Direction::send, Direction::receive}) {
            WEFT_ASSERT_ASSIGN(auto transfer, tcp_transfer(pod_one_->ns, two, 20'000'001, {.direction = direction}));
            EXPECT_EQ(transfer.bytes, 20'000'001u);
            EXPECT_EQ(transfer.seen_as, one);
        }
        if (GetParam().backend != "vxlan") continue; // without a device of its own the host is seen as itself
        WEFT_ASSERT_ASSIGN(auto from_host, tcp_transfer(one_->netns(), two, 1000));
        EXPECT_EQ(from_host.seen_as, one_->base_address(family));
    }
}

/// Only there are frames what they are on a cable.
class FlannelPairOnBareWire : public FlannelPair {};

TEST_P(FlannelPairOnBareWire, LooksLikeFlannel) {
    WEFT_ASSERT_ASSIGN(auto capture, Capture::start(lan_->netns(), Segment::port(1)));
    WEFT_ASSERT_OK(tcp_transfer(pod_one_->ns, pod_two_->address, 100'000));
    WEFT_ASSERT_ASSIGN(auto frames, capture.vxlan_frames());
    ASSERT_GT(frames.size(), 10u);
    for (const auto &frame : frames) {
        SCOPED_TRACE(frame.to_string());
        EXPECT_EQ(frame.vni, 1u);
        EXPECT_EQ(frame.flags, 0x08);
        EXPECT_EQ(frame.outer.ttl, 64);
        ASSERT_TRUE(frame.inner);
        EXPECT_EQ(frame.inner_destination_mac,
                  frame.outer.source.to_string() == "192.0.2.1" ? two_->vtep_mac() : one_->vtep_mac());
        EXPECT_EQ(frame.outer.l4_checksum, Ip4View::Checksum::valid);
        EXPECT_EQ(frame.inner->l4_checksum, Ip4View::Checksum::valid);
    }
}

class FlannelLeases : public FlannelPair {};

TEST_P(FlannelLeases, AreFlannels) {
    const auto leases = *etcd_->get_prefix("/coreos.com/network/subnets/");
    ASSERT_EQ(leases.size(), 2u);
    const auto &[key, value] = *leases.begin();
    if (GetParam().families == Families::dual) {
        EXPECT_TRUE(key.ends_with("/10.244.1.0-24&fd00:244:0:1::-64")) << key;
        EXPECT_EQ(value, R"({"PublicIP":"192.0.2.1","PublicIPv6":"2001:db8:2::1","BackendType":"vxlan",)"
                         R"("BackendData":{"VNI":1,"VtepMAC":"16:f1:c0:00:02:01"},)"
                         R"("BackendV6Data":{"VNI":1,"VtepMAC":"16:f6:00:00:00:01"}})");
    } else {
        EXPECT_TRUE(key.ends_with("/0.0.0.0-0&fd00:244:0:1::-64")) << key;
        EXPECT_EQ(value, R"({"PublicIP":"0.0.0.0","PublicIPv6":"2001:db8:2::1","BackendType":"vxlan",)"
                         R"("BackendV6Data":{"VNI":1,"VtepMAC":"16:f6:00:00:00:01"}})");
    }
    // What this project reads and writes itself.
    const auto name = key.substr(key.rfind('/') + 1);
    EXPECT_EQ(format_subnet_key(*parse_subnet_key(name)), name);
    EXPECT_EQ(format_lease_value(*parse_lease_value(value)), value);
}

// As flannel does, only that it says why.
TEST_P(FlannelLeases, EndAFlannelWithoutIpv6) {
    WEFT_ASSERT_ASSIGN(auto three, make_node("three", 3, Families::v4));
    const auto synced = three.sync(*etcd_);
    ASSERT_FALSE(synced);
    EXPECT_NE(synced.error().sentence().find("flannel without IPv6 ends"), std::string::npos);
}

constexpr WireMode kWires[] = {WireMode::offload, WireMode::framed, WireMode::bare};
INSTANTIATE_TEST_SUITE_P(Wires, FlannelPair, testing::Values(Pair{kWires[0]}, Pair{kWires[1]}, Pair{kWires[2]}),
                         pair_name);
INSTANTIATE_TEST_SUITE_P(Ipv6, FlannelPair, testing::ValuesIn([] {
                             std::vector<Pair> pairs;
                             for (const auto families : {Families::dual, Families::v6})
                                 for (const auto *backend : {"vxlan", "host-gw"})
                                     for (const auto wire : {WireMode::offload, WireMode::bare})
                                         pairs.push_back({wire, families, backend});
                             return pairs;
                         }()),
                         pair_name);
INSTANTIATE_TEST_SUITE_P(Wires, FlannelPairOnBareWire, testing::Values(Pair{WireMode::bare}), pair_name);
INSTANTIATE_TEST_SUITE_P(Ipv6, FlannelLeases,
                         testing::Values(Pair{WireMode::offload, Families::dual},
                                         Pair{WireMode::offload, Families::v6}),
                         pair_name);

TEST(FlannelCapture, IsReadAsRealFlannelWroteIt) {
    WEFT_ASSERT_ASSIGN(auto frames, read_vxlan(WEFT_FIXTURES "/flannel-wire.pcap"));
    ASSERT_FALSE(frames.empty());
    bool ecn = false, fragments = false;
    for (const auto &frame : frames) {
        SCOPED_TRACE(frame.to_string());
        const bool from_one = frame.outer.source.to_string() == "192.0.2.1";
        EXPECT_EQ(frame.vni, 1u);
        EXPECT_EQ(frame.flags, 0x08);
        EXPECT_TRUE(frame.reserved_zero);
        EXPECT_EQ(frame.outer.ttl, 64);
        EXPECT_FALSE(frame.outer.dont_fragment);
        EXPECT_TRUE(frame.outer.header_checksum_valid);
        EXPECT_TRUE(frame.outer.length_valid);
        EXPECT_EQ(frame.outer.l4_checksum, Ip4View::Checksum::valid);
        EXPECT_EQ(frame.inner_destination_mac, *parse_mac(from_one ? "1e:3a:76:11:44:7f" : "16:d2:3f:db:e2:37"));
        ASSERT_TRUE(frame.inner);
        EXPECT_TRUE(frame.inner->header_checksum_valid);
        EXPECT_EQ(frame.outer.tos & 3, frame.inner->tos & 3);
        ecn |= (frame.inner->tos & 3) == 2;
        fragments |= frame.inner->fragment;
    }
    EXPECT_TRUE(ecn);
    EXPECT_TRUE(fragments);
}

} // namespace
} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
#include "two_nodes.hpp"

#include <fmt/format.h>

#include <iostream>

namespace weft::kernels {
namespace {

constexpr const char *kAddresses[] = {"192.0.2.1", "192.0.2.2"};
constexpr const char *kNetConf = R"({"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}})";

/// Whether the kernel makes interfaces of a kind.
bool has_kind(const test::Netns &ns, std::string_view kind) {
    if (kind == "veth") return true;
    if (kind == "vlan")
        return ns
            .ip("link add probe type veth peer name probed\nlink add link probe name probe.9 type vlan id 9\n"
                "link delete probe")
            .has_value();
    return ns.ip(fmt::format("link add probe type {}\nlink delete probe", kind)).has_value();
}

} // namespace

std::string_view name_of(Uplink uplink) {
    switch (uplink) {
    case Uplink::veth: return "veth";
    case Uplink::vlan: return "vlan";
    case Uplink::bond: return "bond";
    case Uplink::dummy: return "dummy";
    case Uplink::netkit: return "netkit";
    }
    return "?";
}

void TwoNodes::SetUp() {
    WEFT_REQUIRES(test::requires_cluster());
    WEFT_ASSERT_ASSIGN(nodes_[0], test::WeftNode::create("a"));
    WEFT_ASSERT_ASSIGN(nodes_[1], test::WeftNode::create("b"));
}

void TwoNodes::TearDown() {
    if (!HasFailure()) return;
    for (const auto &one : nodes_)
        if (const auto counters = one ? one->counters() : fail("no node"))
            std::cerr << one->name() << ": " << test::to_string(counters->all) << '\n';
}

void TwoNodes::wire(Uplink uplink) {
    if (!has_kind(node(0).netns(), name_of(uplink))) GTEST_SKIP() << "this kernel has no " << name_of(uplink);
    const auto *wire = uplink == Uplink::veth ? "eth0" : "wire0";
    if (uplink == Uplink::netkit) {
        // This ip knows no netkit, and so nothing of the other end, which the kernel names nk0 then.
        WEFT_ASSERT_OK(node(0).netns().ip(fmt::format(
            "link add eth0 type netkit\nlink set eth0 up\nlink set nk0 netns {} name eth0", node(1).netns().name())));
        WEFT_ASSERT_OK(node(1).netns().ip("link set eth0 up"));
    } else {
        WEFT_ASSERT_OK(test::connect(node(0).netns(), wire, node(1).netns(), wire));
    }
    if (uplink == Uplink::bond) WEFT_ASSERT_OK(test::connect(node(0).netns(), "wire1", node(1).netns(), "wire1"));
    for (std::size_t n = 0; n < nodes_.size(); ++n) WEFT_ASSERT_OK(wire_one(n, uplink));
    WEFT_ASSERT_ASSIGN(
        etcd_, test::EtcdServer::start({.netns = node(0).netns().path(), .address = kAddresses[0], .port = 2379}));
    WEFT_ASSERT_OK(etcd_->put("/coreos.com/network/config", kNetConf));
}

Status TwoNodes::wire_one(std::size_t n, Uplink uplink) {
    const auto &ns = node(n).netns();
    const auto *address = kAddresses[n];
    switch (uplink) {
    case Uplink::veth:
    case Uplink::netkit: return ns.ip(fmt::format("addr add {}/24 dev eth0", address));
    case Uplink::vlan:
        return ns.ip(fmt::format("link add link wire0 name eth0 type vlan id 7\n"
                                 "addr add {}/24 dev eth0\nlink set eth0 up",
                                 address));
    case Uplink::bond:
        // No switch joins the two links, and the one that waits takes no packets: both nodes have to use the same.
        return ns.ip(fmt::format("link add eth0 type bond mode active-backup miimon 100\n"
                                 "link set wire0 down\nlink set wire1 down\n"
                                 "link set wire0 master eth0\nlink set wire1 master eth0\n"
                                 "link set eth0 type bond primary wire0\n"
                                 "addr add {}/24 dev eth0\nlink set eth0 up",
                                 address));
    case Uplink::dummy:
        return ns.ip(fmt::format("link add eth0 type dummy\nlink set eth0 up\naddr add {}/32 dev eth0\n"
                                 "addr add 198.51.100.{}/24 dev wire0\n"
                                 "route add {} via 198.51.100.{} src {}",
                                 address, n + 1, kAddresses[1 - n], 2 - n, address));
    }
    return fail("no such uplink");
}

void TwoNodes::start(std::string_view datapath) {
    WEFT_ASSERT_OK(restart(0, "tc"));
    WEFT_ASSERT_OK(restart(1, datapath));
    for (std::size_t n = 0; n < nodes_.size(); ++n) {
        WEFT_ASSERT_OK(node(n).wait_for_leases(1));
        WEFT_ASSERT_ASSIGN(pods_.at(n), node(n).add_pod());
    }
}

nlohmann::json TwoNodes::lacks(std::size_t n) {
    const auto status = node(n).weftctl("status");
    EXPECT_TRUE(status) << status.error().sentence();
    return status ? status->at("daemon").at("kernel_lacks") : nlohmann::json::object();
}

void TwoNodes::expect_fast_path(std::uint64_t packets) {
    WEFT_ASSERT_ASSIGN(const auto sender, node(0).counters());
    WEFT_ASSERT_ASSIGN(const auto receiver, node(1).counters());
    const bool asks = !lacks(0, "conntrack_lookup");
    const auto *by_stack = lacks(0, "push_vxlan") ? "from_host/kernel_encap" : "from_host/encap";
    EXPECT_GE(test::count(sender.all, asks ? "from_pod/encap" : by_stack), packets) << test::to_string(sender.all);
    EXPECT_GE(test::count(receiver.all, asks ? "from_wire/decap_to_pod" : "from_tunnel/checked"), packets)
        << test::to_string(receiver.all);
}

void TwoNodes::expect_transfers(std::uint64_t bytes) {
    for (const std::size_t from : {0, 1}) {
        const auto &to = pod(1 - from).address;
        WEFT_ASSERT_OK(test::ping(pod(from).ns, to));
        WEFT_EXPECT_OK(test::udp_echo(pod(from).ns, to, {1, 64, 1400, 4000}));
        for (const auto direction : {test::Direction::send, test::Direction::receive}) {
            WEFT_ASSERT_ASSIGN(const auto transfer,
                               test::tcp_transfer(pod(from).ns, to, bytes, {.direction = direction}));
            EXPECT_EQ(transfer.bytes, bytes);
            EXPECT_EQ(transfer.seen_as, pod(from).address);
        }
    }
}

} // namespace weft::kernels

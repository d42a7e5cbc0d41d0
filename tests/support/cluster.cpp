// SPDX-License-Identifier: Apache-2.0
#include "cluster.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace weft::test {
namespace {

/// The first subnet of 10.244.200.0/24 and above that nobody holds.
Result<Net4> free_subnet(EtcdServer &etcd) {
    const auto leases = read_leases(etcd);
    if (!leases) return std::unexpected(leases.error());
    for (int n = 200; n < 256; ++n) {
        const auto subnet = *parse_net4(fmt::format("10.244.{}.0/24", n));
        if (std::none_of(leases->begin(), leases->end(), [&](const auto &lease) { return lease.subnet == subnet; }))
            return subnet;
    }
    return fail("no subnet is free", ENOSPC);
}

const char *prefix_of(bool far) { return far ? "198.51.100" : "192.0.2"; }

} // namespace

Result<std::unique_ptr<Cluster>> Cluster::create(const Options &options) {
    std::unique_ptr<Cluster> cluster(new Cluster(options));
    if (auto built = cluster->build(); !built) return fail_as_is(std::move(built));
    return cluster;
}

Status Cluster::build() {
    auto lan = Segment::create("lan", options_.wire);
    if (!lan) return fail_as_is(std::move(lan));
    lan_ = std::move(*lan);
    auto world = Netns::create("world");
    if (!world) return fail_as_is(std::move(world));
    world_ = std::move(*world);
    if (auto plugged = lan_->plug(*world_, "eth0", fmt::format("{}/24", kWorld)); !plugged) return plugged;
    auto etcd = EtcdServer::start({.netns = world_->path(), .address = kWorld, .port = 2379});
    if (!etcd) return fail_as_is(std::move(etcd));
    etcd_ = std::move(*etcd);
    auto server = serve_traffic(*world_);
    if (!server) return fail_as_is(std::move(server));
    world_server_ = std::move(*server);
    if (options_.net_conf.empty()) return {};
    return etcd_->put("/coreos.com/network/config", options_.net_conf);
}

Status Cluster::build_router() {
    auto far = Segment::create("far", options_.wire);
    if (!far) return fail_as_is(std::move(far));
    far_lan_ = std::move(*far);
    auto router = Netns::create("router");
    if (!router) return fail_as_is(std::move(router));
    router_ = std::move(*router);
    if (auto plugged = lan_->plug(*router_, "near", "192.0.2.254/24"); !plugged) return plugged;
    if (auto plugged = far_lan_->plug(*router_, "far", "198.51.100.254/24"); !plugged) return plugged;
    if (auto set = router_->sysctl("net.ipv4.ip_forward", "1"); !set) return set;
    return world_->ip("route add 198.51.100.0/24 via 192.0.2.254");
}

Result<std::string> Cluster::plug(const Netns &node, bool far) {
    if (far && !router_) {
        if (auto built = build_router(); !built) return fail_as_is(std::move(built));
    }
    auto &segment = far ? *far_lan_ : *lan_;
    const auto *prefix = prefix_of(far);
    auto address = fmt::format("{}.{}", prefix, ++plugged_);
    if (auto plugged = segment.plug(node, "eth0", address + "/24"); !plugged) return fail_as_is(std::move(plugged));
    // The default route also where there is no router: it is how a node finds its uplink.
    if (auto routed = node.ip(fmt::format("route add default via {}.254", prefix)); !routed)
        return fail_as_is(std::move(routed));
    return address;
}

WeftNode::Options Cluster::node_options() const {
    return {.etcd_endpoint = etcd_->endpoint(), .datapath = options_.datapath};
}

Result<WeftNode *> Cluster::add_stopped_node(bool far) {
    auto node = WeftNode::create(fmt::format("node{}", nodes_.size() + 1));
    if (!node) return fail_as_is(std::move(node));
    if (auto plugged = plug(node->netns(), far); !plugged) return fail_as_is(std::move(plugged));
    nodes_.push_back(std::move(*node));
    return &nodes_.back();
}

Result<WeftNode *> Cluster::add_node(bool far) {
    auto node = add_stopped_node(far);
    if (!node) return node;
    if (auto started = start_node(**node); !started) return fail_as_is(std::move(started));
    return node;
}

Result<FlannelNode *> Cluster::add_flannel_node(const std::string &backend, bool far) {
    auto subnet = free_subnet(*etcd_);
    if (!subnet) return fail_as_is(std::move(subnet));
    auto node = FlannelNode::create(fmt::format("flannel{}", flannel_nodes_.size() + 1),
                                    {.network = *parse_net4("10.244.0.0/16"),
                                     .subnet = *subnet,
                                     .public_ip = *parse_ip4(fmt::format("{}.{}", prefix_of(far), plugged_ + 1)),
                                     .backend = backend});
    if (!node) return fail_as_is(std::move(node));
    if (auto plugged = plug(node->netns(), far); !plugged) return fail_as_is(std::move(plugged));
    if (auto started = node->start(*etcd_); !started) return fail_as_is(std::move(started));
    if (auto synced = node->sync(*etcd_); !synced) return fail_as_is(std::move(synced));
    flannel_nodes_.push_back(std::move(*node));
    return &flannel_nodes_.back();
}

Status Cluster::settle() {
    for (auto &node : flannel_nodes_) {
        if (auto synced = node.sync(*etcd_); !synced) return synced;
    }
    for (auto &node : nodes_) {
        if (auto known = node.wait_for_leases(nodes_.size() + flannel_nodes_.size() - 1); !known) return known;
    }
    return {};
}

} // namespace weft::test

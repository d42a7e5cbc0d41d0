// SPDX-License-Identifier: Apache-2.0
#include "cluster.hpp"

#include <algorithm>

#include <fmt/format.h>

namespace weft::test {
namespace {

/// The first n from 200 on with which nobody holds 10.244.n.0/24 or fd00:244:0:n::/64.
Result<int> free_number(EtcdServer &etcd) {
    const auto leases = read_leases(etcd);
    if (!leases) return std::unexpected(leases.error());
    for (int n = 200; n < 256; ++n) {
        const Net subnets[] = {*parse_net(fmt::format("10.244.{}.0/24", n)),
                               *parse_net(fmt::format("fd00:244:0:{}::/64", n))};
        if (std::ranges::none_of(*leases,
                                 [&](const auto &lease) { return std::ranges::count(subnets, lease.subnet) > 0; }))
            return n;
    }
    return fail("no subnet is free", ENOSPC);
}

constexpr std::size_t kWorldNumber = 250, kRouterNumber = 254;

} // namespace

std::string Cluster::node_address(std::size_t n, Family family, bool far) {
    if (family == Family::v4) return fmt::format("{}.{}", far ? "198.51.100" : "192.0.2", n);
    return fmt::format("2001:db8:{}::{}", far ? "100" : "2", n);
}

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
    if (auto plugged = plug_as(*world_, false, "eth0", kWorldNumber); !plugged) return plugged;
    const auto address = has_v4(options_.underlay) ? kWorld : fmt::format("[{}]", kWorld6);
    auto etcd = EtcdServer::start({.netns = world_->path(), .address = address, .port = 2379});
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
    for (const bool is_far : {false, true})
        if (auto plugged = plug_as(*router_, is_far, is_far ? "far" : "near", kRouterNumber); !plugged) return plugged;
    for (const auto *forwarding : {"net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"})
        if (auto set = router_->sysctl(forwarding, "1"); !set) return set;
    for (const auto family : members(options_.underlay)) {
        auto routed = world_->ip(fmt::format("route add {} via {}",
                                             family == Family::v4 ? "198.51.100.0/24" : "2001:db8:100::/64",
                                             node_address(kRouterNumber, family)));
        if (!routed) return routed;
    }
    return {};
}

Status Cluster::plug_as(const Netns &node, bool far, std::string_view interface, std::size_t n) {
    auto &segment = far ? *far_lan_ : *lan_;
    // A node that has just started has no link-local address for a second or two: it can ask nobody what it forwards to.
    if (auto set = node.sysctl("net.ipv6.conf.default.accept_dad", "0"); !set) return set;
    const auto address4 = has_v4(options_.underlay) ? node_address(n, Family::v4, far) + "/24" : std::string();
    if (auto plugged = segment.plug(node, interface, address4); !plugged) return plugged;
    if (!has_v6(options_.underlay)) return {};
    return node.ip(fmt::format("address add {}/64 dev {} nodad", node_address(n, Family::v6, far), interface));
}

Status Cluster::plug(const Netns &node, bool far) {
    if (far && !router_) {
        if (auto built = build_router(); !built) return built;
    }
    if (auto plugged = plug_as(node, far, "eth0", ++plugged_); !plugged) return plugged;
    // The default route also where there is no router: it is how a node finds its uplink.
    for (const auto family : members(options_.underlay)) {
        auto routed = node.ip("route add default via " + node_address(kRouterNumber, family, far));
        if (!routed) return routed;
    }
    return {};
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

Result<FlannelNode *> Cluster::add_flannel_node(const std::string &backend, bool far, std::optional<Families> given) {
    const auto free = free_number(*etcd_);
    if (!free) return std::unexpected(free.error());
    std::vector<FlannelFamily> families;
    for (const auto family : members(given.value_or(options_.pods))) {
        const bool v4 = family == Family::v4;
        families.push_back(
            {*parse_net(v4 ? "10.244.0.0/16" : "fd00:244::/48"),
             *parse_net(v4 ? fmt::format("10.244.{}.0/24", *free) : fmt::format("fd00:244:0:{}::/64", *free)),
             *parse_ip(node_address(plugged_ + 1, family, far))});
    }
    auto node = FlannelNode::create(fmt::format("flannel{}", flannel_nodes_.size() + 1),
                                    {.families = families, .backend = backend});
    if (!node) return fail_as_is(std::move(node));
    if (auto plugged = plug(node->netns(), far); !plugged) return fail_as_is(std::move(plugged));
    if (auto started = node->start(*etcd_); !started) return fail_as_is(std::move(started));
    if (auto synced = node->sync(*etcd_); !synced) return fail_as_is(std::move(synced));
    flannel_nodes_.push_back(std::move(*node));
    return &flannel_nodes_.back();
}

Result<WeftNode *> Cluster::add_stopped_weft_on(const FlannelNode &host) {
    auto node = WeftNode::create("on-" + host.name(), host.netns().alias());
    if (!node) return fail_as_is(std::move(node));
    if (auto written = host.write_subnet_env(node->subnet_file()); !written) return fail_as_is(std::move(written));
    on_flannel_hosts_.push_back(std::move(*node));
    return &on_flannel_hosts_.back();
}

Status Cluster::settle() {
    for (auto &node : flannel_nodes_) {
        if (auto synced = node.sync(*etcd_); !synced) return synced;
    }
    auto parts = (nodes_.size() - 1) * members(options_.pods).size();
    for (const auto &node : flannel_nodes_) parts += node.families().size();
    for (auto &node : nodes_) {
        if (auto known = node.wait_for_leases(parts); !known) return known;
    }
    return {};
}

} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"
#include "etcd_server.hpp"
#include "flannel_node.hpp"
#include "weft_node.hpp"
#include "wire.hpp"

namespace weft::test {

/// Nodes on one Ethernet segment (192.0.2.0/24, 2001:db8:2::/64), and a second segment (198.51.100.0/24,
/// 2001:db8:100::/64) behind a router where asked for. A real etcd serves at 192.0.2.250 (2001:db8:2::250 where there is no
/// IPv4), in a namespace that is also "the world" outside the pod network, with a traffic server of its own.
///
/// Contract: nodes are added before traffic starts; the n-th node has address .n (::n) of its segment.
class Cluster {
public:
    struct Options {
        WireMode wire = WireMode::offload;
        std::string datapath = "auto";
        std::string net_conf = R"({"Network": "10.244.0.0/16", "Backend": {"Type": "vxlan"}})";
        Families pods = Families::v4;     ///< what net_conf says
        Families underlay = Families::v4; ///< of the segments
    };

    [[nodiscard]] static Result<std::unique_ptr<Cluster>> create(const Options &options);

    /// A weft node, started; `far`: behind the router.
    Result<WeftNode *> add_node(bool far = false);
    /// The same, not started yet.
    Result<WeftNode *> add_stopped_node(bool far = false);
    Status start_node(WeftNode &node) { return node.start(node_options()); }
    /// A flannel stand-in with a free subnet, started; it knows the leases of the nodes added before it.
    /// @param families those of the network configuration, unless given
    Result<FlannelNode *> add_flannel_node(const std::string &backend = "vxlan", bool far = false,
                                           std::optional<Families> families = {});
    /// weft on the host of a flannel node, not started; with the subnet.env that its flannel wrote.
    Result<WeftNode *> add_stopped_weft_on(const FlannelNode &node);
    /// Waits until every weft node's packet path knows all other nodes, and makes the flannel nodes learn what there is.
    Status settle();

    [[nodiscard]] WeftNode::Options node_options() const;
    [[nodiscard]] EtcdServer &etcd() { return *etcd_; }
    [[nodiscard]] Segment &lan() { return *lan_; }
    [[nodiscard]] Segment &far_lan() { return *far_lan_; }
    [[nodiscard]] const Netns &router() const { return *router_; }
    [[nodiscard]] const Netns &world() const { return *world_; }
    static constexpr const char *kWorld = "192.0.2.250", *kWorld6 = "2001:db8:2::250";
    [[nodiscard]] static const char *world(Family family) { return family == Family::v4 ? kWorld : kWorld6; }
    /// Of the n-th node, counted from 1, on its segment.
    [[nodiscard]] static std::string node_address(std::size_t n, Family family, bool far = false);

private:
    explicit Cluster(Options options) : options_(std::move(options)) {}
    Status build();
    Status build_router();
    /// Plugs a node in as the next one.
    Status plug(const Netns &node, bool far);
    /// Plugs a namespace in, with the addresses that end in `n` there.
    Status plug_as(const Netns &node, bool far, std::string_view interface, std::size_t n);

    Options options_;
    std::optional<Segment> lan_, far_lan_;
    std::optional<Netns> world_, router_;
    std::optional<EtcdServer> etcd_;
    std::optional<Process> world_server_;
    std::list<WeftNode> nodes_;
    std::list<FlannelNode> flannel_nodes_;
    std::list<WeftNode> on_flannel_hosts_;
    unsigned plugged_ = 0;
};

} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
#include "flannel_backend.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "process.hpp"

namespace weft::test {
namespace {

using Node = FlannelBackend::Node;

/// Calls `forget` for peers that went and `add` for those that came.
template <class Forget, class Add>
Status update(std::vector<FlannelPeer> &known, const std::vector<FlannelPeer> &peers, Forget forget, Add add) {
    for (const auto &peer : known)
        if (std::ranges::find(peers, peer) == peers.end())
            if (auto done = forget(peer); !done) return done;
    for (const auto &peer : peers)
        if (std::ranges::find(known, peer) == known.end())
            if (auto done = add(peer); !done) return done;
    known = peers;
    return {};
}

/// The kernel's vxlan device, nolearning, port 8472, VNI 1; one neighbour, FDB entry and onlink route for each peer.
class Vxlan final : public FlannelBackend {
public:
    explicit Vxlan(bool direct) : direct_(direct) {}

    Status start(const Node &node) override {
        return node.ns->ip(fmt::format(
            "link add flannel.1 address {mac} mtu 1450 type vxlan id 1 dev eth0 local {ip} dstport 8472 nolearning\n"
            "address add {base}/32 dev flannel.1\n"
            "link set flannel.1 up",
            fmt::arg("mac", stand_in_vtep_mac(node.public_ip).to_string()), fmt::arg("ip", node.public_ip.to_string()),
            fmt::arg("base", node.subnet.canonical().address().to_string())));
    }

    Status program(const Node &node, const std::vector<FlannelPeer> &peers) override {
        return update(
            known_, peers, [&](const FlannelPeer &peer) { return forget(node, peer); },
            [&](const FlannelPeer &peer) { return add(node, peer); });
    }

    [[nodiscard]] std::string lease_value(const Node &node) const override {
        return fmt::format(
            R"({{"PublicIP":"{}","PublicIPv6":null,"BackendType":"vxlan","BackendData":{{"VNI":1,"VtepMAC":"{}"}}}})",
            node.public_ip.to_string(), stand_in_vtep_mac(node.public_ip).to_string());
    }
    [[nodiscard]] unsigned overhead() const override { return 50; }

private:
    /// flannel's own question: does the route to the node name no gateway? Asked again when a peer goes, as flannel does.
    Result<bool> is_direct(const Node &node, const FlannelPeer &peer) const {
        if (!direct_) return false;
        auto route = node.ns->run("ip route get " + peer.public_ip.to_string());
        if (!route) return fail_as_is(std::move(route));
        return route->find(" via ") == std::string::npos;
    }

    Status forget(const Node &node, const FlannelPeer &peer) const {
        const auto direct = is_direct(node, peer);
        if (!direct) return std::unexpected(direct.error());
        if (*direct) return node.ns->ip(fmt::format("route del {}", peer.subnet.to_string()));
        auto removed = node.ns->ip(fmt::format("neighbour del {} dev flannel.1\nroute del {} dev flannel.1",
                                               peer.subnet.address().to_string(), peer.subnet.to_string()));
        if (!removed) return removed;
        return run(node, fmt::format("bridge fdb del {} dev flannel.1 self", peer.vtep_mac.to_string()));
    }

    Status add(const Node &node, const FlannelPeer &peer) const {
        const auto direct = is_direct(node, peer);
        if (!direct) return std::unexpected(direct.error());
        if (*direct)
            return node.ns->ip(
                fmt::format("route replace {} via {}", peer.subnet.to_string(), peer.public_ip.to_string()));
        auto fdb = run(node, fmt::format("bridge fdb replace {} dev flannel.1 dst {} self permanent",
                                         peer.vtep_mac.to_string(), peer.public_ip.to_string()));
        if (!fdb) return fdb;
        return node.ns->ip(fmt::format("neighbour replace {0} lladdr {1} dev flannel.1 nud permanent\n"
                                       "route replace {2} via {0} dev flannel.1 onlink",
                                       peer.subnet.address().to_string(), peer.vtep_mac.to_string(),
                                       peer.subnet.to_string()));
    }

    static Status run(const Node &node, const std::string &line) {
        auto out = node.ns->run(words(line));
        if (!out) return fail_as_is(std::move(out));
        return {};
    }

    bool direct_;
    std::vector<FlannelPeer> known_;
};

/// One route for each peer, through its own address.
class HostGw final : public FlannelBackend {
public:
    Status start(const Node &) override { return {}; }

    Status program(const Node &node, const std::vector<FlannelPeer> &peers) override {
        return update(
            known_, peers,
            [&](const FlannelPeer &peer) { return node.ns->ip(fmt::format("route del {}", peer.subnet.to_string())); },
            [&](const FlannelPeer &peer) {
                return node.ns->ip(fmt::format("route replace {} via {} dev eth0", peer.subnet.to_string(),
                                               peer.public_ip.to_string()));
            });
    }

    [[nodiscard]] std::string lease_value(const Node &node) const override {
        return fmt::format(R"({{"PublicIP":"{}","PublicIPv6":null,"BackendType":"host-gw"}})",
                           node.public_ip.to_string());
    }
    [[nodiscard]] unsigned overhead() const override { return 0; }

private:
    std::vector<FlannelPeer> known_;
};

/// A process between a TUN device and a socket, and one route for the whole network.
class Udp final : public FlannelBackend {
public:
    Status start(const Node &) override { return {}; }

    Status program(const Node &node, const std::vector<FlannelPeer> &peers) override {
        forwarder_.reset();
        std::vector<std::string> argv{WEFT_UDP_BACKEND, node.public_ip.to_string(), "8285", "flannel0"};
        for (const auto &peer : peers)
            argv.push_back(fmt::format("{}={}", peer.subnet.to_string(), peer.public_ip.to_string()));
        auto started = node.ns->spawn(std::move(argv));
        if (!started) return fail_as_is(std::move(started));
        forwarder_ = std::move(*started);
        if (!wait_until([&] { return forwarder_->out().find("ready") != std::string::npos; }))
            return fail("the udp forwarder does not start: " + forwarder_->describe());
        return node.ns->ip(fmt::format("address add {0}/32 dev flannel0\nlink set flannel0 mtu 1472 up\n"
                                       "route add {1} dev flannel0 src {0}",
                                       node.subnet.canonical().address().to_string(),
                                       node.network.canonical().to_string()));
    }

    [[nodiscard]] std::string lease_value(const Node &node) const override {
        return fmt::format(R"({{"PublicIP":"{}","PublicIPv6":null}})", node.public_ip.to_string());
    }
    [[nodiscard]] unsigned overhead() const override { return 28; }

private:
    std::optional<Process> forwarder_;
};

} // namespace

Mac stand_in_vtep_mac(const Ip4 &public_ip) {
    const auto octets = public_ip.to_bytes();
    return Mac{{0x16, 0xf1, octets[0], octets[1], octets[2], octets[3]}};
}

Result<std::unique_ptr<FlannelBackend>> FlannelBackend::create(std::string_view name) {
    if (name == "vxlan") return std::make_unique<Vxlan>(false);
    if (name == "direct") return std::make_unique<Vxlan>(true);
    if (name == "host-gw") return std::make_unique<HostGw>();
    if (name == "udp") return std::make_unique<Udp>();
    return fail(fmt::format("there is no stand-in for flannel's {}", name), EINVAL);
}

} // namespace weft::test

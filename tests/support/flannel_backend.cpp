// SPDX-License-Identifier: Apache-2.0
#include "flannel_backend.hpp"

#include <algorithm>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

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

/// The kernel's vxlan device for each family, nolearning, port 8472, VNI 1; one neighbour, FDB entry and onlink route for each
/// peer. Over IPv6 the kernel sums up what it sends and refuses what is not summed up, which flannel leaves as it is; and
/// flannel takes 50 bytes for the headers there too.
class Vxlan final : public FlannelBackend {
public:
    explicit Vxlan(bool direct) : direct_(direct) {}

    Status start(const Node &node) override {
        for (const auto &family : node.families) {
            auto made = node.ns->ip(fmt::format(
                "link add {dev} address {mac} mtu 1450 type vxlan id 1 dev eth0 local {ip} dstport 8472 nolearning\n"
                "address add {base} dev {dev}{nodad}\n"
                "link set {dev} up",
                fmt::arg("dev", device(family.subnet)),
                fmt::arg("mac", stand_in_vtep_mac(family.public_ip).to_string()),
                fmt::arg("ip", family.public_ip.to_string()), fmt::arg("base", host_net(family.base()).to_string()),
                fmt::arg("nodad", family.subnet.is_v4() ? "" : " nodad"))); // flannel waits a second for it
            if (!made) return made;
        }
        return {};
    }

    Status program(const Node &node, const std::vector<FlannelPeer> &peers) override {
        return update(
            known_, peers, [&](const FlannelPeer &peer) { return forget(node, peer); },
            [&](const FlannelPeer &peer) { return add(node, peer); });
    }

    [[nodiscard]] unsigned overhead() const override { return 50; }

private:
    [[nodiscard]] std::string lease_type() const override { return "vxlan"; }
    [[nodiscard]] bool has_vtep() const override { return true; }

    static const char *device(const Net &subnet) { return subnet.is_v4() ? "flannel.1" : "flannel-v6.1"; }

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
        auto removed =
            node.ns->ip(fmt::format("neighbour del {0} dev {2}\nroute del {1} dev {2}",
                                    peer.subnet.address().to_string(), peer.subnet.to_string(), device(peer.subnet)));
        if (!removed) return removed;
        return run(node, fmt::format("bridge fdb del {} dev {} self", peer.vtep_mac.to_string(), device(peer.subnet)));
    }

    Status add(const Node &node, const FlannelPeer &peer) const {
        const auto direct = is_direct(node, peer);
        if (!direct) return std::unexpected(direct.error());
        if (*direct)
            return node.ns->ip(
                fmt::format("route replace {} via {}", peer.subnet.to_string(), peer.public_ip.to_string()));
        auto fdb = run(node, fmt::format("bridge fdb replace {} dev {} dst {} self permanent",
                                         peer.vtep_mac.to_string(), device(peer.subnet), peer.public_ip.to_string()));
        if (!fdb) return fdb;
        return node.ns->ip(fmt::format("neighbour replace {0} lladdr {1} dev {3} nud permanent\n"
                                       "route replace {2} via {0} dev {3} onlink",
                                       peer.subnet.address().to_string(), peer.vtep_mac.to_string(),
                                       peer.subnet.to_string(), device(peer.subnet)));
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

    [[nodiscard]] unsigned overhead() const override { return 0; }

private:
    [[nodiscard]] std::string lease_type() const override { return "host-gw"; }

    std::vector<FlannelPeer> known_;
};

/// A process between a TUN device and a socket, and one route for the whole network.
class Udp final : public FlannelBackend {
public:
    Status start(const Node &) override { return {}; }

    Status program(const Node &node, const std::vector<FlannelPeer> &peers) override {
        forwarder_.reset();
        const auto &family = node.families.front(); // IPv4: it knows no other
        std::vector<std::string> argv{WEFT_UDP_BACKEND, family.public_ip.to_string(), "8285", "flannel0"};
        for (const auto &peer : peers)
            argv.push_back(fmt::format("{}={}", peer.subnet.to_string(), peer.public_ip.to_string()));
        auto started = node.ns->spawn(std::move(argv));
        if (!started) return fail_as_is(std::move(started));
        forwarder_ = std::move(*started);
        if (!wait_until([&] { return forwarder_->out().find("ready") != std::string::npos; }))
            return fail("the udp forwarder does not start: " + forwarder_->describe());
        return node.ns->ip(fmt::format("address add {0}/32 dev flannel0\nlink set flannel0 mtu 1472 up\n"
                                       "route add {1} dev flannel0 src {0}",
                                       family.base().to_string(), family.network.canonical().to_string()));
    }

    [[nodiscard]] unsigned overhead() const override { return 28; }

private:
    [[nodiscard]] std::string lease_type() const override { return ""; }

    std::optional<Process> forwarder_;
};

} // namespace

Mac stand_in_vtep_mac(const Ip &public_ip) {
    Mac mac{{0x16, public_ip.is_v4() ? std::uint8_t{0xf1} : std::uint8_t{0xf6}, 0, 0, 0, 0}};
    const auto last_four = [&](const auto &octets) {
        std::copy(octets.end() - 4, octets.end(), mac.bytes.begin() + 2);
    };
    public_ip.is_v4() ? last_four(public_ip.to_v4().to_bytes()) : last_four(public_ip.to_v6().to_bytes());
    return mac;
}

std::string FlannelBackend::lease_value(const Node &node) const {
    nlohmann::ordered_json value{{"PublicIP", "0.0.0.0"}, {"PublicIPv6", nullptr}};
    if (!lease_type().empty()) value["BackendType"] = lease_type();
    for (const auto &family : node.families) {
        const bool v4 = family.subnet.is_v4();
        value[v4 ? "PublicIP" : "PublicIPv6"] = family.public_ip.to_string();
        if (!has_vtep()) continue;
        value[v4 ? "BackendData" : "BackendV6Data"] =
            nlohmann::ordered_json{{"VNI", 1}, {"VtepMAC", stand_in_vtep_mac(family.public_ip).to_string()}};
    }
    return value.dump();
}

Result<std::unique_ptr<FlannelBackend>> FlannelBackend::create(std::string_view name) {
    if (name == "vxlan") return std::make_unique<Vxlan>(false);
    if (name == "direct") return std::make_unique<Vxlan>(true);
    if (name == "host-gw") return std::make_unique<HostGw>();
    if (name == "udp") return std::make_unique<Udp>();
    return fail(fmt::format("there is no stand-in for flannel's {}", name), EINVAL);
}

} // namespace weft::test

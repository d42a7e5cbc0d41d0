// SPDX-License-Identifier: Apache-2.0
#include "flannel_node.hpp"

#include <unistd.h>

#include <algorithm>
#include <sstream>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "dirs.hpp"

namespace weft::test {
namespace {

constexpr std::string_view kPrefix = "/coreos.com/network";

/// The parts of ".../10.5.34.0-24&fd00:0:0:5::-64" or of a key with one of them alone.
Result<std::vector<Net>> subnets_of_key(std::string_view key) {
    std::vector<Net> subnets;
    std::istringstream parts(std::string(key.substr(key.rfind('/') + 1)));
    for (std::string part; std::getline(parts, part, '&');) {
        std::replace(part.begin(), part.end(), '-', '/');
        auto subnet = parse_net(part);
        if (!subnet) return fail_as_is(std::move(subnet));
        if (*subnet != Net()) subnets.push_back(*subnet); // flannel's word for no IPv4 part
    }
    return subnets;
}

/// The fields of one family in a lease's value. @return nothing if the node has no address of it
Result<std::optional<FlannelPeer>> peer_of(const Net &subnet, const nlohmann::json &value) {
    const auto *address = subnet.is_v4() ? "PublicIP" : "PublicIPv6";
    const auto *data = subnet.is_v4() ? "BackendData" : "BackendV6Data";
    if (!value.contains(address) || value[address].is_null()) return std::nullopt;
    auto ip = value[address].is_string() ? parse_ip(value[address].get<std::string>()) : fail("no text");
    if (!ip) return fail_as_is(std::move(ip));
    auto mac = parse_mac(value.contains(data) ? value[data].value("VtepMAC", "") : "00:00:00:00:00:00");
    if (!mac) return fail_as_is(std::move(mac));
    return FlannelPeer{subnet, *ip, *mac};
}

} // namespace

Result<std::vector<FlannelPeer>> read_leases(EtcdServer &etcd, std::string_view prefix) {
    auto entries = etcd.get_prefix(fmt::format("{}/subnets/", prefix));
    if (!entries) return fail_as_is(std::move(entries));
    std::vector<FlannelPeer> peers;
    for (const auto &[key, text] : *entries) {
        const auto bad = [&] { return fail(fmt::format("not a lease: {} {}", key, text)); };
        const auto value = nlohmann::json::parse(text, nullptr, false);
        const auto subnets = subnets_of_key(key);
        if (!subnets || !value.is_object()) return bad();
        for (const auto &subnet : *subnets) {
            const auto peer = peer_of(subnet, value);
            if (!peer) return bad();
            if (*peer) peers.push_back(**peer);
        }
    }
    return peers;
}

FlannelNode::FlannelNode(Netns ns, const Options &options, std::unique_ptr<FlannelBackend> backend)
    : ns_(std::move(ns)), options_(options), backend_(std::move(backend)) {}

const FlannelFamily &FlannelNode::of(Family family) const {
    return *std::ranges::find_if(families(),
                                 [&](const auto &mine) { return mine.subnet.is_v4() == (family == Family::v4); });
}

Result<FlannelNode> FlannelNode::create(std::string_view name, const Options &options) {
    auto backend = FlannelBackend::create(options.backend);
    if (!backend) return fail_as_is(std::move(backend));
    auto ns = Netns::create(name);
    if (!ns) return fail_as_is(std::move(ns));
    // Else a new bridge has no link-local address for two seconds, and the node asks for no pod's neighbour entry.
    if (auto set = ns->sysctl("net.ipv6.conf.default.accept_dad", "0"); !set) return fail_as_is(std::move(set));
    FlannelNode node(std::move(*ns), options, std::move(*backend));
    node.name_ = name;
    return node;
}

Status FlannelNode::make_bridge() {
    if (ns_.run("ip link show cni0")) return {};
    auto made = ns_.ip(fmt::format("link add cni0 mtu {} type bridge\nlink set cni0 up", mtu()));
    for (const auto &family : families()) {
        const bool v4 = family.subnet.is_v4();
        if (made)
            made = ns_.ip(fmt::format("address add {}/{} dev cni0{}", (family.base() + 1).to_string(),
                                      family.subnet.prefix_length(), v4 ? "" : " nodad"));
        // The bridge plugin's doing.
        if (made) made = ns_.sysctl(v4 ? "net.ipv4.ip_forward" : "net.ipv6.conf.all.forwarding", "1");
    }
    return made;
}

Status FlannelNode::make_rules(const FlannelFamily &family) {
    const bool v4 = family.subnet.is_v4();
    auto out = ns_.run({v4 ? "iptables-restore" : "ip6tables-restore", "--noflush"},
                       {.input = fmt::format(R"(*filter
:FLANNEL-FWD - [0:0]
-A FORWARD -m comment --comment "flanneld forward" -j FLANNEL-FWD
-A FLANNEL-FWD -s {c} -m comment --comment "flanneld forward" -j ACCEPT
-A FLANNEL-FWD -d {c} -m comment --comment "flanneld forward" -j ACCEPT
COMMIT
*nat
:FLANNEL-POSTRTG - [0:0]
-A POSTROUTING -m comment --comment "flanneld masq" -j FLANNEL-POSTRTG
-A FLANNEL-POSTRTG -m mark --mark 0x4000/0x4000 -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s {p} -d {c} -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s {c} -d {p} -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG ! -s {c} -d {p} -m comment --comment "flanneld masq" -j RETURN
-A FLANNEL-POSTRTG -s {c} ! -d {m} -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
-A FLANNEL-POSTRTG ! -s {c} -d {c} -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
COMMIT
)",
                                             fmt::arg("c", family.network.canonical().to_string()),
                                             fmt::arg("p", family.subnet.canonical().to_string()),
                                             fmt::arg("m", v4 ? "224.0.0.0/4" : "ff00::/8"))});
    if (!out) return fail_as_is(std::move(out));
    return {};
}

Status FlannelNode::start(EtcdServer &etcd) {
    if (auto made = backend_->start(place()); !made) return made;
    if (auto made = make_bridge(); !made) return made;
    for (const auto &family : families())
        if (auto made = make_rules(family); !made) return made;
    std::string key = families().front().subnet.is_v4() ? "" : "0.0.0.0-0";
    for (const auto &family : families())
        key += fmt::format("{}{}-{}", key.empty() ? "" : "&", family.base().to_string(), family.subnet.prefix_length());
    return etcd.put_with_ttl(fmt::format("{}/subnets/{}", kPrefix, key), backend_->lease_value(place()), 86400);
}

Status FlannelNode::start_again(EtcdServer &etcd) {
    auto fresh = FlannelBackend::create(options_.backend); // it knows no peers
    if (!fresh) return fail_as_is(std::move(fresh));
    backend_ = std::move(*fresh);
    if (auto started = start(etcd); !started) return started;
    return sync(etcd);
}

Status FlannelNode::sync(EtcdServer &etcd) {
    auto leases = read_leases(etcd, kPrefix);
    if (!leases) return fail_as_is(std::move(leases));
    std::erase_if(*leases, [&](const auto &peer) {
        return std::ranges::any_of(families(),
                                   [&](const auto &mine) { return mine.subnet.canonical() == peer.subnet; });
    });
    const auto has_family = [&](const auto &peer) {
        return std::ranges::any_of(families(), [&](const auto &mine) { return mine.holds(peer); });
    };
    for (const auto &peer : *leases)
        if (!has_family(peer) && !peer.subnet.is_v4())
            return fail(fmt::format("flannel without IPv6 ends at the lease of {}", peer.subnet.to_string()));
    std::erase_if(*leases, [&](const auto &peer) { return !has_family(peer); });
    return backend_->program(place(), *leases);
}

Status FlannelNode::write_subnet_env(const std::filesystem::path &file) const {
    std::string text;
    for (const auto &family : families()) {
        const auto *prefix = family.subnet.is_v4() ? "FLANNEL" : "FLANNEL_IPV6";
        text += fmt::format("{0}_NETWORK={1}\n{0}_SUBNET={2}/{3}\n", prefix, family.network.canonical().to_string(),
                            (family.base() + 1).to_string(), family.subnet.prefix_length());
    }
    std::error_code err;
    std::filesystem::create_directories(file.parent_path(), err);
    return write_file(file, fmt::format("{}FLANNEL_MTU={}\nFLANNEL_IPMASQ=true\n", text, mtu()));
}

Result<Pod *> FlannelNode::add_pod() {
    const auto n = pods_.size();
    auto ns = Netns::create(fmt::format("{}-pod{}", name_, n + 1));
    if (!ns) return fail_as_is(std::move(ns));
    const auto host_end = fmt::format("veth{}", n + 1);
    auto made = ns_.ip(fmt::format("link add {0} mtu {1} type veth peer name eth0 mtu {1} netns {2}\n"
                                   "link set {0} master cni0\nlink set {0} up",
                                   host_end, mtu(), ns->name()));
    if (!made) return fail_as_is(std::move(made));
    if (auto hairpin = ns_.run(words(fmt::format("bridge link set dev {} hairpin on", host_end))); !hairpin)
        return fail_as_is(std::move(hairpin));
    made = ns->ip("link set eth0 up");
    std::string address, address6;
    for (const auto &family : families()) {
        auto &mine = family.subnet.is_v4() ? address : address6;
        mine = (family.base() + static_cast<std::uint32_t>(n + 2)).to_string();
        if (made)
            made =
                ns->ip(fmt::format("address add {0}/{1} dev eth0{4}\nroute add default via {2}\nroute add {3} via {2}",
                                   mine, family.subnet.prefix_length(), (family.base() + 1).to_string(),
                                   family.network.canonical().to_string(), family.subnet.is_v4() ? "" : " nodad"));
    }
    if (!made) return fail_as_is(std::move(made));
    auto server = serve_traffic(*ns);
    if (!server) return fail_as_is(std::move(server));
    pods_.push_back({std::move(*ns), host_end, std::move(address), std::move(*server), std::move(address6)});
    return &pods_.back();
}

} // namespace weft::test

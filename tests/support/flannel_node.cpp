// SPDX-License-Identifier: Apache-2.0
#include "flannel_node.hpp"

#include <unistd.h>

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace weft::test {
namespace {

constexpr std::string_view kPrefix = "/coreos.com/network";

/// "10.5.34.0/24" of ".../10.5.34.0-24"
Result<Net4> subnet_of_key(std::string_view key) {
    std::string text(key.substr(key.rfind('/') + 1));
    std::replace(text.begin(), text.end(), '-', '/');
    return parse_net4(text);
}

} // namespace

Result<std::vector<FlannelPeer>> read_leases(EtcdServer &etcd, std::string_view prefix) {
    auto entries = etcd.get_prefix(fmt::format("{}/subnets/", prefix));
    if (!entries) return fail_as_is(std::move(entries));
    std::vector<FlannelPeer> peers;
    for (const auto &[key, value] : *entries) {
        const auto json = nlohmann::json::parse(value, nullptr, false);
        const auto subnet = subnet_of_key(key);
        const auto ip = json.is_object() ? parse_ip4(json.value("PublicIP", "")) : fail("no object");
        if (!subnet || !ip) return fail(fmt::format("not a lease: {} {}", key, value));
        const auto mac = parse_mac(json.value("/BackendData/VtepMAC"_json_pointer, "00:00:00:00:00:00"));
        if (!mac) return fail(fmt::format("not a lease's VtepMAC: {} {}", key, value));
        peers.push_back({*subnet, *ip, *mac});
    }
    return peers;
}

FlannelNode::FlannelNode(Netns ns, const Options &options, std::unique_ptr<FlannelBackend> backend)
    : ns_(std::move(ns)), options_(options), backend_(std::move(backend)) {}

Result<FlannelNode> FlannelNode::create(std::string_view name, const Options &options) {
    auto backend = FlannelBackend::create(options.backend);
    if (!backend) return fail_as_is(std::move(backend));
    auto ns = Netns::create(name);
    if (!ns) return fail_as_is(std::move(ns));
    FlannelNode node(std::move(*ns), options, std::move(*backend));
    node.name_ = name;
    return node;
}

Status FlannelNode::make_bridge() {
    const auto gateway = (options_.subnet.canonical().address() + 1).to_string();
    auto made = ns_.ip(fmt::format("link add cni0 mtu {} type bridge\naddress add {}/{} dev cni0\nlink set cni0 up",
                                   mtu(), gateway, options_.subnet.prefix_length()));
    if (!made) return made;
    return ns_.sysctl("net.ipv4.ip_forward", "1"); // the bridge plugin's doing
}

Status FlannelNode::make_rules() {
    auto out = ns_.run({"iptables-restore", "--noflush"},
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
-A FLANNEL-POSTRTG -s {c} ! -d 224.0.0.0/4 -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
-A FLANNEL-POSTRTG ! -s {c} -d {c} -m comment --comment "flanneld masq" -j MASQUERADE --random-fully
COMMIT
)",
                                             fmt::arg("c", options_.network.canonical().to_string()),
                                             fmt::arg("p", options_.subnet.canonical().to_string()))});
    if (!out) return fail_as_is(std::move(out));
    return {};
}

Status FlannelNode::start(EtcdServer &etcd) {
    if (auto made = backend_->start(place()); !made) return made;
    if (auto made = make_bridge(); !made) return made;
    if (auto made = make_rules(); !made) return made;
    const auto subnet = options_.subnet.canonical();
    return etcd.put_with_ttl(
        fmt::format("{}/subnets/{}-{}", kPrefix, subnet.address().to_string(), subnet.prefix_length()),
        backend_->lease_value(place()), 86400);
}

Status FlannelNode::sync(EtcdServer &etcd) {
    auto leases = read_leases(etcd, kPrefix);
    if (!leases) return fail_as_is(std::move(leases));
    std::erase_if(*leases, [&](const auto &p) { return p.subnet == options_.subnet; });
    return backend_->program(place(), *leases);
}

Result<Pod *> FlannelNode::add_pod() {
    const auto n = pods_.size();
    auto ns = Netns::create(fmt::format("{}-pod{}", name_, n + 1));
    if (!ns) return fail_as_is(std::move(ns));
    const auto base = options_.subnet.canonical().address();
    const auto address = (base + static_cast<std::uint32_t>(n + 2)).to_string();
    const auto gateway = (base + 1).to_string();
    const auto host_end = fmt::format("veth{}", n + 1);
    auto made = ns_.ip(fmt::format("link add {0} mtu {1} type veth peer name eth0 mtu {1} netns {2}\n"
                                   "link set {0} master cni0\nlink set {0} up",
                                   host_end, mtu(), ns->name()));
    if (!made) return fail_as_is(std::move(made));
    if (auto hairpin = ns_.run(words(fmt::format("bridge link set dev {} hairpin on", host_end))); !hairpin)
        return fail_as_is(std::move(hairpin));
    made = ns->ip(fmt::format("link set eth0 up\naddress add {0}/{1} dev eth0\nroute add default via {2}\n"
                              "route add {3} via {2}",
                              address, options_.subnet.prefix_length(), gateway,
                              options_.network.canonical().to_string()));
    if (!made) return fail_as_is(std::move(made));
    auto server = serve_traffic(*ns);
    if (!server) return fail_as_is(std::move(server));
    pods_.push_back({std::move(*ns), host_end, address, std::move(*server)});
    return &pods_.back();
}

} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
#include "field.hpp"

#include <algorithm>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "abi.hpp"

namespace weft::attack {
namespace {

using test::Cluster;
using test::Family;

using test::operator-;
using test::count;
using test::to_string;

constexpr std::size_t kStrangerNumber = 66;
constexpr std::uint64_t kSeed = 8472;

bool is_drop(std::string_view counter) {
    const auto reason = counter.substr(counter.find('/') + 1);
    const auto *info = std::ranges::find(abi::kReasons, reason, &abi::ReasonInfo::label);
    return info != std::end(abi::kReasons) && info->verdict == WEFT_CLASS_DROP;
}

Result<Mac> mac_of(const test::Netns &ns, std::string_view interface) {
    auto out = ns.run(fmt::format("ip -j link show {}", interface));
    if (!out) return fail_as_is(std::move(out));
    const auto links = nlohmann::json::parse(*out, nullptr, false);
    return parse_mac(links.is_array() && !links.empty() ? links[0].value("address", "") : "");
}

/// The MAC of whom a pod has as its IPv4 gateway: it has spoken to nobody else.
Result<Mac> neighbour_mac(const test::Netns &pod) {
    auto out = pod.run("ip -4 -j neighbour show dev eth0");
    if (!out) return fail_as_is(std::move(out));
    const auto entries = nlohmann::json::parse(*out, nullptr, false);
    return parse_mac(entries.is_array() && !entries.empty() ? entries[0].value("lladdr", "") : "");
}

} // namespace

void Field::SetUp() {
    WEFT_REQUIRES(test::requires_cluster());
    WEFT_ASSERT_ASSIGN(cluster_, Cluster::create({.wire = GetParam().wire,
                                                  .datapath = GetParam().datapath,
                                                  .net_conf = GetParam().net_conf(),
                                                  .pods = GetParam().pods,
                                                  .underlay = GetParam().underlay}));
    WEFT_ASSERT_ASSIGN(victim_, cluster_->add_node());
    WEFT_ASSERT_ASSIGN(peer_, cluster_->add_node());
    WEFT_ASSERT_ASSIGN(flannel_, cluster_->add_flannel_node(GetParam().backend));
    WEFT_ASSERT_OK(cluster_->settle());
    WEFT_ASSERT_ASSIGN(victim_pod_, victim_->add_pod());
    WEFT_ASSERT_ASSIGN(neighbour_, victim_->add_pod());
    WEFT_ASSERT_ASSIGN(peer_pod_, peer_->add_pod());
    WEFT_ASSERT_ASSIGN(flannel_pod_, flannel_->add_pod());
    WEFT_ASSERT_ASSIGN(flannel_neighbour_, flannel_->add_pod());
    // A node's ICMP error about a crafted packet quotes its mark, and is not that packet. The kernel sends one a second to an
    // address; here, none.
    for (const auto *node : {&victim_->netns(), &flannel_->netns()})
        for (const auto *limit : {"net.ipv4.icmp_ratelimit", "net.ipv6.icmp.ratelimit"})
            WEFT_ASSERT_OK(node->sysctl(limit, "3600000"));
    plug_stranger();
    if (HasFatalFailure()) return;
    // Everybody has met everybody: no crafted packet is lost to a neighbour entry that is not there yet.
    for (const auto *from : {victim_pod_, neighbour_, peer_pod_, flannel_pod_, flannel_neighbour_}) {
        for (const auto *to : {victim_pod_, peer_pod_, flannel_pod_}) {
            for (const auto family : {Family::v4, Family::v6}) WEFT_ASSERT_OK(ping(from->ns, to->at(family), 1));
        }
    }
    watch();
    // Packets of one sender on one CPU stay in order all the way (judge.hpp).
    ASSERT_EQ(::sched_getaffinity(0, sizeof cpus_, &cpus_), 0);
    cpu_set_t one;
    CPU_ZERO(&one);
    for (int cpu = 0; CPU_COUNT(&one) == 0; ++cpu)
        if (CPU_ISSET(cpu, &cpus_)) CPU_SET(cpu, &one);
    ASSERT_EQ(::sched_setaffinity(0, sizeof one, &one), 0);
}

void Field::TearDown() {
    if (CPU_COUNT(&cpus_) > 0) ::sched_setaffinity(0, sizeof cpus_, &cpus_);
}

void Field::plug_stranger() {
    WEFT_ASSERT_ASSIGN(stranger_, test::Netns::create("stranger"));
    WEFT_ASSERT_OK(stranger_->sysctl("net.ipv6.conf.default.accept_dad", "0"));
    auto &lan = cluster_->lan();
    WEFT_ASSERT_OK(lan.plug(*stranger_, "eth0", Cluster::node_address(kStrangerNumber, Family::v4) + "/24"));
    WEFT_ASSERT_OK(stranger_->ip(
        fmt::format("address add {}/64 dev eth0 nodad", Cluster::node_address(kStrangerNumber, Family::v6))));
    // The switch must not believe a forged source MAC, or the node that it belongs to is cut off: an attack of its own, which
    // a switch has to prevent. The world's port is the first, then the three nodes'.
    WEFT_ASSERT_OK(
        lan.netns().run(test::words(fmt::format("bridge link set dev {} learning off", test::Segment::port(4)))));
    WEFT_ASSERT_ASSIGN(sender_, FrameSender::open(*stranger_, "eth0"));
}

void Field::watch() {
    WEFT_ASSERT_OK(judge_.watch_pod("in the pod", victim_pod_->ns));
    WEFT_ASSERT_OK(judge_.watch_pod("in its neighbour", neighbour_->ns));
    WEFT_ASSERT_OK(judge_.watch_pod("in a pod of another node", peer_pod_->ns));
    WEFT_ASSERT_OK(judge_.watch_pod("in flannel's pod", flannel_pod_->ns));
    WEFT_ASSERT_OK(judge_.watch_pod("in flannel's other pod", flannel_neighbour_->ns));
    WEFT_ASSERT_OK(judge_.watch_host("on the node", victim_->netns()));
    WEFT_ASSERT_OK(judge_.watch_host("on another node", peer_->netns()));
    WEFT_ASSERT_OK(judge_.watch_host("on flannel's node", flannel_->netns()));
    WEFT_ASSERT_OK(judge_.watch_host("outside", cluster_->world()));
}

Result<Party> Field::party(const test::Netns &ns, std::size_t number, const test::Pod &pod) const {
    Party party;
    const auto mac = mac_of(ns, "eth0");
    if (!mac) return std::unexpected(mac.error());
    party.mac = *mac;
    party.node = *parse_ip(Cluster::node_address(number, Family::v4));
    party.node6 = *parse_ip(Cluster::node_address(number, Family::v6));
    party.pod = *parse_ip(pod.address);
    party.pod6 = *parse_ip(pod.address6);
    const auto leases = read_leases(cluster_->etcd());
    if (!leases) return std::unexpected(leases.error());
    for (const auto &lease : *leases) {
        if (lease.public_ip != party.node_of(lease.subnet.is_v4())) continue;
        (lease.subnet.is_v4() ? party.base : party.base6) = lease.subnet.address();
        (lease.subnet.is_v4() ? party.vtep : party.vtep6) = lease.vtep_mac;
    }
    return party;
}

Result<Scene> Field::scene_against(bool flannel) {
    auto weft = party(victim_->netns(), 1, *victim_pod_), peer = party(peer_->netns(), 2, *peer_pod_),
         third = party(flannel_->netns(), 3, *flannel_pod_);
    const auto &pod = flannel ? *flannel_pod_ : *victim_pod_;
    const auto stranger_mac = mac_of(*stranger_, "eth0"), pod_mac = mac_of(pod.ns, "eth0"),
               gateway_mac = neighbour_mac(pod.ns);
    for (const auto *known : {&weft, &peer, &third})
        if (!*known) return std::unexpected(known->error());
    for (const auto *mac : {&stranger_mac, &pod_mac, &gateway_mac})
        if (!*mac) return std::unexpected(mac->error());
    const auto &neighbour = flannel ? *flannel_neighbour_ : *neighbour_;
    if (flannel) std::swap(*weft, *third);
    return Scene{.victim = *weft,
                 .peer = *peer,
                 .third = *third,
                 .neighbour = *parse_ip(neighbour.address),
                 .neighbour6 = *parse_ip(neighbour.address6),
                 .stranger_mac = *stranger_mac,
                 .stranger = *parse_ip(Cluster::node_address(kStrangerNumber, Family::v4)),
                 .stranger6 = *parse_ip(Cluster::node_address(kStrangerNumber, Family::v6)),
                 .world = *parse_ip(Cluster::kWorld),
                 .pod_mac = *pod_mac,
                 .gateway_mac = *gateway_mac};
}

void Field::expect_judges_see(const Scene &scene) {
    std::set<std::uint32_t> numbers;
    const auto send = [&](const Party &from, const Party &to) {
        const auto honest = honest_between(scene, from, to, tunnelled(), honest_sent_);
        honest_sent_ += static_cast<std::uint32_t>(honest.frames.size());
        WEFT_ASSERT_OK(sender_->send(honest.frames));
        numbers.insert(honest.numbers.begin(), honest.numbers.end());
    };
    send(scene.peer, scene.victim);
    send(scene.victim, scene.peer);
    send(scene.victim, scene.third);
    // The second pod, and the world, which is in no tunnel.
    auto to = scene.victim;
    to.pod = scene.neighbour;
    to.pod6 = scene.neighbour6;
    send(scene.peer, to);
    WEFT_ASSERT_ASSIGN(const auto world_mac, mac_of(cluster_->world(), "eth0"));
    Crafter crafter(scene, kHonestKind, honest_sent_);
    for (const auto carry : {Carry::udp, Carry::reset, Carry::echo}) {
        crafter.start(honest_sent_);
        WEFT_ASSERT_OK(sender_->send(
            {Crafter::ethernet_ip(world_mac, scene.stranger_mac, crafter.packet(scene.stranger, scene.world, carry))}));
        numbers.insert(honest_sent_++);
    }
    WEFT_ASSERT_ASSIGN(const auto seen, judge_.look(numbers));
    EXPECT_TRUE(seen.nothing()) << seen.to_string();
}

Honest Field::next_honest(const Scene &scene) {
    auto honest = honest_between(scene, scene.peer, scene.victim, tunnelled(), honest_sent_);
    honest_sent_ += static_cast<std::uint32_t>(honest.frames.size());
    return honest;
}

Result<Sightings> Field::attack(const FrameSender &from, const Scene &scene, const Kind &kind, std::uint16_t number,
                                std::uint32_t packets, const Honest &honest) {
    Crafter crafter(scene, number, kSeed);
    Status sent;
    for (std::uint32_t i = 0; i < packets && sent; ++i) {
        crafter.start(i);
        sent = from.send(kind.craft(crafter));
    }
    if (sent) sent = from.send(honest.frames);
    if (!sent) return fail_as_is(std::move(sent));
    return judge_.look(honest.numbers);
}

bool Field::lacks_push() const {
    const auto status = victim_->weftctl("status");
    EXPECT_TRUE(status) << status.error().sentence();
    return status && status->at("daemon").at("kernel_lacks").contains("push_vxlan");
}

void Field::expect_counted(std::string_view counted, std::uint32_t packets, const test::CounterReading &before,
                           const test::CounterReading &after) const {
    auto risen = after.all - before.all;
    auto dropped = after.dropped - before.dropped;
    dropped.erase("from_host/link_scope"); // the kernel's own group reports
    for (auto [counter, times] : counters_of(counted)) {
        const auto expected = times * packets;
        if (counter == "from_pod/encap" && lacks_push()) counter = "from_host/kernel_encap";
        if (!is_drop(counter)) {
            EXPECT_GE(count(risen, counter), expected) << counter << " of " << to_string(risen);
            continue;
        }
        if (GetParam().datapath == "xdp" && counter.starts_with("from_wire/"))
            counter.replace(0, std::string_view("from").size(), "xdp");
        EXPECT_EQ(count(dropped, counter), expected) << counter << " of " << to_string(risen);
        dropped.erase(counter);
    }
    // Where there is no tunnel, the kernel's socket is there all the same, and what comes in by it is dropped for one of many
    // reasons.
    if (!tunnelled()) std::erase_if(dropped, [](const auto &one) { return one.first.starts_with("from_tunnel/"); });
    EXPECT_TRUE(dropped.empty()) << to_string(dropped);
}

} // namespace weft::attack

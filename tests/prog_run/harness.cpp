// SPDX-License-Identifier: Apache-2.0
#include "harness.hpp"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <linux/pkt_cls.h>
#include <sched.h>
#include <unistd.h>

#include <cctype>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <numeric>

#include "branches/trace.hpp"
#include "datapath/features.hpp"
#include "datapath/skeletons.hpp"
#include "pinned.hpp"

namespace weft::prog_run {
namespace {

DatapathConfig world_config(const std::filesystem::path &bpf_dir) {
    DatapathConfig config;
    config.networks = {*parse_net("10.244.0.0/16"), *parse_net("fd00:244::/48")};
    config.subnets = {*parse_net("10.244.63.0/24"), *parse_net("fd00:244:0:63::/64")};
    config.nodes = {world::kNode, world::kNode6};
    config.vtep_mac = world::kVtepMac;
    config.encaps = 1U << WEFT_ENCAP_VXLAN | 1U << WEFT_ENCAP_DIRECT | 1U << WEFT_ENCAP_UDP | 1U << WEFT_ENCAP_IPIP |
                    1U << WEFT_ENCAP_VXLAN6;
    config.bpf_dir = bpf_dir;
    return config;
}

weft_lease peer_lease() {
    weft_lease lease{};
    lease.node = abi::ip(world::kPeer);
    lease.next_hop = abi::ip(world::kRouter);
    lease.ifindex = world::kUplinkIfindex;
    lease.stats_index = world::kPeerStats;
    lease.vtep_mac = abi::mac(world::kPeerVtepMac);
    lease.mtu = world::kMtu;
    lease.encap = WEFT_ENCAP_VXLAN;
    lease.link_mac = abi::mac(world::kPeerLinkMac);
    return lease;
}

weft_lease peer6_lease(weft_encap encap, __u8 flags = 0) {
    auto lease = peer_lease();
    lease.encap = static_cast<__u8>(encap);
    lease.flags = flags;
    if (encap == WEFT_ENCAP_VXLAN) return lease;
    lease.node = abi::ip(world::kPeer6);
    lease.next_hop = abi::ip(world::kRouter6);
    lease.mtu = world::kMtu - 20;
    return lease;
}

weft_endpoint pod(unsigned ifindex, unsigned flags = 0) {
    return {ifindex, abi::mac(world::kPodMac), abi::mac(world::kPodHostMac), flags};
}

/// The verdict that the class of a reason stands for at a hook.
int verdict_of(weft_hook hook, weft_class verdict) {
    const bool xdp = hook == WEFT_HOOK_XDP_WIRE;
    switch (verdict) {
    case WEFT_CLASS_FORWARD: return xdp ? XDP_PASS : TC_ACT_REDIRECT;
    case WEFT_CLASS_STACK: return xdp ? XDP_PASS : TC_ACT_UNSPEC;
    case WEFT_CLASS_DROP: return xdp ? XDP_DROP : TC_ACT_SHOT;
    case WEFT_CLASS_NONE: break;
    }
    return -1000;
}

using Counts = std::map<std::string, std::uint64_t>;

Counts grown(const Counts &before, const Counts &after) {
    Counts out;
    for (const auto &[label, total] : after) {
        const auto old = before.find(label);
        const auto delta = total - (old == before.end() ? 0 : old->second);
        if (delta) out[label] = delta;
    }
    return out;
}

std::string hex(const Bytes &bytes) {
    std::string text;
    for (const auto b : bytes) text += fmt::format("{:02x}", b);
    return text;
}

/// The one's complement sum of an IPv4 header.
std::uint32_t ip_sum(const Bytes &packet, std::size_t ip_offset) {
    std::uint32_t sum = 0;
    for (std::size_t i = 0; i < 20; i += 2) sum += be16(packet, ip_offset + i);
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

} // namespace

Programs &Programs::instance() {
    static auto *const programs = new Programs; // gtest owns it once it is registered
    return *programs;
}

void Programs::SetUp() {
    if (geteuid() != 0) {
        why_not_ = "loading BPF programs needs root";
        return;
    }
    // Conntrack entries and interfaces of the machine must not matter, nor be touched.
    if (unshare(CLONE_NEWNET) != 0) {
        why_not_ = fmt::format("no network namespace: {}", std::strerror(errno));
        return;
    }
    if (auto loaded = load(); !loaded) FAIL() << loaded.error().sentence();
}

void Programs::TearDown() {
    if (const char *folder = std::getenv("WEFT_BRANCHES"); folder && available()) {
        int load = 0;
        for (const auto *programs : {&fast_, &off_, &counting_, &unchecked_}) {
            const auto name = fmt::format("{}{}", ::program_invocation_short_name, ++load);
            const std::filesystem::path traces = folder;
            EXPECT_TRUE(write_branches(programs->datapath->program_fd(WEFT_HOOK_FROM_POD), traces / ("weft." + name)));
            EXPECT_TRUE(
                write_branches(bpf_program__fd(programs->xdp->progs.weft_xdp_wire), traces / ("xdp_wire." + name)));
        }
    }
    fast_ = {};
    off_ = {};
    counting_ = {};
    unchecked_ = {};
    std::error_code ignored;
    if (!bpf_dir_.empty()) std::filesystem::remove_all(bpf_dir_, ignored);
}

Result<Programs::Loaded> Programs::load_programs(const Context &context) const {
    auto config = world_config(bpf_dir_);
    config.fast_path = context.fast_path;
    if (!context.fast_path) {
        config.nodes = {world::kNode};
        config.encaps = 1U << WEFT_ENCAP_VXLAN;
    }
    const bool as_they_come = context.checks == WEFT_CHECK_ENFORCE;
    if (!as_they_come && !set_check(config.checks, context.checks == WEFT_CHECK_COUNT ? "all=count" : "all=off"))
        return fail("no such check");
    auto datapath = Datapath::load(config);
    if (!datapath) return fail_as_is(std::move(datapath));
    Loaded loaded{.datapath = std::make_unique<Datapath>(std::move(*datapath)),
                  .xdp = datapath::SkelPtr<xdp_wire_bpf>(xdp_wire_bpf::open())};

    // The XDP program is loaded here without being attached; it shares the maps through their pins.
    auto *xdp = loaded.xdp.get();
    if (!xdp) return fail_errno(errno, "open XDP program");
    xdp->rodata->cfg = datapath::make_cfg(config, features_);
    const std::pair<bpf_map *, const char *> pins[] = {
        {xdp->maps.weft_leases, WEFT_PIN_LEASES},       {xdp->maps.weft_nodes, WEFT_PIN_NODES},
        {xdp->maps.weft_endpoints, WEFT_PIN_ENDPOINTS}, {xdp->maps.weft_state, WEFT_PIN_STATE},
        {xdp->maps.weft_counters, WEFT_PIN_COUNTERS},   {xdp->maps.weft_lease_stats, WEFT_PIN_LEASE_STATS},
        {xdp->maps.weft_events, WEFT_PIN_EVENTS},       {xdp->maps.weft_tolerated, WEFT_PIN_TOLERATED},
        {xdp->maps.weft_refused, WEFT_PIN_REFUSED},     {xdp->maps.weft_allowed, WEFT_PIN_ALLOWED}};
    for (const auto &[map, pin] : pins) {
        bpf_map__set_pin_path(map, (bpf_dir_ / pin).c_str());
    }
    if (const int err = xdp_wire_bpf::load(xdp); err != 0) return fail_errno(-err, "load XDP program");
    return loaded;
}

Status Programs::load() {
    bpf_dir_ = fmt::format("/sys/fs/bpf/weft-prog-run-{}", getpid());
    const std::pair<Loaded *, Context> loads[] = {{&off_, {.fast_path = false}},
                                                  {&counting_, {.checks = WEFT_CHECK_COUNT}},
                                                  {&unchecked_, {.checks = WEFT_CHECK_OFF}},
                                                  {&fast_, {}}};
    for (const auto &[programs, context] : loads) {
        auto loaded = load_programs(context);
        if (!loaded) return fail_as_is(std::move(loaded));
        *programs = std::move(*loaded);
    }
    counters_fd_ = UniqueFd(bpf_obj_get((bpf_dir_ / WEFT_PIN_COUNTERS).c_str()));
    tolerated_fd_ = UniqueFd(bpf_obj_get((bpf_dir_ / WEFT_PIN_TOLERATED).c_str()));
    refused_fd_ = UniqueFd(bpf_obj_get((bpf_dir_ / WEFT_PIN_REFUSED).c_str()));
    stats_fd_ = UniqueFd(bpf_obj_get((bpf_dir_ / WEFT_PIN_LEASE_STATS).c_str()));
    events_fd_ = UniqueFd(bpf_obj_get((bpf_dir_ / WEFT_PIN_EVENTS).c_str()));
    return fill_maps();
}

Status Programs::fill_maps() {
    const auto state = abi::state({{{{26, 24}, {64, 56}}}});
    weft_node node{1, world::kPeerStats};
    for (auto status : {
             fast_.datapath->state().put(0, state),
             fast_.datapath->leases().put(abi::lease_key(*parse_net4("10.244.86.0/24")), peer_lease()),
             fast_.datapath->leases().put(abi::lease_key(*parse_net("10.244.88.0/24")), peer6_lease(WEFT_ENCAP_VXLAN6)),
             fast_.datapath->leases().put(abi::lease_key(*parse_net("fd00:244:0:86::/64")),
                                          peer6_lease(WEFT_ENCAP_VXLAN6)),
             fast_.datapath->leases().put(abi::lease_key(*parse_net("fd00:244:0:87::/64")),
                                          peer6_lease(WEFT_ENCAP_VXLAN6, WEFT_LEASE_OUTER_CSUM)),
             fast_.datapath->leases().put(abi::lease_key(*parse_net("fd00:244:0:88::/64")),
                                          peer6_lease(WEFT_ENCAP_VXLAN)),
             fast_.datapath->leases().put(abi::lease_key(*parse_net("fd00:244:0:89::/64")),
                                          peer6_lease(WEFT_ENCAP_DIRECT)),
             fast_.datapath->nodes().put(abi::ip(world::kPeer), node),
             fast_.datapath->nodes().put(abi::ip(world::kPeer6), node),
             fast_.datapath->endpoints().put(abi::ip(world::kPod6), pod(world::kPodIfindex)),
             fast_.datapath->endpoints().put(abi::ip(world::kNeighbourPod6), pod(world::kNeighbourIfindex)),
             fast_.datapath->endpoints().put(abi::ip(world::kPod), pod(world::kPodIfindex)),
             fast_.datapath->endpoints().put(abi::ip(world::kNeighbourPod), pod(world::kNeighbourIfindex)),
             fast_.datapath->endpoints().put(abi::ip(world::kStackPod), pod(world::kNeighbourIfindex, WEFT_EP_STACK)),
             fast_.datapath->endpoints().put(abi::ip(world::kShapedPod), pod(world::kNeighbourIfindex, WEFT_EP_SHAPED)),
         })
        if (!status) return status;
    return {};
}

std::map<std::string, std::uint64_t> Programs::read_reasons(int fd, weft_hook hook) {
    std::map<std::string, std::uint64_t> counted;
    for (unsigned reason = 0; reason < WEFT_R_COUNT; ++reason) {
        const auto values =
            maps::read_percpu<weft_counter>(fd, static_cast<unsigned>(hook) * WEFT_R_COUNT + reason, "counters");
        if (!values) continue;
        const auto total = std::accumulate(values->begin(), values->end(), std::uint64_t{0},
                                           [](std::uint64_t sum, const weft_counter &c) { return sum + c.packets; });
        if (total == 0) continue;
        const auto *info = std::ranges::find(abi::kReasons, static_cast<weft_reason>(reason), &abi::ReasonInfo::reason);
        counted[info == std::end(abi::kReasons) ? fmt::format("unnamed {}", reason) : std::string(info->label)] = total;
    }
    return counted;
}

weft_lease_stats Programs::read_peer_stats() {
    weft_lease_stats sum{};
    const auto values = maps::read_percpu<weft_lease_stats>(stats_fd_.get(), world::kPeerStats, "lease_stats");
    for (const auto &v : *values) {
        sum.tx_packets += v.tx_packets;
        sum.tx_bytes += v.tx_bytes;
        sum.rx_packets += v.rx_packets;
        sum.rx_bytes += v.rx_bytes;
    }
    return sum;
}

std::uint64_t Programs::refused(const weft_refused_key &key) const {
    std::vector<weft_refused> of_cpu(static_cast<std::size_t>(libbpf_num_possible_cpus()));
    if (bpf_map_lookup_elem(refused_fd_.get(), &key, of_cpu.data()) != 0) return 0;
    return std::accumulate(of_cpu.begin(), of_cpu.end(), std::uint64_t{0},
                           [](std::uint64_t sum, const weft_refused &refused) { return sum + refused.packets; });
}

int Programs::program_fd(weft_hook hook, const Context &context) const {
    if (context.behind >= 0) return context.behind;
    const auto &programs = context.checks == WEFT_CHECK_COUNT ? counting_
                           : context.checks == WEFT_CHECK_OFF ? unchecked_
                           : context.fast_path                ? fast_
                                                              : off_;
    return hook == WEFT_HOOK_XDP_WIRE ? bpf_program__fd(programs.xdp->progs.weft_xdp_wire)
                                      : programs.datapath->program_fd(hook);
}

Outcome Programs::run(weft_hook hook, const Bytes &packet, const Context &context) {
    const bool xdp = hook == WEFT_HOOK_XDP_WIRE;
    const auto before = read_reasons(counters_fd_.get(), hook), tolerated = read_reasons(tolerated_fd_.get(), hook);
    const auto stats_before = read_peer_stats();

    Outcome out;
    out.packet.resize(packet.size() + 512);
    __sk_buff skb{}, skb_out{};
    skb.ifindex = context.ifindex;
    skb.gso_size = context.gso_size;
    skb.gso_segs = context.gso_segs;
    skb.mark = context.mark;
    bpf_test_run_opts opts{};
    opts.sz = sizeof(opts);
    Bytes in(xdp ? context.metadata : 0);
    in.insert(in.end(), packet.begin(), packet.end());
    opts.data_in = in.data();
    opts.data_size_in = static_cast<__u32>(in.size());
    opts.data_out = out.packet.data();
    opts.data_size_out = static_cast<__u32>(out.packet.size());
    opts.repeat = 1;
    xdp_md md{}, md_out{};
    md.data = context.metadata;
    md.data_end = static_cast<__u32>(in.size());
    opts.ctx_in = xdp ? static_cast<const void *>(&md) : &skb;
    opts.ctx_size_in = xdp ? sizeof(md) : sizeof(skb);
    opts.ctx_out = xdp ? static_cast<void *>(&md_out) : &skb_out;
    opts.ctx_size_out = xdp ? sizeof(md_out) : sizeof(skb_out);
    if (xdp && !features_.xdp_frags) { // nor a context for XDP, which came a little earlier
        opts.ctx_in = opts.ctx_out = nullptr;
        opts.ctx_size_in = opts.ctx_size_out = 0;
    }
    const int err = bpf_prog_test_run_opts(program_fd(hook, context), &opts);
    EXPECT_EQ(err, 0) << "BPF_PROG_RUN: " << std::strerror(-err) << " with packet " << hex(packet);
    out.verdict = static_cast<int>(opts.retval);
    out.packet.resize(opts.data_size_out);
    // XDP: the kernel puts metadata before the packet.
    const auto packet_start = out.packet.begin() + (xdp ? md_out.data : 0);
    out.metadata.assign(out.packet.begin(), packet_start);
    out.packet.erase(out.packet.begin(), packet_start);
    out.mark = skb_out.mark;

    out.reasons = grown(before, read_reasons(counters_fd_.get(), hook));
    out.tolerated = grown(tolerated, read_reasons(tolerated_fd_.get(), hook));
    const auto stats = read_peer_stats();
    out.peer = {stats.tx_packets - stats_before.tx_packets, stats.tx_bytes - stats_before.tx_bytes,
                stats.rx_packets - stats_before.rx_packets, stats.rx_bytes - stats_before.rx_bytes};
    return out;
}

void PrintTo(const Row &row, std::ostream *os) { *os << row.sentence; }

std::string row_name(const ::testing::TestParamInfo<Row> &info) {
    std::string name;
    bool upper = true;
    for (const char c : info.param.sentence) {
        if (std::isalnum(static_cast<unsigned char>(c))) name += static_cast<char>(upper ? std::toupper(c) : c);
        upper = !std::isalnum(static_cast<unsigned char>(c));
    }
    return name;
}

namespace {

/// What a row comes to on this kernel: where it lacks what forwarding needs, the stack gets the packet as it came, and the
/// reason says so.
std::string reason_here(const Row &row, weft_class verdict, const Outcome &out) {
    const auto &features = Programs::instance().features();
    const auto went_to_the_stack = [&](const char *reason) { return out.reasons.contains(reason); };
    if (verdict == WEFT_CLASS_DROP) return row.reason;
    if (!features.conntrack_lookup && went_to_the_stack("no_conntrack")) return "no_conntrack";
    if (!features.pop_other_family && went_to_the_stack("other_family")) return "other_family";
    if (!features.push_vxlan && went_to_the_stack("kernel_encap")) return "kernel_encap";
    return row.reason;
}

/// That the row's is on the wire. Where nobody has counted a GSO packet's segments, its length tells.
std::uint64_t packets_of(const Row &row) {
    const auto &context = row.context;
    if (context.gso_segs != 0 || context.gso_size == 0) return std::max(context.gso_segs, 1U);
    return (row.packet.size() + context.gso_size - 1) / context.gso_size;
}

} // namespace

void expect_row(weft_hook hook, const Row &row) {
    auto &programs = Programs::instance();
    if (!programs.available()) GTEST_SKIP() << programs.why_not();
    const auto find = [](const std::string &label) {
        return std::ranges::find(abi::kReasons, std::string_view(label), &abi::ReasonInfo::label);
    };
    const auto *info = find(row.reason);
    ASSERT_NE(info, std::end(abi::kReasons)) << row.reason << " is no reason";

    const auto out = programs.run(hook, row.packet, row.context);
    const auto reason = reason_here(row, info->verdict, out);
    info = find(reason);
    const std::map<std::string, std::uint64_t> expected{{reason, packets_of(row)}};
    EXPECT_EQ(out.reasons, expected);
    EXPECT_EQ(out.verdict, verdict_of(hook, info->verdict));
    const auto behind_ethernet = [](const Bytes &frame) { return hex(Bytes(frame.begin() + kEthLen, frame.end())); };
    if (reason != row.reason) // the driver wants an inner Ethernet header, and the stack does not look at it
        EXPECT_EQ(behind_ethernet(out.packet), behind_ethernet(row.packet)) << "the packet must be left as it came";
    else if (row.check)
        row.check(row.packet, out);
    else
        EXPECT_EQ(hex(out.packet), hex(row.packet)) << "the packet must be left as it came";
    if (::testing::Test::HasFailure())
        std::cerr << "replay: scapy Ether(bytes.fromhex('" << hex(row.packet) << "')).show()\n";
}

// --- building packets -----------------------------------------------------------------------------------------------

Tins::EthernetII eth(const Mac &dst, const Mac &src) {
    return Tins::EthernetII(Tins::HWAddress<6>(dst.bytes.data()), Tins::HWAddress<6>(src.bytes.data()));
}

Tins::IP ip(const Ip4 &src, const Ip4 &dst, std::uint8_t ttl, std::uint8_t tos) {
    Tins::IP header(Tins::IPv4Address(dst.to_string()), Tins::IPv4Address(src.to_string()));
    header.ttl(ttl);
    header.tos(tos);
    header.id(0x1234);
    return header;
}

Tins::IPv6 ip6(const Ip6 &src, const Ip6 &dst, std::uint8_t hops, std::uint8_t traffic_class) {
    Tins::IPv6 header(Tins::IPv6Address(dst.to_string()), Tins::IPv6Address(src.to_string()));
    header.hop_limit(hops);
    header.traffic_class(traffic_class);
    header.flow_label(0x12345);
    return header;
}

Tins::TCP tcp(std::uint16_t dport, std::uint16_t sport) {
    Tins::TCP segment(dport, sport);
    segment.flags(Tins::TCP::ACK);
    return segment;
}

Tins::UDP udp(std::uint16_t dport, std::uint16_t sport) { return Tins::UDP(dport, sport); }

Bytes bytes_of(const Tins::PDU &pdu) {
    const std::unique_ptr<Tins::PDU> copy(pdu.clone()); // serializing fills in lengths and checksums
    return copy->serialize();
}

Bytes tunnel_raw(const Bytes &payload, std::uint16_t ethertype, const Outer &outer) {
    Bytes body;
    const auto put32 = [&body](std::uint32_t v) {
        for (int shift = 24; shift >= 0; shift -= 8) body.push_back(static_cast<std::uint8_t>(v >> shift));
    };
    put32(outer.flags);
    put32(outer.vni << 8);
    body.insert(body.end(), outer.inner_dst.bytes.begin(), outer.inner_dst.bytes.end());
    body.insert(body.end(), world::kPeerVtepMac.bytes.begin(), world::kPeerVtepMac.bytes.end());
    body.push_back(static_cast<std::uint8_t>(ethertype >> 8));
    body.push_back(static_cast<std::uint8_t>(ethertype));
    body.insert(body.end(), payload.begin(), payload.end());
    return bytes_of(eth(*parse_mac("02:00:00:00:00:02"), world::kPeerLinkMac) /
                    ip(outer.src, outer.dst, 64, outer.tos) / udp(outer.dport, 50000) / Tins::RawPDU(body));
}

Bytes tunnel(const Tins::IP &inner, const Outer &outer) { return tunnel_raw(bytes_of(inner), 0x0800, outer); }

Bytes patched(Bytes packet, std::size_t offset, std::initializer_list<std::uint8_t> bytes) {
    std::ranges::copy(bytes, packet.begin() + static_cast<std::ptrdiff_t>(offset));
    return packet;
}

Bytes patched_ip4(Bytes packet, std::size_t ip, std::size_t offset, std::initializer_list<std::uint8_t> bytes) {
    packet = patched(patched(std::move(packet), ip + offset, bytes), ip + 10, {0, 0});
    const auto check = static_cast<std::uint16_t>(~ip_sum(packet, ip));
    return patched(std::move(packet), ip + 10,
                   {static_cast<std::uint8_t>(check >> 8), static_cast<std::uint8_t>(check)});
}

Bytes cut(Bytes packet, std::size_t length) {
    packet.resize(length);
    return packet;
}

// --- reading packets --------------------------------------------------------------------------------------------------

bool ip_checksum_ok(const Bytes &packet, std::size_t ip_offset) { return ip_sum(packet, ip_offset) == 0xffff; }

std::uint16_t be16(const Bytes &packet, std::size_t offset) {
    return static_cast<std::uint16_t>(packet.at(offset) << 8 | packet.at(offset + 1));
}

namespace {
[[maybe_unused]] const auto *const registered = ::testing::AddGlobalTestEnvironment(&Programs::instance());
} // namespace

} // namespace weft::prog_run

// SPDX-License-Identifier: Apache-2.0
#include "datapath/skeletons.hpp"

#include <algorithm>
#include <bit>
#include <cerrno>

#include "datapath/pins.hpp"

namespace weft::datapath {
namespace {

/// One drop in this many makes an event: enough to see what kind of packet it is, too few to slow a flood down.
constexpr std::uint32_t kEventSampling = 64;
static_assert((kEventSampling & (kEventSampling - 1)) == 0, "the programs mask a random number with it");

Status set_max_entries(std::initializer_list<bpf_map *> maps, std::uint32_t max_entries) {
    for (bpf_map *map : maps)
        if (const int err = bpf_map__set_max_entries(map, max_entries); err != 0)
            return fail_errno(-err, std::string(bpf_map__name(map)) + ": resize");
    return {};
}

/// Each CPU has a share of the 16 bits, the same for all.
__u8 ip_id_bits() {
    const int cpus = std::max(libbpf_num_possible_cpus(), 1);
    const auto of_cpu = static_cast<int>(std::bit_width(static_cast<unsigned>(cpus - 1)));
    return static_cast<__u8>(16 - std::min(of_cpu, 8));
}

} // namespace

weft_cfg make_cfg(const DatapathConfig &config, const Features &features) {
    weft_cfg cfg{};
    std::ranges::fill(cfg.network, abi::net(std::nullopt));
    std::ranges::fill(cfg.subnet, abi::net(std::nullopt));
    cfg.node[WEFT_IPV4] = abi::ip(Ip4());
    for (const auto &net : config.networks) cfg.network[abi::family(net.address())] = abi::net(net);
    for (const auto &net : config.subnets) cfg.subnet[abi::family(net.address())] = abi::net(net);
    for (const auto &node : config.nodes) cfg.node[abi::family(node)] = abi::ip(node);
    cfg.vtep_mac = abi::mac(config.vtep_mac);
    cfg.port = config.port;
    cfg.vni = config.vni;
    cfg.event_sample_mask = kEventSampling - 1;
    cfg.ask_conntrack = features.conntrack_lookup;
    cfg.ip_id_bits = ip_id_bits();
    cfg.fast_path = config.fast_path;
    cfg.vtep_ifindex = static_cast<__u32>(config.vtep_ifindex);
    cfg.udp_port = config.udp_port;
    cfg.encaps = config.encaps;
    cfg.pop_other_family = features.pop_other_family;
    cfg.redirect_peer = features.redirect_peer;
    cfg.xdp_frags = features.xdp_frags;
    cfg.tunnel_source = features.tunnel_source;
    for (const auto &check : abi::kChecks)
        cfg.checks[int{check.reason} - int{WEFT_R_FIRST_DROP}] = static_cast<__u8>(config.checks.of(check.reason));
    return cfg;
}

std::vector<MapPin> map_pins(const weft_bpf &skel) {
    const auto &maps = skel.maps;
    return {{maps.weft_leases, WEFT_PIN_LEASES},       {maps.weft_nodes, WEFT_PIN_NODES},
            {maps.weft_endpoints, WEFT_PIN_ENDPOINTS}, {maps.weft_state, WEFT_PIN_STATE},
            {maps.weft_counters, WEFT_PIN_COUNTERS},   {maps.weft_lease_stats, WEFT_PIN_LEASE_STATS},
            {maps.weft_events, WEFT_PIN_EVENTS},       {maps.weft_tolerated, WEFT_PIN_TOLERATED},
            {maps.weft_refused, WEFT_PIN_REFUSED},     {maps.weft_allowed, WEFT_PIN_ALLOWED}};
}

Result<SkelPtr<weft_bpf>> load_tc(const DatapathConfig &config, const Features &features) {
    SkelPtr<weft_bpf> skel(weft_bpf::open());
    if (!skel) return fail_errno(errno, "open tc programs");
    skel->rodata->cfg = make_cfg(config, features);

    const auto &maps = skel->maps;
    const auto sized =
        set_max_entries({maps.weft_leases, maps.weft_nodes, maps.weft_lease_stats}, std::max(config.max_leases, 1U));
    if (!sized) return std::unexpected(sized.error());
    for (const auto &[map, pin] : map_pins(*skel))
        if (auto set = set_pin(*map, config.bpf_dir, pin); !set) return fail_as_is(std::move(set));

    if (const int err = weft_bpf::load(skel.get()); err != 0) return fail_errno(-err, "load tc programs");
    return skel;
}

Result<SkelPtr<xdp_wire_bpf>> open_xdp(const DatapathConfig &config, const Features &features, const weft_bpf &tc) {
    SkelPtr<xdp_wire_bpf> skel(xdp_wire_bpf::open());
    if (!skel) return fail_errno(errno, "open XDP program");
    skel->rodata->cfg = make_cfg(config, features);
    if (features.xdp_frags) bpf_program__set_flags(skel->progs.weft_xdp_wire, BPF_F_XDP_HAS_FRAGS);

    bpf_map *ours = nullptr;
    bpf_object__for_each_map(ours, skel->obj) {
        const bpf_map *shared = bpf_object__find_map_by_name(tc.obj, bpf_map__name(ours));
        if (!shared || bpf_map__is_internal(ours)) continue; // read-only data is each object's own
        if (const int err = bpf_map__reuse_fd(ours, bpf_map__fd(shared)); err != 0)
            return fail_errno(-err, std::string(bpf_map__name(ours)) + ": share with XDP");
    }
    return skel;
}

} // namespace weft::datapath

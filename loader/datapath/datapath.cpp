// SPDX-License-Identifier: Apache-2.0
#include "datapath/datapath.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <net/if.h>
#include <spdlog/spdlog.h>

#include <array>
#include <string_view>
#include <utility>

#include "base/crash_point.hpp"
#include "datapath/features.hpp"
#include "datapath/fingerprint.hpp"
#include "datapath/libbpf_log.hpp"
#include "datapath/pins.hpp"
#include "datapath/skeletons.hpp"
#include "datapath/tc_attach.hpp"
#include "datapath/xdp_attach.hpp"

namespace weft {
namespace {

constexpr std::string_view kXdpProgram = "weft_xdp_wire";
constexpr std::string_view kPodVethPrefix = "weft";

/// The name of an interface of this namespace, empty when there is none.
std::string interface_name(int ifindex) {
    std::array<char, IF_NAMESIZE> name{};
    return if_indextoname(static_cast<unsigned>(ifindex), name.data()) ? name.data() : "";
}

/// tc wins on every driver measured so far: docs/adr/0001-where-to-pop.md.
DatapathMode resolve(DatapathMode wanted) { return wanted == DatapathMode::automatic ? DatapathMode::tc : wanted; }

/// What drivers answer to an XDP program that they cannot run: they have no native XDP, or not with this MTU.
bool is_of_the_driver(int code) { return code == EOPNOTSUPP || code == ERANGE || code == EINVAL; }

} // namespace

struct Datapath::Impl {
    DatapathConfig config;
    datapath::Features features;
    datapath::SkelPtr<weft_bpf> tc;
    datapath::SkelPtr<xdp_wire_bpf> xdp; ///< kept while attached by this process
    DatapathMode mode;
    bool xdp_alone = false; ///< nobody else's XDP program can join ours
    bool was_attached = false;

    struct Attachment {
        int program_fd;
        int ifindex;
        datapath::TcHook hook;
        std::string_view program;
    };

    [[nodiscard]] std::vector<Attachment> vtep_attachments() const;
    [[nodiscard]] Result<std::vector<Attachment>> wanted_attachments() const;
    [[nodiscard]] Status attach_one(const Attachment &wanted, std::vector<std::string> &done) const;
    [[nodiscard]] Status attach_xdp(std::vector<std::string> &done);
    [[nodiscard]] Status keep_pins(std::vector<std::string> &done) const;
    [[nodiscard]] Status remove_other_versions(std::vector<std::string> &done) const;
    [[nodiscard]] maps::MapRef<weft_ip, weft_endpoint> endpoints() const {
        return {bpf_map__fd(tc->maps.weft_endpoints), WEFT_PIN_ENDPOINTS};
    }
};

std::vector<Datapath::Impl::Attachment> Datapath::Impl::vtep_attachments() const {
    using enum datapath::TcHook;
    return {{bpf_program__fd(tc->progs.weft_from_host), config.vtep_ifindex, egress, "from_host"},
            {bpf_program__fd(tc->progs.weft_from_tunnel), config.vtep_ifindex, ingress, "from_tunnel"}};
}

Result<std::vector<Datapath::Impl::Attachment>> Datapath::Impl::wanted_attachments() const {
    using enum datapath::TcHook;
    const auto &programs = tc->progs;
    auto all = vtep_attachments();
    all.push_back({bpf_program__fd(programs.weft_from_wire), config.uplink_ifindex, ingress, "from_wire"});
    auto pods = endpoints().entries();
    if (!pods) return fail_as_is(std::move(pods));
    for (const auto &[addr, pod] : *pods) {
        const int ifindex = static_cast<int>(pod.ifindex);
        // An entry may outlive its veth; the index may even be another device's by now.
        if (interface_name(ifindex).starts_with(kPodVethPrefix) && ifindex != config.vtep_ifindex)
            all.push_back({bpf_program__fd(programs.weft_from_pod), ifindex, ingress, "from_pod"});
    }
    return all;
}

Status Datapath::Impl::attach_one(const Attachment &wanted, std::vector<std::string> &done) const {
    auto changed = datapath::attach_tc(wanted.program_fd, wanted.ifindex, wanted.hook);
    if (!changed) return fail_in(std::move(changed), wanted.program);
    if (*changed) done.push_back(fmt::format("{} on {}", wanted.program, interface_name(wanted.ifindex)));
    if (*changed) crash_point("hook-swapped");
    return {};
}

Status Datapath::Impl::attach_xdp(std::vector<std::string> &done) {
    if (mode == DatapathMode::tc) {
        auto detached = datapath::detach_xdp(kXdpProgram, config.uplink_ifindex);
        if (!detached) return fail_as_is(std::move(detached));
        if (*detached) done.push_back("xdp_wire taken off " + interface_name(config.uplink_ifindex));
        return {};
    }
    if (xdp && datapath::xdp_is_attached(kXdpProgram, config.uplink_ifindex)) return {};
    auto opened = datapath::open_xdp(config, features, *tc);
    if (!opened) return fail_as_is(std::move(opened));
    auto attached = datapath::attach_xdp(*(*opened)->obj, kXdpProgram, config.uplink_ifindex);
    if (!attached && attached.error().code() == EINVAL) { // libxdp's dispatcher may be older than the kernel
        opened = datapath::open_xdp(config, features, *tc);
        if (!opened) return fail_as_is(std::move(opened));
        if (auto alone = datapath::attach_xdp_alone(*(*opened)->obj, kXdpProgram, config.uplink_ifindex); alone)
            attached = std::move(alone);
        else
            spdlog::debug("datapath: {}", alone.error().sentence());
    }
    if (!attached) return attached;
    crash_point("xdp-swapped");
    xdp = std::move(*opened);
    xdp_alone = datapath::xdp_is_alone(config.uplink_ifindex);
    done.push_back("xdp_wire on " + interface_name(config.uplink_ifindex));
    return {};
}

/// The program's pin too: a pod that comes now gets the program of this load, and so no pod is missed before its swap.
Status Datapath::Impl::keep_pins(std::vector<std::string> &done) const {
    for (const auto &[map, pin] : datapath::map_pins(*tc)) {
        auto changed = datapath::keep_map_pin(bpf_map__fd(map), config.bpf_dir, pin);
        if (!changed) return fail_as_is(std::move(changed));
        if (*changed) done.push_back(fmt::format("pin {}", pin));
    }
    const int from_pod = bpf_program__fd(tc->progs.weft_from_pod);
    auto changed = datapath::keep_program_pin(from_pod, config.bpf_dir, WEFT_PIN_FROM_POD);
    if (!changed) return fail_as_is(std::move(changed));
    if (*changed && was_attached) done.push_back(fmt::format("pin {}", WEFT_PIN_FROM_POD));
    return {};
}

/// Last: until its hook's program is swapped, a packet finds its way in the old maps.
Status Datapath::Impl::remove_other_versions(std::vector<std::string> &done) const {
    std::vector<std::string_view> pins{WEFT_PIN_FROM_POD};
    for (const auto &[map, pin] : datapath::map_pins(*tc)) pins.push_back(pin);
    auto removed = datapath::remove_other_versions(config.bpf_dir, pins);
    if (!removed) return fail_as_is(std::move(removed));
    if (!removed->empty())
        done.push_back(
            fmt::format("instead of another version of weft, whose pins are removed, and its counters with them: {}",
                        fmt::join(*removed, " ")));
    return {};
}

Datapath::Datapath(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Datapath::Datapath(Datapath &&) noexcept = default;
Datapath &Datapath::operator=(Datapath &&) noexcept = default;
Datapath::~Datapath() = default;

Result<Datapath> Datapath::load(const DatapathConfig &config) {
    datapath::route_libbpf_log();
    if (auto made = datapath::make_bpf_dir(config.bpf_dir); !made) return fail_as_is(std::move(made));
    const auto features = datapath::probe_features();
    auto tc = datapath::load_tc(config, features);
    if (!tc) return fail_as_is(std::move(tc));
    crash_point("programs-loaded");
    return Datapath(std::make_unique<Impl>(Impl{config, features, std::move(*tc), nullptr, resolve(config.mode)}));
}

Result<std::vector<std::string>> Datapath::attach() {
    std::vector<std::string> done;
    if (auto pinned = impl_->keep_pins(done); !pinned) return fail_as_is(std::move(pinned));
    crash_point("pins-set");
    auto wanted = impl_->wanted_attachments();
    if (!wanted) return fail_as_is(std::move(wanted));
    for (const auto &one : *wanted) {
        auto attached = impl_->attach_one(one, done);
        const bool pod_vanished = !attached && attached.error().code() == ENODEV && one.program == "from_pod";
        if (!attached && !pod_vanished) return fail_as_is(std::move(attached));
    }
    if (auto attached = impl_->attach_xdp(done); !attached) {
        if (!is_of_the_driver(attached.error().code())) return fail_as_is(std::move(attached));
        spdlog::warn("datapath: {}; packets are decapsulated in tc", attached.error().sentence());
        impl_->mode = DatapathMode::tc;
    }
    crash_point("hooks-swapped");
    if (auto removed = impl_->remove_other_versions(done); !removed) return fail_as_is(std::move(removed));
    impl_->was_attached = true;
    return done;
}

Result<std::vector<std::string>> Datapath::missing() const {
    std::vector<std::string> lines;
    auto wanted = impl_->wanted_attachments();
    if (!wanted) return fail_as_is(std::move(wanted));
    for (const auto &one : *wanted) {
        const auto there = datapath::attached_tc(one.ifindex, one.hook);
        const auto ours = datapath::program_id(one.program_fd);
        if (!there && there.error().code() == ENODEV) continue; // a pod that is going
        if (!there) return std::unexpected(there.error());
        if (!ours) return std::unexpected(ours.error());
        if (*there != *ours) lines.push_back(fmt::format("{} on {}", one.program, interface_name(one.ifindex)));
    }
    const int uplink = impl_->config.uplink_ifindex;
    if (impl_->mode == DatapathMode::xdp && !datapath::xdp_is_attached(kXdpProgram, uplink))
        lines.push_back(fmt::format("xdp_wire on {}", interface_name(uplink)));
    for (const auto &[map, pin] : datapath::map_pins(*impl_->tc))
        if (!datapath::is_pinned_map(bpf_map__fd(map), impl_->config.bpf_dir, pin))
            lines.push_back(fmt::format("pin {}", pin));
    const int from_pod = bpf_program__fd(impl_->tc->progs.weft_from_pod);
    const auto from_pod_id = datapath::program_id(from_pod);
    if (from_pod_id && datapath::pinned_id(impl_->config.bpf_dir, WEFT_PIN_FROM_POD) != *from_pod_id)
        lines.push_back(fmt::format("pin {}", WEFT_PIN_FROM_POD));
    return lines;
}

Result<DatapathFingerprint> Datapath::fingerprint() const {
    const auto &maps = impl_->tc->maps;
    const auto of_map = [](const bpf_map *map) {
        return datapath::fingerprint_of_map(bpf_map__fd(map), bpf_map__name(map));
    };
    DatapathFingerprint all;
    for (const auto *map : {maps.weft_leases, maps.weft_nodes, maps.weft_state}) {
        const auto one = of_map(map);
        if (!one) return std::unexpected(one.error());
        all.maps += *one;
    }
    const auto endpoints = of_map(maps.weft_endpoints);
    if (!endpoints) return std::unexpected(endpoints.error());
    all.endpoints = *endpoints;
    for (const auto &key : allowed().keys()) all.endpoints += datapath::fingerprint_of_entry(&key, sizeof key, "", 0);
    const auto attachments = impl_->wanted_attachments();
    if (!attachments) return std::unexpected(attachments.error());
    for (const auto &place : *attachments)
        all.attachments = all.attachments * 31 + datapath::fingerprint_of_hook(place.ifindex, place.hook);
    all.attachments = all.attachments * 31 + datapath::fingerprint_of_xdp(impl_->config.uplink_ifindex);
    for (const auto &[map, pin] : datapath::map_pins(*impl_->tc))
        all.attachments = all.attachments * 31 + datapath::pinned_id(impl_->config.bpf_dir, pin);
    all.attachments = all.attachments * 31 + datapath::pinned_id(impl_->config.bpf_dir, WEFT_PIN_FROM_POD);
    return all;
}

Status Datapath::attach_vtep() {
    std::vector<std::string> done;
    for (const auto &one : impl_->vtep_attachments())
        if (auto attached = impl_->attach_one(one, done); !attached) return attached;
    return {};
}

DatapathMode Datapath::mode() const { return impl_->mode; }

std::vector<datapath::Lack> Datapath::lacks() const {
    auto all = datapath::lacks(impl_->features);
    if (impl_->config.mode == DatapathMode::xdp && impl_->mode == DatapathMode::tc)
        all.push_back({"native_xdp", "the uplink cannot run weft's XDP program: packets are decapsulated in tc"});
    if (impl_->mode == DatapathMode::xdp && impl_->xdp_alone)
        all.push_back({"xdp_dispatcher", "no other XDP program can be put on the uplink beside weft's"});
    return all;
}

int Datapath::program_fd(weft_hook hook) const {
    const auto &programs = impl_->tc->progs;
    switch (hook) {
    case WEFT_HOOK_FROM_POD: return bpf_program__fd(programs.weft_from_pod);
    case WEFT_HOOK_FROM_HOST: return bpf_program__fd(programs.weft_from_host);
    case WEFT_HOOK_FROM_WIRE: return bpf_program__fd(programs.weft_from_wire);
    case WEFT_HOOK_FROM_TUNNEL: return bpf_program__fd(programs.weft_from_tunnel);
    case WEFT_HOOK_XDP_WIRE: return impl_->xdp ? bpf_program__fd(impl_->xdp->progs.weft_xdp_wire) : -1;
    default: return -1;
    }
}

maps::MapRef<weft_lease_key, weft_lease> Datapath::leases() const {
    return {bpf_map__fd(impl_->tc->maps.weft_leases), WEFT_PIN_LEASES};
}
maps::MapRef<weft_ip, weft_node> Datapath::nodes() const {
    return {bpf_map__fd(impl_->tc->maps.weft_nodes), WEFT_PIN_NODES};
}
maps::MapRef<weft_ip, weft_endpoint> Datapath::endpoints() const { return impl_->endpoints(); }
maps::MapRef<weft_allowed_key, __u8> Datapath::allowed() const {
    return {bpf_map__fd(impl_->tc->maps.weft_allowed), WEFT_PIN_ALLOWED};
}
maps::MapRef<__u32, weft_state> Datapath::state() const {
    return {bpf_map__fd(impl_->tc->maps.weft_state), WEFT_PIN_STATE};
}

Status Datapath::clear_lease_stats(const std::vector<__u32> &slots) const {
    const int cpus = libbpf_num_possible_cpus();
    if (cpus < 0) return fail_errno(-cpus, "count CPUs");
    const std::size_t at_once = 1024;
    const std::vector<weft_lease_stats> zero(static_cast<std::size_t>(cpus) * std::min(at_once, slots.size()));
    const int fd = bpf_map__fd(impl_->tc->maps.weft_lease_stats);
    for (std::size_t done = 0; done < slots.size();) {
        auto count = static_cast<__u32>(std::min(at_once, slots.size() - done));
        const int err = count == 1 ? bpf_map_update_elem(fd, &slots[done], zero.data(), BPF_ANY)
                                   : bpf_map_update_batch(fd, &slots[done], zero.data(), &count, nullptr);
        if (err != 0) return fail_errno(-err, WEFT_PIN_LEASE_STATS);
        done += count;
    }
    return {};
}

} // namespace weft

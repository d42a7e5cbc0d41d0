// SPDX-License-Identifier: Apache-2.0
// The packet path: programs in their places and first there, sizes that fit, packets that were dropped.
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <set>

#include "base/unique_fd.hpp"
#include "config/backend.hpp"
#include "ctl/doctor/check.hpp"
#include "ctl/doctor/facts.hpp"
#include "ctl/doctor/judge.hpp"
#include "datapath/tc_attach.hpp"

namespace weft::ctl {
namespace {

bool attached(const NodeFacts &facts, unsigned ifindex, std::string_view hook) {
    return std::ranges::any_of(facts.attachments, [&](const Attachment &attachment) {
        return attachment.ifindex == ifindex && attachment.hook == hook;
    });
}

/// "weft.1 tc egress, vethab tc ingress": the places that lack a program.
std::string missing_programs(const NodeFacts &facts) {
    std::string missing;
    const auto need = [&](const net::Link &link, std::string_view hook) {
        if (!attached(facts, static_cast<unsigned>(link.index), hook))
            missing += fmt::format("{}{} {}", missing.empty() ? "" : ", ", link.name, hook);
    };
    if (facts.uplink) {
        need(*facts.uplink, "tc ingress");
        if (facts.said("/datapath") == "xdp") need(*facts.uplink, "xdp");
    }
    if (facts.vtep) {
        need(*facts.vtep, "tc egress");
        need(*facts.vtep, "tc ingress");
    }
    for (const auto &[address, endpoint] : facts.endpoints)
        if (const auto *link = facts.link(endpoint.ifindex)) need(*link, "tc ingress");
    return missing;
}

Finding programs_are_attached(const NodeFacts &facts) {
    if (!facts.pinned) return {CheckState::fail, facts.datapath_said, "start weftd"};
    if (!facts.uplink)
        return {CheckState::fail, "no uplink: weftd does not run, and there is no default route", "start weftd"};
    if (!facts.vtep)
        return {CheckState::fail, "weft.1 is not there", "a running weftd makes it, else its log says why not"};
    if (const auto missing = missing_programs(facts); !missing.empty())
        return {CheckState::fail, "no program on " + missing, "a running weftd puts them back within a minute"};
    return {CheckState::ok, fmt::format("on {}, weft.1 and {} pods", facts.uplink->name, facts.endpoints.size()), {}};
}

std::string name_of_program(std::uint32_t id) {
    const UniqueFd fd(bpf_prog_get_fd_by_id(id));
    bpf_prog_info info{};
    __u32 len = sizeof(info);
    if (!fd || bpf_obj_get_info_by_fd(fd.get(), &info, &len) != 0) return fmt::format("id {}", id);
    return info.name[0] ? info.name : fmt::format("id {}", id);
}

/// Programs of others that see a packet before ours does: on a tc hook, and at XDP, which comes first of all.
void add_forerunners(const net::Link &link, bool ours_has_xdp, std::string &found) {
    const auto add = [&](std::uint32_t id, const char *hook) {
        const auto name = name_of_program(id);
        // libxdp's dispatcher runs our program among others.
        if (!name.starts_with("weft_") && !name.starts_with("xdp_dispatcher"))
            found += fmt::format("{}{} on {} {}", found.empty() ? "" : ", ", name, link.name, hook);
    };
    __u32 xdp = 0;
    if (!ours_has_xdp && bpf_xdp_query_id(link.index, 0, &xdp) == 0 && xdp != 0) add(xdp, "xdp");
    for (const auto hook : {datapath::TcHook::ingress, datapath::TcHook::egress}) {
        const auto before = datapath::tcx_before_ours(link.index, hook);
        if (!before) continue;
        for (const auto id : *before) add(id, hook == datapath::TcHook::ingress ? "tc ingress" : "tc egress");
    }
}

Finding nobody_comes_first(const NodeFacts &facts) {
    std::string found;
    const bool xdp = facts.said("/datapath") == "xdp";
    if (facts.uplink) add_forerunners(*facts.uplink, xdp, found);
    if (facts.vtep) add_forerunners(*facts.vtep, false, found);
    for (const auto &[address, endpoint] : facts.endpoints)
        if (const auto *link = facts.link(endpoint.ifindex)) add_forerunners(*link, false, found);
    if (found.empty()) return {CheckState::ok, "no program of others sees packets before weft's", {}};
    return {CheckState::warn, found + " before weft's",
            "what it drops or redirects weft does not see and does not count; ask whoever attached it"};
}

/// Of the outer headers that this node's packets get.
unsigned longest_overhead(const NodeFacts &facts) {
    const auto own = encap_of_backend(facts.said("/backend"));
    unsigned longest = facts.daemon && own ? overhead_of(*own) : 0;
    for (const auto &[key, lease] : facts.leases)
        longest = std::max(longest, overhead_of(static_cast<weft_encap>(lease.encap)));
    return longest;
}

Finding sizes_fit(const NodeFacts &facts) {
    if (!facts.env || !facts.uplink) return {CheckState::warn, "no subnet.env, or no uplink", {}};
    auto finding = judge_mtu(facts.env->mtu, longest_overhead(facts), facts.uplink->name, facts.uplink->mtu);
    if (finding.state != CheckState::ok) return finding;
    std::string others;
    for (const auto &[address, endpoint] : facts.endpoints)
        if (const auto *link = facts.link(endpoint.ifindex); link && link->mtu != facts.env->mtu)
            others += fmt::format("{}{} ({}) has {}", others.empty() ? "" : ", ", abi::ip(address).to_string(),
                                  link->name, link->mtu);
    if (others.empty()) return finding;
    return {CheckState::warn, fmt::format("pods should have MTU {}, but {}", facts.env->mtu, others),
            "they were made before the MTU changed: make these pods anew"};
}

Finding little_is_dropped(const NodeFacts &facts) {
    if (!facts.daemon || !facts.daemon->contains("dropped_last_minute"))
        return {CheckState::warn, "weftd, which remembers the last minute, does not run",
                "weftctl counters --watch 1 shows rates"};
    std::map<std::string, std::uint64_t> drops;
    for (const auto &[name, packets] : (*facts.daemon)["dropped_last_minute"].items())
        if (packets.is_number_unsigned()) drops[name] = packets.get<std::uint64_t>();
    return judge_drops(drops);
}

constexpr Check kDatapathChecks[] = {
    {"programs", programs_are_attached},
    {"other programs", nobody_comes_first},
    {"mtu", sizes_fit},
    {"drops", little_is_dropped},
};

} // namespace

Finding judge_mtu(unsigned pod_mtu, unsigned overhead, const std::string &uplink, unsigned uplink_mtu) {
    const auto found = fmt::format("pods {}, {} {}", pod_mtu, uplink, uplink_mtu);
    if (pod_mtu + overhead <= uplink_mtu) return {CheckState::ok, found, {}};
    return {CheckState::fail, fmt::format("{}: {} bytes of outer header do not fit", found, overhead),
            fmt::format(
                "raise the MTU of {}, or lower \"MTU\" in the backend's configuration in etcd, and make the pods anew",
                uplink)};
}

Finding judge_drops(const std::map<std::string, std::uint64_t> &drops) {
    if (drops.empty()) return {CheckState::ok, "none in the last minute", {}};
    std::string found, advice;
    const auto advise = [&](std::string_view reason, std::string_view text) {
        const bool there = std::ranges::any_of(drops, [&](const auto &drop) { return drop.first.ends_with(reason); });
        if (there) advice += fmt::format("{}{}", advice.empty() ? "" : "; ", text);
    };
    for (const auto &[name, packets] : drops) found += fmt::format("{}{} {}", found.empty() ? "" : ", ", packets, name);
    advise("/unknown_sender",
           "unknown_sender: a node without a lease sends tunnel packets here: one whose lease ran out, whose "
           "public IP is not the address it sends from (NAT, --public-ip), or that belongs to another "
           "cluster; weftctl leases lists those that may");
    advise("/spoofed_source",
           "spoofed_source: a node sends packets of pods that are not in its lease: its subnet changed while "
           "pods kept addresses of the old one, or somebody forges them");
    advise("/wrong_vni", "wrong_vni: a node with another VNI in its configuration");
    advise("/wrong_inner_mac", "wrong_inner_mac: a node has an old VtepMAC of this one; its daemon is behind");
    if (advice.empty()) advice = "weftctl counters tells what each reason means";
    return {CheckState::warn, found + " in the last minute", advice};
}

std::span<const Check> datapath_checks() { return kDatapathChecks; }

} // namespace weft::ctl

// SPDX-License-Identifier: Apache-2.0
// The host's settings and devices that weft's packets depend on, and those that they do not.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <string>
#include <vector>

#include "ctl/doctor/check.hpp"
#include "ctl/doctor/facts.hpp"
#include "ctl/doctor/judge.hpp"
#include "datapath/features.hpp"
#include "net/sysctl.hpp"

namespace weft::ctl {
namespace {

/// "-" where the kernel has no such setting.
std::string setting(const std::string &path) {
    const auto value = net::read_sysctl(path);
    return value && *value ? **value : "-";
}

bool carries_ipv6(const NodeFacts &facts) {
    return std::ranges::any_of(facts.networks, [](const Net &net) { return !net.is_v4(); });
}

Finding forwarding_is_on(const NodeFacts &facts) {
    std::string on;
    std::vector<std::string_view> wanted;
    if (!carries_ipv6(facts) || facts.networks.front().is_v4()) wanted.emplace_back("net.ipv4.ip_forward");
    if (carries_ipv6(facts)) wanted.push_back("net.ipv6.conf.all.forwarding");
    for (const auto text : wanted) {
        std::string path(text);
        std::ranges::replace(path, '.', '/');
        const auto value = setting(path);
        if (value != "1")
            return {
                CheckState::fail,
                fmt::format("{}={}: no pod reaches anything that takes the host's stack", text, value),
                fmt::format("sysctl -w {}=1; weftd sets it when it looks next, look for who resets it (/etc/sysctl.d)",
                            text)};
        on += fmt::format("{}{}=1", on.empty() ? "" : ", ", text);
    }
    return {CheckState::ok, on, {}};
}

Finding ipv6_is_on(const NodeFacts &facts) {
    if (!carries_ipv6(facts)) return {CheckState::ok, "the cluster's configuration has no IPv6", {}};
    std::vector<std::string> names{"all"};
    for (const auto *link : {&facts.uplink, &facts.vtep})
        if (*link) names.push_back((*link)->name);
    for (const auto &name : names) {
        const auto value = setting(fmt::format("net/ipv6/conf/{}/disable_ipv6", name));
        if (value == "0") continue;
        if (value == "-")
            return {CheckState::fail, "this kernel runs without IPv6, and pods are to have it",
                    "remove ipv6.disable=1 from the kernel's command line"};
        return {CheckState::fail, fmt::format("net.ipv6.conf.{}.disable_ipv6={}: no pod's IPv6 gets out", name, value),
                fmt::format("sysctl -w net.ipv6.conf.{}.disable_ipv6=0; look for who sets it (/etc/sysctl.d)", name)};
    }
    return {CheckState::ok, fmt::format("net.ipv6.conf.{{{}}}.disable_ipv6=0", fmt::join(names, ",")), {}};
}

/// Packets of the tunnel come in on weft.1, where the route back to them leads too, so that even the strict check passes.
Finding rp_filter_is_no_obstacle(const NodeFacts &facts) {
    auto found = "net.ipv4.conf.all.rp_filter=" + setting("net/ipv4/conf/all/rp_filter");
    for (const auto *link : {&facts.uplink, &facts.vtep})
        if (*link)
            found += fmt::format(", {}={}", (*link)->name,
                                 setting(fmt::format("net/ipv4/conf/{}/rp_filter", (*link)->name)));
    return {CheckState::ok, found + "; weft works with 0, 1 and 2", {}};
}

Finding bridge_nf_call_is_no_matter(const NodeFacts &) {
    const auto value = setting("net/bridge/bridge-nf-call-iptables");
    if (value == "-") return {CheckState::ok, "br_netfilter is not loaded; weft does not need it, flannel does", {}};
    return {CheckState::ok,
            fmt::format("net.bridge.bridge-nf-call-iptables={}; weft's pods are on no bridge, either works", value),
            {}};
}

Finding conntrack_can_be_asked(const NodeFacts &) {
    if (datapath::probe_features().conntrack_lookup)
        return {CheckState::ok, "the kernel's conntrack can be asked by BPF programs", {}};
    return {CheckState::warn, "this kernel has no bpf_skb_ct_lookup: every packet takes the host's stack",
            "right, but slower; a kernel from 6.0 on with CONFIG_NF_CONNTRACK and BTF takes the fast path"};
}

Finding conntrack_has_room(const NodeFacts &) {
    return judge_conntrack(setting("net/netfilter/nf_conntrack_count"), setting("net/netfilter/nf_conntrack_max"));
}

Finding no_flannel_beside(const NodeFacts &facts) {
    const auto found = std::ranges::find_if(facts.links, [](const net::Link &link) {
        return link.kind == "vxlan" && link.name.starts_with("flannel") && link.up();
    });
    if (found == facts.links.end()) return {CheckState::ok, "no flannel device is up", {}};
    return {CheckState::fail, fmt::format("{} is up: it and weft.1 compete for the same tunnel packets", found->name),
            fmt::format("stop flanneld: weftd takes over what it leaves; of another port or VNI: ip link delete {}",
                        found->name)};
}

constexpr Check kHostChecks[] = {
    {"forwarding", forwarding_is_on},        {"ipv6", ipv6_is_on},
    {"rp_filter", rp_filter_is_no_obstacle}, {"bridge-nf-call", bridge_nf_call_is_no_matter},
    {"conntrack", conntrack_can_be_asked},   {"conntrack table", conntrack_has_room},
    {"flannel device", no_flannel_beside},
};

} // namespace

Finding judge_conntrack(std::string_view count, std::string_view max) {
    unsigned long used = 0, limit = 0;
    const auto read = [](std::string_view text, unsigned long &value) {
        return std::from_chars(text.data(), text.data() + text.size(), value).ec == std::errc{};
    };
    if (!read(count, used) || !read(max, limit) || limit == 0) return {CheckState::ok, "conntrack is not in use", {}};
    constexpr unsigned long kWarnPercent = 90;
    const auto found = fmt::format("{} of {} connections are tracked", used, limit);
    if (used >= limit)
        return {CheckState::fail, found + ": new ones are dropped",
                fmt::format("sysctl -w net.netfilter.nf_conntrack_max={}", 2 * limit)};
    if (used * 100 >= limit * kWarnPercent)
        return {CheckState::warn, found, fmt::format("sysctl -w net.netfilter.nf_conntrack_max={}", 2 * limit)};
    return {CheckState::ok, found, {}};
}

std::span<const Check> host_checks() { return kHostChecks; }

} // namespace weft::ctl

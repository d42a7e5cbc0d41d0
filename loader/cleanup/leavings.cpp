// SPDX-License-Identifier: Apache-2.0
#include "cleanup/leavings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <iterator>
#include <string_view>
#include <utility>

#include "abi.hpp"
#include "ctl/control_socket.hpp"
#include "datapath/tc_attach.hpp"
#include "datapath/xdp_attach.hpp"
#include "firewall/firewall.hpp"
#include "net/link.hpp"
#include "net/route.hpp"
#include "net/tc_filter.hpp"
#include "net/vxlan_device.hpp"

namespace weft {
namespace {

using datapath::TcHook;
namespace fs = std::filesystem;

constexpr std::string_view kXdpProgram = "weft_xdp_wire";
constexpr std::size_t kHostEndDigits = 11; ///< the CNI plugin names a pod's veth "weft" and so many hex digits
constexpr std::string_view kNote = "pod."; ///< and its note of what a pod has reserved by that and the interface's name
constexpr std::size_t kTempDigits = 6;     ///< mkstemp's
constexpr auto kPins = std::to_array<std::string_view>(
    {WEFT_PIN_LEASES, WEFT_PIN_NODES, WEFT_PIN_ENDPOINTS, WEFT_PIN_STATE, WEFT_PIN_COUNTERS, WEFT_PIN_LEASE_STATS,
     WEFT_PIN_EVENTS, WEFT_PIN_FROM_POD, WEFT_PIN_TOLERATED, WEFT_PIN_REFUSED, WEFT_PIN_ALLOWED});

/// "either it was there or it was not", where that makes no difference.
Status either_way(Result<bool> &&outcome) {
    if (!outcome) return fail_as_is(std::move(outcome));
    return {};
}

/// Runs `step` with a socket of its own: a leaving is removed long after it was found.
template <class Step> std::function<Status()> with_socket(const Step &step) {
    return [step]() -> Status {
        auto sock = net::NlSocket::open();
        if (!sock) return fail_as_is(std::move(sock));
        return step(*sock);
    };
}

bool is_host_ends_name(std::string_view name) {
    if (!name.starts_with("weft")) return false;
    name.remove_prefix(4);
    return name.size() == kHostEndDigits && name.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

/// A pod's interface: by its alias, or by its name for one whose ADD died before it gave one.
bool is_pod(const net::Link &link) {
    if (!link.paired() || !link.name.starts_with("weft")) return false;
    return link.alias.empty() ? is_host_ends_name(link.name) : link.alias.starts_with("weft:");
}

bool is_vtep(const net::Link &link) { return link.name == net::kVtepName && link.kind == "vxlan"; }

/// Takes our program off, and the qdisc that held it if it holds nothing any more: nobody else adds an empty one.
Status take_off(int ifindex, TcHook hook) {
    auto detached = datapath::detach_tc(ifindex, hook);
    if (!detached) return fail_as_is(std::move(detached));
    auto sock = net::NlSocket::open();
    if (!sock) return fail_as_is(std::move(sock));
    auto used = net::has_clsact_filters(*sock, ifindex);
    if (!used) return fail_as_is(std::move(used));
    return *used ? Status() : datapath::remove_clsact(ifindex);
}

/// weft.1 takes its own with it, and so do pods' interfaces when they go.
Status find_programs(const net::Link &link, PodsFate fate, std::vector<Leaving> &found) {
    if (is_vtep(link) || (is_pod(link) && fate == PodsFate::go)) return {};
    const int ifindex = link.index;
    if (datapath::xdp_is_attached(kXdpProgram, ifindex))
        found.push_back({.what = fmt::format("XDP program {} on {}", kXdpProgram, link.name),
                         .remove = [ifindex] { return either_way(datapath::detach_xdp(kXdpProgram, ifindex)); }});
    for (const auto hook : {TcHook::ingress, TcHook::egress}) {
        auto id = datapath::attached_tc(ifindex, hook);
        if (!id && id.error().code() == ENODEV) return {};
        if (!id) return fail_as_is(std::move(id));
        if (!*id) continue;
        const auto *side = hook == TcHook::ingress ? "ingress" : "egress";
        found.push_back({.what = fmt::format("program {} on {} (tc {})", **id, link.name, side),
                         .remove = [ifindex, hook] { return take_off(ifindex, hook); }});
    }
    return {};
}

/// One step for all of them: they go together or not at all, and doing it again is no error.
void find_firewall_rules(std::vector<Leaving> &found) {
    for (auto &rules : list_firewall_rules())
        found.push_back({.what = "firewall: " + std::move(rules), .remove = remove_firewall_rules});
}

/// Those that no interface of ours takes with it.
Status find_routes(net::NlSocket &sock, const std::vector<net::Link> &links, std::vector<Leaving> &found) {
    auto routes = net::list_routes(sock, {.protocol = net::kRouteProtocol});
    if (!routes) return fail_as_is(std::move(routes));
    for (const auto &route : *routes) {
        const bool goes_with_link = std::ranges::any_of(links, [&](const net::Link &link) {
            return link.index == route.ifindex && (is_pod(link) || is_vtep(link));
        });
        if (goes_with_link) continue;
        found.push_back({.what = "route " + net::to_string(route), .remove = with_socket([route](net::NlSocket &s) {
                                                                       return either_way(net::remove_route(s, route));
                                                                   })});
    }
    return {};
}

/// A route to a pod that stays would go with its source, the gateway's address on weft.1.
Status find_sources(net::NlSocket &sock, const std::vector<net::Link> &links, std::vector<Leaving> &found) {
    auto routes = net::list_routes(sock, {.protocol = net::kRouteProtocol});
    if (!routes) return fail_as_is(std::move(routes));
    for (auto route : *routes) {
        const auto link = std::ranges::find(links, route.ifindex, &net::Link::index);
        if (!route.source || link == links.end() || !is_pod(*link)) continue;
        auto what = fmt::format("source address of route {}", net::to_string(route));
        route.source.reset();
        found.push_back({.what = std::move(what), .remove = with_socket([route](net::NlSocket &s) {
                                                      return net::add_route(s, route, net::IfExists::replace);
                                                  })});
    }
    return {};
}

void find_interfaces(const std::vector<net::Link> &links, PodsFate fate, std::vector<Leaving> &found) {
    const auto add = [&](const net::Link &link, std::string what) {
        found.push_back({.what = std::move(what),
                         .remove = with_socket([index = link.index](net::NlSocket &sock) {
                             return either_way(net::delete_link(sock, index));
                         }),
                         .is_pod = is_pod(link)});
    };
    for (const auto &link : links)
        if (is_pod(link) && fate == PodsFate::go)
            add(link, fmt::format("pod interface {} ({})", link.name, link.alias));
    for (const auto &link : links)
        if (is_vtep(link)) add(link, fmt::format("interface {}, with its addresses and routes", link.name));
}

/// "leases_v1" -> "leases_v": another version of weft pins the same things under other numbers.
std::string_view stem_of(std::string_view pin) { return pin.substr(0, pin.find_last_not_of("0123456789") + 1); }

bool is_our_pin(std::string_view name) {
    if (name.ends_with("_new")) name.remove_suffix(4); // of a weftd that died while it replaced one
    return std::ranges::any_of(kPins, [&](std::string_view pin) { return stem_of(name) == stem_of(pin); });
}

std::function<Status()> remove_path(fs::path path) {
    return [path = std::move(path)]() -> Status {
        std::error_code err;
        fs::remove(path, err); // of a directory: only an empty one, others may keep things there
        if (err && err != std::errc::directory_not_empty) return fail_errno(err.value(), path.string());
        return {};
    };
}

void find_files(const fs::path &dir, std::string_view what, const std::function<bool(std::string_view)> &is_ours,
                std::vector<Leaving> &found) {
    std::error_code err;
    std::vector<std::string> names;
    for (fs::directory_iterator it(dir, err), end; !err && it != end; it.increment(err))
        names.push_back(it->path().filename().string());
    if (!fs::is_directory(dir, err)) return;
    std::ranges::sort(names);
    bool all_ours = true;
    for (const auto &name : names) {
        if (is_ours(name))
            found.push_back(
                {.what = fmt::format("{} {}", what, (dir / name).string()), .remove = remove_path(dir / name)});
        else
            all_ours = false;
    }
    if (all_ours) found.push_back({.what = fmt::format("directory {}", dir.string()), .remove = remove_path(dir)});
}

/// subnet.env, unless it is another's by now, and what a weftd that died while it wrote it has left. The directory goes with
/// the last of them, if it holds nothing else.
void find_subnet_file(const fs::path &file, bool is_ours, std::vector<Leaving> &found) {
    const auto name = file.filename().string(), unfinished = fmt::format(".{}.", name);
    std::vector<Leaving> ours;
    find_files(
        file.parent_path(), "file",
        [&](std::string_view one) {
            const bool temp = one.starts_with(unfinished) && one.size() == unfinished.size() + kTempDigits;
            return temp || (is_ours && one == name);
        },
        ours);
    if (std::ranges::any_of(ours, [](const Leaving &one) { return one.what.starts_with("file "); }))
        std::ranges::move(ours, std::back_inserter(found));
}

/// The daemon's own, and the plugin's notes of what pods have reserved, which stay as long as they do.
void find_run_files(const fs::path &run_dir, PodsFate fate, std::vector<Leaving> &found) {
    find_files(
        run_dir, "file",
        [fate](std::string_view name) {
            if (name == kSocketName || name == kLockName) return true;
            if (name == kLeaseName || name == kLeaseName + std::string(".new")) return true;
            return fate == PodsFate::go && name.starts_with(kNote) && is_host_ends_name(name.substr(kNote.size()));
        },
        found);
}

/// Another daemon of the same protocol has taken the node over, and the file with it.
bool flannel_is_here(const std::vector<net::Link> &links) {
    return std::ranges::any_of(links, [](const net::Link &link) { return link.name.starts_with("flannel"); });
}

} // namespace

Result<std::vector<Leaving>> find_leavings(const NodePaths &paths, PodsFate fate) {
    auto sock = net::NlSocket::open();
    if (!sock) return fail_as_is(std::move(sock));
    auto links = net::list_links(*sock);
    if (!links) return fail_as_is(std::move(links));

    std::vector<Leaving> found;
    for (const auto &link : *links)
        if (auto looked = find_programs(link, fate, found); !looked) return fail_as_is(std::move(looked));
    find_firewall_rules(found);
    if (auto looked = find_routes(*sock, *links, found); !looked) return fail_as_is(std::move(looked));
    if (fate == PodsFate::stay)
        if (auto looked = find_sources(*sock, *links, found); !looked) return fail_as_is(std::move(looked));
    find_interfaces(*links, fate, found);
    find_files(paths.bpf_dir, "pin", is_our_pin, found);
    find_subnet_file(paths.subnet_file, fate == PodsFate::go && !flannel_is_here(*links), found);
    find_run_files(paths.run_dir, fate, found);
    return found;
}

} // namespace weft

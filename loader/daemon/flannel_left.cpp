// SPDX-License-Identifier: Apache-2.0
#include "daemon/flannel_left.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>

#include "daemon/desired.hpp"
#include "firewall/flannel_rules.hpp"
#include "net/vxlan_device.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;

std::string device_name(const BackendConf &backend, bool v4) {
    return fmt::format("flannel{}.{}", v4 ? "" : "-v6", backend.vni);
}

bool is_flannels(const net::Link &link, const BackendConf &backend) {
    if (link.kind == "ipip") return link.name == "flannel.ipip";
    return link.kind == "vxlan" &&
           (link.name == device_name(backend, true) || link.name == device_name(backend, false));
}

/// Tells network namespaces apart: each has files of its own in /proc/PID/net. /proc/PID/ns/net would say it too, but only to
/// who may trace that process. 0: the process is gone.
ino_t network_of(const fs::path &process) {
    struct stat file{};
    return ::stat((process / "net/dev").c_str(), &file) == 0 ? file.st_ino : 0;
}

/// A process of that name in the calling thread's network namespace; those of other containers have others. Where /proc shows
/// this container's processes only, nobody is found.
std::optional<pid_t> find_process_here(std::string_view name) {
    std::error_code err;
    const auto here = network_of("/proc/thread-self");
    for (fs::directory_iterator it("/proc", err), end; !err && it != end; it.increment(err)) {
        const auto number = it->path().filename().string();
        pid_t pid = 0;
        if (std::from_chars(number.data(), number.data() + number.size(), pid).ec != std::errc()) continue;
        std::string comm;
        std::getline(std::ifstream(it->path() / "comm") >> std::ws, comm);
        if (comm == name && here != 0 && network_of(it->path()) == here) return pid;
    }
    return std::nullopt;
}

} // namespace

Result<FlannelLeft> read_flannel_left(net::NlSocket &sock, const BackendConf &backend, bool with_rules) {
    FlannelLeft left;
    auto links = net::list_links(sock);
    if (!links) return fail_as_is(std::move(links));
    for (const auto &link : *links) {
        if (link.name == "cni0" && link.kind == "bridge")
            left.bridge = {link, static_cast<std::size_t>(std::ranges::count(*links, link.index, &net::Link::master))};
        if (!is_flannels(link, backend)) continue;
        if (link.kind == "vxlan") {
            auto vxlan = net::find_vxlan(sock, link.name);
            if (!vxlan) return fail_as_is(std::move(vxlan));
            if (!*vxlan || (*vxlan)->device.port != backend.port) continue; // of another cluster's flannel
            if (link.up()) left.on_port.insert(link.name);
        }
        left.devices.push_back(link);
    }
    auto routes = net::list_routes(sock, {.protocol = RTPROT_BOOT});
    if (!routes) return fail_as_is(std::move(routes));
    for (const auto &route : *routes) {
        const bool by_device = std::ranges::count(left.devices, route.ifindex, &net::Link::index) > 0;
        if (route.type == net::RouteType::unicast && route.gateway && route.metric == 0 && !by_device)
            left.routes.push_back(route);
    }
    if (with_rules) left.rules = list_flannel_rules();
    left.daemon = find_process_here("flanneld");
    return left;
}

Result<std::optional<Mac>> read_vtep_mac(net::NlSocket &sock, const BackendConf &backend, bool v4) {
    for (const auto &name : {device_name(backend, v4), std::string(net::kVtepName)}) {
        auto found = net::find_vxlan(sock, name);
        if (!found) return fail_as_is(std::move(found));
        if (!*found || (*found)->device.port != backend.port) continue;
        const auto mac = (*found)->device.mac;
        // One that weft drew goes with the node's address. Two nodes that exchange addresses must not end up with one MAC.
        if (name == net::kVtepName && is_drawn_by_weft(mac)) return std::nullopt;
        return mac;
    }
    return std::nullopt;
}

Result<std::optional<Mac>> read_mac6_in_use(net::NlSocket &sock, const BackendConf &backend) {
    auto found = net::find_vxlan(sock, device_name(backend, false));
    if (!found) return fail_as_is(std::move(found));
    if (!*found || (*found)->device.port != backend.port || !(*found)->device.up) return std::nullopt;
    return (*found)->device.mac;
}

} // namespace weft

// SPDX-License-Identifier: Apache-2.0
#include "daemon/kernel.hpp"

#include <fmt/format.h>
#include <linux/neighbour.h>

#include <algorithm>
#include <charconv>
#include <iterator>
#include <tuple>

#include "base/crash_point.hpp"
#include "cni/allowed_note.hpp"
#include "cni/identity.hpp"
#include "daemon/lease_maps.hpp"
#include "daemon/urgency.hpp"
#include "firewall/flannel_rules.hpp"
#include "firewall/iptables.hpp"
#include "net/neigh.hpp"
#include "net/qdisc.hpp"
#include "net/sysctl.hpp"
#include "pinned.hpp"

namespace weft {
namespace {

auto fields(const DatapathConfig &c) {
    return std::tie(c.networks, c.subnets, c.nodes, c.vtep_mac, c.port, c.udp_port, c.encaps, c.vni, c.max_leases,
                    c.uplink_ifindex, c.vtep_ifindex, c.mode, c.fast_path, c.checks, c.bpf_dir);
}

/// An outcome that says whether something was there, where that makes no difference.
Status either_way(Result<bool> &&outcome) {
    if (!outcome) return fail_as_is(std::move(outcome));
    return {};
}

class HostKernel final : public Kernel {
public:
    HostKernel(net::NlSocket sock, std::filesystem::path run_dir)
        : sock_(std::move(sock)), run_dir_(std::move(run_dir)) {}

    Result<HostNetwork> read_network() override {
        auto links = net::list_links(sock_);
        if (!links) return fail_as_is(std::move(links));
        auto addresses = net::list_addresses(sock_);
        if (!addresses) return fail_as_is(std::move(addresses));
        auto routes = net::list_default_routes(sock_);
        if (!routes) return fail_as_is(std::move(routes));
        return HostNetwork{std::move(*links), std::move(*addresses), std::move(*routes)};
    }

    Result<net::RouteAnswer> route_to(const Ip &destination) override { return net::query_route(sock_, destination); }

    Result<HostState> read_host(const HostState &desired) override {
        HostState host;
        auto paths = desired.not_merely_on;
        for (const auto &[path, wanted] : desired.sysctls) paths.insert(path);
        for (const auto &path : paths) {
            auto value = net::read_sysctl(path);
            if (!value) return fail_as_is(std::move(value));
            host.sysctls[path] = std::move(*value);
        }
        auto vtep = net::find_vxlan(sock_, kVtepName);
        if (!vtep) return fail_as_is(std::move(vtep));
        if (*vtep) {
            host.vtep = (*vtep)->device;
            host.vtep_ifindex = (*vtep)->ifindex;
            if (auto read = read_vtep(host); !read) return fail_as_is(std::move(read));
        }
        if (auto read = read_routes(host); !read) return fail_as_is(std::move(read));
        return host;
    }

    Status perform(const Action &action) override {
        return std::visit([this](const auto &a) { return write(a); }, action);
    }

    Status perform_all(std::span<const Action> actions) override {
        while (!actions.empty()) {
            const auto kind = actions.front().index();
            const auto end = std::ranges::find_if(actions, [&](const Action &a) { return a.index() != kind; });
            const auto run = actions.first(static_cast<std::size_t>(end - actions.begin()));
            if (auto written = write_run(run); !written) return written;
            actions = actions.subspan(run.size());
        }
        return {};
    }

    std::vector<Result<NextHop>> resolve(const std::vector<Ip> &nodes, const Uplink &uplink) override {
        std::vector<Result<NextHop>> hops;
        if (nodes.empty()) return hops;
        const auto links = net::list_links(sock_);
        for (const auto &node : nodes)
            hops.push_back(links ? resolve(node, uplink.address(node.is_v4()), *links)
                                 : std::unexpected(links.error()));
        if ((loaded_.encaps & 1U << WEFT_ENCAP_DIRECT) == 0) return hops; // nobody compares MACs
        std::map<std::pair<int, Ip>, Mac> macs;
        if (const auto neighbours = net::list_neighbours(sock_))
            for (const auto &found : *neighbours)
                if (found.mac && net::is_valid(found)) macs[{found.ifindex, found.address}] = *found.mac;
        for (std::size_t i = 0; i < nodes.size(); ++i) {
            auto &hop = hops[i];
            if (!hop) continue;
            if (const auto known = macs.find({hop->ifindex, nodes[i]}); known != macs.end())
                hop->mac = known->second;
            else if (hop->neighbour == nodes[i]) // the answer comes as a change of the neighbour
                (void)net::ask_for_neighbour(sock_, hop->ifindex, nodes[i]);
        }
        return hops;
    }

    Status load(const DatapathConfig &config) override {
        if (datapath_ && fields(loaded_) == fields(config)) return {};
        auto datapath = Datapath::load(config);
        if (!datapath) return fail_as_is(std::move(datapath));
        datapath_ = std::move(*datapath);
        loaded_ = config;
        attached_ = false;
        return {};
    }

    Result<std::vector<std::string>> attach() override {
        if (!datapath_) return fail("no programs are loaded", ENOENT);
        auto lines = datapath_->attach();
        attached_ = lines.has_value();
        return lines;
    }

    Status attach_vtep() override {
        if (!datapath_) return fail("no programs are loaded", ENOENT);
        return datapath_->attach_vtep();
    }

    Result<std::vector<std::string>> read_missing() override {
        if (!datapath_) return fail("no programs are loaded", ENOENT);
        return datapath_->missing();
    }

    std::vector<datapath::Lack> datapath_lacks() const override {
        return datapath_ ? datapath_->lacks() : std::vector<datapath::Lack>();
    }

    std::string_view datapath_mode() const override {
        if (!datapath_ || !attached_) return "none";
        return datapath_->mode() == DatapathMode::xdp ? "xdp" : "tc";
    }

    Result<MapState> read_maps(const MapPart *part) override {
        if (!datapath_) return fail("no programs are loaded", ENOENT);
        return LeaseMaps::read(*datapath_, part);
    }

    std::optional<Drops> read_drops() const override {
        if (!datapath_) return std::nullopt;
        Drops drops;
        const auto counters = maps::PinnedMap<__u32, weft_counter>::open(loaded_.bpf_dir, WEFT_PIN_COUNTERS);
        if (!counters) return std::nullopt;
        for (const auto &hook : abi::kHooks)
            for (const auto &reason : abi::kReasons) {
                if (reason.verdict != WEFT_CLASS_DROP) continue;
                const auto element = static_cast<__u32>(hook.hook) * WEFT_R_COUNT + static_cast<__u32>(reason.reason);
                const auto values = maps::read_percpu<weft_counter>((*counters)->fd(), element, WEFT_PIN_COUNTERS);
                std::uint64_t packets = 0;
                if (values)
                    for (const auto &value : *values) packets += value.packets;
                if (packets > 0) drops[fmt::format("{}/{}", hook.label, reason.label)] = packets;
            }
        return drops;
    }

    Result<std::vector<PodState>> read_pods() override {
        if (!datapath_) return fail("no programs are loaded", ENOENT);
        auto entries = datapath_->endpoints().entries();
        if (!entries) return fail_as_is(std::move(entries));
        auto qdiscs = net::list_qdiscs(sock_);
        if (!qdiscs) return fail_as_is(std::move(qdiscs));
        auto neighbours = net::list_neighbours(sock_);
        if (!neighbours) return fail_as_is(std::move(neighbours));
        auto links = net::list_links(sock_);
        if (!links) return fail_as_is(std::move(links));
        auto routes = net::list_routes(sock_, {.protocol = net::kRouteProtocol});
        if (!routes) return fail_as_is(std::move(routes));
        auto pods = pod_states(*entries, *qdiscs, *neighbours, *links, *routes);
        mark_gone(pods, *links);
        const auto unlisted = unlisted_pods(pods, *links, *routes);
        if (!unlisted.empty()) {
            std::vector<std::pair<weft_ip, weft_endpoint>> found;
            for (const auto &pod : unlisted)
                if (const auto endpoint = endpoint_of(pod.veth)) found.emplace_back(abi::ip(pod.address), *endpoint);
            for (auto &pod : pod_states(found, *qdiscs, *neighbours, *links, *routes)) {
                pod.listed = false;
                pods.push_back(std::move(pod));
            }
        }
        return pods;
    }

    Result<AllowedState> read_allowed() override {
        if (!datapath_) return fail("no programs are loaded", ENOENT);
        AllowedState state{.listed = datapath_->allowed().keys(), .told = {}, .veths = {}};
        const auto notes = cni::allowed_notes(run_dir_);
        if (state.listed.empty() && notes.empty()) return state;
        const auto links = net::list_links(sock_);
        if (!links) return std::unexpected(links.error());
        for (const auto &link : *links) {
            if (!cni::is_host_end(link)) continue;
            state.veths.insert(link.index);
            for (const auto &note : notes)
                if (note.host_ifname == link.name)
                    std::ranges::copy(cni::allowed_keys(link.index, note.sources, note.any),
                                      std::back_inserter(state.told));
        }
        return state;
    }

    Result<Pulse> read_pulse(const std::map<std::string, std::optional<std::string>> &settings) override {
        if (!datapath_) return fail("no programs are loaded", ENOENT);
        auto datapath = datapath_->fingerprint();
        if (!datapath) return fail_as_is(std::move(datapath));
        Pulse pulse{.datapath = *datapath, .settings = {}};
        pulse.datapath.maps = lease_maps_.without_ours(pulse.datapath.maps);
        for (const auto &[path, wanted] : settings)
            if (auto value = net::read_sysctl(path)) pulse.settings[path] = std::move(*value);
        return pulse;
    }

    bool has_other_mac(int ifindex, const Ip &pod, const Mac &mac) override {
        if (!datapath_) return false;
        const auto entry = datapath_->endpoints().get(abi::ip(pod));
        return entry && *entry && static_cast<int>((*entry)->ifindex) == ifindex && abi::mac((*entry)->pod_mac) != mac;
    }

    Result<FlannelLeft> read_flannel(const BackendConf &backend, bool with_rules) override {
        return read_flannel_left(sock_, backend, with_rules);
    }
    Result<std::optional<Mac>> read_known_mac(const BackendConf &backend, bool v4) override {
        return read_vtep_mac(sock_, backend, v4);
    }
    Result<std::optional<Mac>> read_flannels_mac6(const BackendConf &backend) override {
        return read_mac6_in_use(sock_, backend);
    }

    Result<std::vector<std::string>> ensure_firewall(const FirewallConfig &wanted, FirewallChoice choice) override {
        if (auto opened = open_firewall(); !opened) return fail_as_is(std::move(opened));
        return firewall_->ensure(wanted, choice);
    }

    Result<std::vector<std::string>> read_firewall_differences(const FirewallConfig &wanted) override {
        if (auto opened = open_firewall(); !opened) return fail_as_is(std::move(opened));
        return firewall_->differences(wanted);
    }

    bool rules_change_silently() const override { return has_legacy_tables(); }

    FirewallState firewall_state() const override {
        if (!firewall_) return {};
        const auto in_use = firewall_->in_use();
        return {in_use ? to_string(*in_use) : "none", firewall_->complaint()};
    }

private:
    Status open_firewall() {
        if (firewall_) return {};
        auto opened = Firewall::open();
        if (!opened) return fail_as_is(std::move(opened));
        firewall_ = std::move(*opened);
        return {};
    }

    Status write_run(std::span<const Action> run) {
        if (std::holds_alternative<PutNode>(run.front()))
            return with_maps([&](const Datapath &d) { return lease_maps_.put_nodes(d, run); });
        if (std::holds_alternative<PutLease>(run.front()))
            return with_maps([&](const Datapath &d) { return lease_maps_.put_leases(d, run); });
        for (const auto &action : run)
            if (auto written = perform(action); !written) return written;
        return {};
    }

    Status read_vtep(HostState &host) {
        auto addresses = net::list_addresses(sock_, host.vtep_ifindex);
        if (!addresses) return fail_as_is(std::move(addresses));
        for (const auto &found : *addresses) host.addresses.insert(found.address);
        auto neighbours = net::list_neighbours(sock_, host.vtep_ifindex);
        if (!neighbours) return fail_as_is(std::move(neighbours));
        for (const auto &found : *neighbours)
            if ((found.state & NUD_PERMANENT) && found.mac) host.neighbours.emplace(found.address, *found.mac);
        return {};
    }

    Status read_routes(HostState &host) {
        auto routes = net::list_routes(sock_, {.protocol = net::kRouteProtocol});
        if (!routes) return fail_as_is(std::move(routes));
        for (auto &route : *routes) {
            const bool overlay = host.vtep_ifindex != 0 && route.ifindex == host.vtep_ifindex;
            if (!overlay && route.type == net::RouteType::unicast) continue; // a pod's
            route.ifindex = 0;
            host.routes.emplace(route_key(route), route);
        }
        return {};
    }

    /// As the plugin would have written it, but for what it was told of limits to come.
    std::optional<weft_endpoint> endpoint_of(const net::Link &veth) {
        const auto inside = net::find_peer(sock_, veth);
        if (!inside || !*inside) return std::nullopt;
        return weft_endpoint{.ifindex = static_cast<__u32>(veth.index),
                             .pod_mac = abi::mac((*inside)->mac),
                             .host_mac = abi::mac(veth.mac),
                             .flags = 0};
    }

    Result<NextHop> resolve(const Ip &node, const std::optional<Ip> &from, const std::vector<net::Link> &links) {
        auto route = net::query_route(sock_, node, from);
        if (!route) return fail_as_is(std::move(route));
        const auto what = fmt::format("route to {}", node.to_string());
        if (route->type == net::RouteType::local) return fail(what + ": it is this host's own address", EINVAL);
        if (route->type != net::RouteType::unicast) return fail(what + ": no unicast route", ENETUNREACH);
        const auto link = std::ranges::find(links, route->ifindex, &net::Link::index);
        if (link == links.end()) return fail(fmt::format("{}: link {} is gone", what, route->ifindex), ENODEV);
        if (link->name == kVtepName) return fail(fmt::format("{}: it leads through {} itself", what, kVtepName), ELOOP);
        return NextHop{route->gateway.value_or(node), route->ifindex,
                       route->mtu != 0 ? route->mtu : mtu_of(*link, node.is_v4())};
    }

    /// What a link carries: in IPv6 a router may have advertised less than the device takes.
    static unsigned mtu_of(const net::Link &link, bool v4) {
        const auto told = v4 ? std::nullopt : net::read_sysctl(net::link_sysctl("ipv6", link.name, "mtu")).value_or("");
        unsigned mtu = 0;
        if (told) std::from_chars(told->data(), told->data() + told->size(), mtu);
        return mtu != 0 ? std::min(mtu, link.mtu) : link.mtu;
    }

    Result<int> vtep_ifindex() {
        auto link = net::find_link(sock_, kVtepName);
        if (!link) return fail_as_is(std::move(link));
        if (!*link) return fail(fmt::format("there is no {}", kVtepName), ENODEV);
        return (*link)->index;
    }

    /// Two vxlan devices can have one port, but only one can be up: the kernel's "Address already in use" does not say who.
    Status port_is_free(const net::VxlanDevice &device, std::set<std::string> except = {}) {
        if (!device.up) return {};
        except.insert(device.name);
        auto holder = net::vxlan_holding_port(sock_, device.port, except);
        if (!holder) return fail_as_is(std::move(holder));
        if (!*holder) return {};
        return fail(fmt::format("{} is up on UDP port {}, which {} needs: stop what it belongs to and remove it (ip "
                                "link del {})",
                                **holder, device.port, device.name, **holder),
                    EADDRINUSE);
    }

    Status write(const SetSysctl &a) { return net::write_sysctl(a.path, a.value); }

    Status write(const ReplaceVtep &a) {
        if (auto free = port_is_free(a.device); !free) return free;
        auto old = net::find_link(sock_, a.device.name);
        if (!old) return fail_as_is(std::move(old));
        if (*old)
            if (auto removed = net::delete_link(sock_, (*old)->index); !removed) return fail_as_is(std::move(removed));
        if (auto made = net::create_vxlan(sock_, a.device); !made) return made;
        crash_point("device-made");
        for (const auto &setting : a.settings)
            if (auto set = write(setting); !set && set.error().code() != ENOENT) return set; // IPv6 may be off
        return write(ChangeVtep{a.device});
    }

    Status write(const ChangeVtep &a) {
        if (auto free = port_is_free(a.device); !free) return free;
        auto ifindex = vtep_ifindex();
        if (!ifindex) return fail_as_is(std::move(ifindex));
        return net::change_link(sock_, *ifindex,
                                {.up = a.device.up, .noarp = a.device.noarp, .mtu = a.device.mtu, .mac = a.device.mac});
    }

    Status write(const AddAddress &a) {
        auto ifindex = vtep_ifindex();
        if (!ifindex) return fail_as_is(std::move(ifindex));
        return net::set_address(sock_, *ifindex, a.address);
    }
    Status write(const RemoveAddress &a) {
        auto ifindex = vtep_ifindex();
        if (!ifindex) return fail_as_is(std::move(ifindex));
        return either_way(net::remove_address(sock_, *ifindex, a.address));
    }
    Status write(const SetNeighbour &a) {
        auto ifindex = vtep_ifindex();
        if (!ifindex) return fail_as_is(std::move(ifindex));
        return net::set_permanent_neighbour(sock_, *ifindex, a.address, a.mac);
    }

    Result<net::Route> on_vtep(net::Route route) {
        if (route.type != net::RouteType::unicast) return route;
        auto ifindex = vtep_ifindex();
        if (!ifindex) return fail_as_is(std::move(ifindex));
        route.ifindex = *ifindex;
        return route;
    }
    Status write(const AddRoute &a) {
        auto route = on_vtep(a.route);
        if (!route) return fail_as_is(std::move(route));
        return net::add_route(sock_, *route, net::IfExists::replace);
    }
    Status write(const RemoveRoute &a) {
        auto route = on_vtep(a.route);
        if (!route) return fail_as_is(std::move(route));
        return either_way(net::remove_route(sock_, *route));
    }

    /// What is about a map of leases.
    template <class MapAction>
    Status write(const MapAction &a)
        requires requires(LeaseMaps &maps, const Datapath &d) { maps.write(d, a); }
    {
        return with_maps([&](const Datapath &d) { return lease_maps_.write(d, a); });
    }

    /// The plugin writes to this map too: a pod that went meanwhile is not brought back, nor is its address's next holder
    /// given its entry.
    Status write(const PutEndpoint &a) {
        return with_maps([&](const Datapath &d) -> Status {
            const auto now = d.endpoints().get(abi::ip(a.address));
            if (!now) return std::unexpected(now.error());
            if (!*now || (*now)->ifindex != a.endpoint.ifindex) return {};
            auto put = d.endpoints().put(abi::ip(a.address), a.endpoint, BPF_EXIST);
            return !put && put.error().code() == ENOENT ? Status() : put;
        });
    }

    Status write(const ListPod &a) {
        return with_maps([&](const Datapath &d) -> Status {
            auto put = d.endpoints().put(abi::ip(a.address), a.endpoint, BPF_NOEXIST);
            return !put && put.error().code() == EEXIST ? Status() : put;
        });
    }
    Status write(const UnlistPod &a) {
        return with_maps([&](const Datapath &d) -> Status {
            const auto taken = d.endpoints().take(abi::ip(a.address));
            if (!taken) return std::unexpected(taken.error());
            if (!*taken || static_cast<int>((*taken)->ifindex) == a.ifindex) return {};
            return write(ListPod{a.address, **taken});
        });
    }

    Status write(const AllowSource &a) {
        return with_maps([&](const Datapath &d) { return d.allowed().put(a.key, 1); });
    }
    Status write(const DisallowSource &a) {
        return with_maps([&](const Datapath &d) { return either_way(d.allowed().erase(a.key)); });
    }

    Status write(const RoutePod &a) {
        auto added = net::add_route(sock_, a.route, net::IfExists::replace);
        return !added && added.error().code() == ENODEV ? Status() : added; // it is being deleted
    }

    Status write(const TakePlace &a) {
        const Urgency urgency;
        if (auto free = port_is_free(a.device, a.old); !free) return free;
        for (const auto &name : a.old) {
            auto link = net::find_link(sock_, name);
            if (!link) return fail_as_is(std::move(link));
            if (!*link) continue;
            if (auto down = net::change_link(sock_, (*link)->index, {.up = false}); !down) return down;
        }
        if (auto up = write(ChangeVtep{a.device}); !up) return up;
        for (const auto &[address, mac] : a.neighbours)
            if (auto set = write(SetNeighbour{address, mac}); !set) return set;
        for (const auto &route : a.routes)
            if (auto added = write(AddRoute{route}); !added) return added;
        return {};
    }
    Status write(const RemoveLink &a) { return either_way(net::delete_link(sock_, a.link.index)); }
    Status write(const RemoveOthersRoute &a) { return either_way(net::remove_route(sock_, a.route)); }
    Status write(const RemoveFlannelRules &) { return remove_flannel_rules(); }

    template <class F> Status with_maps(const F &use) {
        if (!datapath_) return fail("no programs are loaded", ENOENT);
        return use(*datapath_);
    }

    net::NlSocket sock_;
    std::filesystem::path run_dir_;
    std::optional<Datapath> datapath_;
    LeaseMaps lease_maps_;
    std::optional<Firewall> firewall_;
    DatapathConfig loaded_;
    bool attached_ = false;
};

} // namespace

Result<std::unique_ptr<Kernel>> open_kernel(const std::filesystem::path &run_dir) {
    auto sock = net::NlSocket::open();
    if (!sock) return fail_as_is(std::move(sock));
    return std::make_unique<HostKernel>(std::move(*sock), run_dir);
}

} // namespace weft

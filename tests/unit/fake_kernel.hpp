// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <set>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "daemon/kernel.hpp"

namespace weft {

/// A host as memory: what is performed is what is read, unless told to refuse or to forget.
class FakeKernel : public Kernel {
public:
    HostState host;
    MapState maps;
    std::vector<std::string> log; ///< "+ lease 10.5.3.0/24", "load", "attach"
    std::set<std::string> refuses, forgets, unreachable;
    int loads = 0, resolved = 0;
    bool attached = false;
    std::optional<DatapathConfig> config;

    Result<HostNetwork> read_network() override { return HostNetwork{}; }
    Result<net::RouteAnswer> route_to(const Ip &) override { return net::RouteAnswer{}; }
    Result<HostState> read_host(const HostState &desired) override {
        auto now = host;
        for (const auto &[path, value] : desired.sysctls)
            if (!now.sysctls.contains(path))
                now.sysctls[path] = path.contains("weft.1") && !host.vtep ? std::nullopt : std::optional("0");
        return now;
    }
    Status perform(const Action &action) override {
        const auto item = item_of(action);
        if (refuses.contains(item)) return fail(item + " refused", EPERM);
        log.push_back((is_removal(action) ? "- " : "+ ") + item);
        if (!forgets.contains(item)) std::visit([this](const auto &a) { write(a); }, action);
        return {};
    }
    Status perform_all(std::span<const Action> actions) override {
        ++bulks;
        for (const auto &action : actions)
            if (auto done = perform(action); !done) return done;
        return {};
    }
    int bulks = 0;
    std::vector<Result<NextHop>> resolve(const std::vector<Ip> &nodes, const Uplink &) override {
        std::vector<Result<NextHop>> hops;
        for (const auto &node : nodes) {
            ++resolved;
            if (unreachable.contains(node.to_string()))
                hops.push_back(fail_errno(ENETUNREACH, "route"));
            else
                hops.push_back(NextHop{node, 2, 1500});
        }
        return hops;
    }
    Status load(const DatapathConfig &wanted) override {
        if (refuses.contains("load")) return fail("load refused");
        if (config && config->vtep_ifindex == wanted.vtep_ifindex && config->subnets == wanted.subnets) return {};
        config = wanted;
        ++loads;
        log.push_back("load");
        return {};
    }
    Result<std::vector<std::string>> attach() override {
        if (refuses.contains("attach")) return fail("attach refused");
        log.push_back("attach");
        attached = true;
        return std::vector<std::string>{};
    }
    Status attach_vtep() override { return {}; }
    Result<FlannelLeft> read_flannel(const BackendConf &, bool) override { return FlannelLeft{}; }
    Result<std::optional<Mac>> read_known_mac(const BackendConf &, bool) override { return std::nullopt; }
    Result<std::vector<std::string>> read_missing() override {
        return attached ? std::vector<std::string>{} : std::vector<std::string>{"from_wire on eth0"};
    }
    std::string_view datapath_mode() const override { return attached ? "tc" : "none"; }
    std::vector<datapath::Lack> datapath_lacks() const override { return {}; }
    Result<MapState> read_maps(const MapPart *part) override {
        if (!part) ++whole_reads;
        auto found = maps;
        if (part) {
            std::erase_if(found.leases, [&](const auto &entry) { return !part->subnets.contains(entry.first); });
            std::erase_if(found.nodes, [&](const auto &entry) { return !part->nodes.contains(entry.first); });
        }
        return found;
    }
    int whole_reads = 0;
    std::optional<Drops> read_drops() const override { return Drops{}; }
    Result<std::vector<PodState>> read_pods() override { return pods; }
    Result<AllowedState> read_allowed() override { return allowed; }
    AllowedState allowed;
    Result<Pulse> read_pulse(const std::map<std::string, std::optional<std::string>> &) override { return Pulse{}; }
    bool has_other_mac(int, const Ip &, const Mac &) override { return false; }
    std::vector<PodState> pods;
    std::vector<std::string> pod_sources; ///< of the routes to them that were written
    Result<std::vector<std::string>> ensure_firewall(const FirewallConfig &wanted,
                                                     FirewallChoice wanted_choice) override {
        ++rule_checks;
        if (refuses.contains("rules")) return fail("rules refused");
        choice = wanted_choice;
        if (rules == wanted) return std::vector<std::string>{};
        rules = wanted;
        if (wanted.wants_nothing()) return std::vector<std::string>{};
        log.push_back("rules");
        return std::vector<std::string>{"written to nftables"};
    }
    Result<std::vector<std::string>> read_firewall_differences(const FirewallConfig &wanted) override {
        return rules == wanted ? std::vector<std::string>{} : std::vector<std::string>{"missing"};
    }
    Result<std::optional<Mac>> read_flannels_mac6(const BackendConf &) override { return std::nullopt; }
    bool rules_change_silently() const override { return false; }
    FirewallState firewall_state() const override { return {"nftables", complaint}; }
    FirewallConfig rules;
    FirewallChoice choice = FirewallChoice::automatic;
    std::string complaint;
    int rule_checks = 0;

private:
    void write(const SetSysctl &a) { host.sysctls[a.path] = a.value; }
    void write(const ReplaceVtep &a) {
        host = HostState{.sysctls = host.sysctls, .vtep = a.device, .vtep_ifindex = host.vtep_ifindex + 7};
        for (const auto &setting : a.settings) write(setting);
    }
    void write(const ChangeVtep &a) { host.vtep = a.device; }
    void write(const AddAddress &a) { host.addresses.insert(a.address); }
    void write(const RemoveAddress &a) { host.addresses.erase(a.address); }
    void write(const SetNeighbour &a) { host.neighbours[a.address] = a.mac; }
    void write(const AddRoute &a) { host.routes[route_key(a.route)] = a.route; }
    void write(const RemoveRoute &a) { host.routes.erase(route_key(a.route)); }
    void write(const SetPrefixLens &a) { maps.prefix_lens = a.lens; }
    void write(const PutNode &a) { maps.nodes[a.address] = a.node; }
    void write(const RemoveNode &a) { maps.nodes.erase(a.address); }
    void write(const PutLease &a) { maps.leases[a.subnet] = a.lease; }
    void write(const RemoveLease &a) { maps.leases.erase(a.subnet); }
    void write(const PutEndpoint &a) {
        for (auto &pod : pods)
            if (pod.address == a.address) pod.endpoint = a.endpoint;
    }
    void write(const ListPod &a) {
        for (auto &pod : pods)
            if (pod.address == a.address) pod.listed = true;
    }
    void write(const UnlistPod &a) {
        std::erase_if(pods, [&](const PodState &pod) { return pod.address == a.address && pod.gone; });
    }
    template <class T> void write(const T &) {} // what is about a flannel, which is not here
    void write(const RoutePod &a) {
        for (auto &pod : pods)
            if (host_net(pod.address) == a.route.destination) pod.cut_off = false;
        pod_sources.push_back(a.route.source ? a.route.source->to_string() : "");
    }
};

} // namespace weft

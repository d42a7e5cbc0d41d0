// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <new>

#include "cni/allowed_note.hpp"
#include "cni/endpoints.hpp"
#include "cni/identity.hpp"
#include "cni/ipam.hpp"
#include "cni/ipv6.hpp"
#include "cni/ops.hpp"
#include "cni/pod_netns.hpp"
#include "cni/problems.hpp"
#include "cni/step.hpp"
#include "cni/wiring.hpp"
#include "datapath/tc_attach.hpp"
#include "net/addr.hpp"
#include "net/neigh.hpp"
#include "net/netns.hpp"

namespace weft::cni {
namespace {

Done kernel(Status &&status, int code = kKernelRefused) { return status ? Done() : refuse(code, std::move(status)); }

/// An address that another pod has is for the operator to look at, whatever else for weft's.
Done not_published(Status &&status) {
    const int code = status.error().code() == EADDRINUSE ? kAddressInUse : kKernelRefused;
    return kernel(std::move(status), code);
}

/// What must be there before anything is made.
struct Ground {
    SubnetEnv env;
    Endpoints endpoints;
    UniqueFd program;
    net::Netns netns;
    net::NlSocket host;
    net::NlSocket pod;
};

Outcome<UniqueFd> open_program(const PluginConf &conf) {
    auto program = maps::open_pin(conf.bpf_dir, WEFT_PIN_FROM_POD);
    if (!program)
        return refuse(kTryAgainLater, "weftd has not set up this node since boot: " + program.error().sentence());
    return std::move(*program);
}

Outcome<Ground> prepare(const Context &context) {
    auto env = load_subnet(context.conf, kTryAgainLater);
    if (!env) return pass_on(std::move(env));
    auto endpoints = Endpoints::open(context.conf.bpf_dir);
    if (!endpoints)
        return refuse(kTryAgainLater, "weftd has not set up this node since boot: " + endpoints.error().sentence());
    auto program = open_program(context.conf);
    if (!program) return pass_on(std::move(program));
    auto netns = open_pod_netns(context);
    if (!netns) return pass_on(std::move(netns));
    auto host = net::NlSocket::open();
    if (!host) return refuse(kKernelRefused, std::move(host));
    auto pod = netns->open_socket();
    if (!pod) return refuse(kKernelRefused, std::move(pod));
    return Ground{std::move(*env),   std::move(*endpoints), std::move(*program),
                  std::move(*netns), std::move(*host),      std::move(*pod)};
}

/// One ADD under way. Contract: either every step ran, or undo() leaves nothing of them.
class Adding {
public:
    Adding(const Context &context, Ground &ground) : context_(context), ground_(ground), ipam_(make_ipam(context)) {
        wiring_.host_ifname = host_ifname(context.attachment());
        wiring_.alias = alias_of(context.conf.name, context.attachment());
        wiring_.ifname = context.call.ifname;
        wiring_.mtu = context.conf.mtu != 0 ? context.conf.mtu : ground.env.mtu;
    }

    [[nodiscard]] Done run(const Emit &emit);

private:
    Done take_steps(const Emit &emit);
    struct Step {
        const char *name;
        Done (Adding::*run)();
    };
    static const Step kSteps[];

    Done allocate();
    Done make_veth();
    Done name_veth();
    Done attach();
    Done open_host_end();
    Done route_from_host();
    Done address_pod();
    Done open_pod_end();
    Done route_from_pod();
    Done publish();
    Done settle();

    Done refuse_if_taken();
    Done find_ends();
    [[nodiscard]] Outcome<Mac> wanted_mac() const;
    [[nodiscard]] std::vector<Ip> ipv6_gateways() const;
    [[nodiscard]] CniResult result() const;
    void undo(Failure &failure);

    const Context &context_;
    Ground &ground_;
    std::unique_ptr<Ipam> ipam_;
    Wiring wiring_;
    CniResult from_ipam_;
    int host_index_ = 0, pod_index_ = 0;
    // What may be there: set before it is tried.
    bool allocated_ = false, veth_made_ = false;
    std::vector<Ip> published_;
};

// The host end opens before the pod's, so that the pod's has its carrier, and with it a working queue, from its first
// moment; the pod's comes up once everything of the host's is in place; traffic from elsewhere is let in last.
const Adding::Step Adding::kSteps[] = {
    {"ipam", &Adding::allocate},
    {"veth", &Adding::make_veth},
    {"alias", &Adding::name_veth},
    {"program", &Adding::attach},
    {"host-up", &Adding::open_host_end},
    {"host-route", &Adding::route_from_host},
    {"pod-address", &Adding::address_pod},
    {"pod-up", &Adding::open_pod_end},
    {"pod-route", &Adding::route_from_pod},
    {"endpoint", &Adding::publish},
    {"settle", &Adding::settle},
};

Done Adding::run(const Emit &emit) {
    auto done = refuse_if_taken();
    if (!done) return done; // nothing of ours to undo
    try {
        done = take_steps(emit);
    } catch (const std::bad_alloc &) {
        done = refuse(kOutOfMemory, "out of memory");
    }
    if (!done) undo(done.error());
    return done;
}

Done Adding::take_steps(const Emit &emit) {
    for (const Step &step : kSteps) {
        if (auto done = (this->*step.run)(); !done) return done;
        if (auto done = kernel(reached(step.name)); !done) return done;
    }
    const auto text =
        to_json(result(), context_.conf.version).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    return kernel(emit(text), kIoFailure);
}

Done Adding::refuse_if_taken() {
    auto inside = net::find_link(ground_.pod, wiring_.ifname);
    if (!inside) return refuse(kKernelRefused, std::move(inside));
    if (*inside)
        return refuse(kInvalidEnvironment,
                      fmt::format("CNI_IFNAME: {} already exists in {}", wiring_.ifname, context_.call.netns));
    auto outside = net::find_link(ground_.host, wiring_.host_ifname);
    if (!outside) return refuse(kKernelRefused, std::move(outside));
    if (*outside)
        return refuse(
            kInvalidEnvironment,
            fmt::format("CNI_CONTAINERID, CNI_IFNAME: {} exists on the host, left by an ADD without DEL: \"{}\"",
                        wiring_.host_ifname, (*outside)->alias));
    if (wiring_.alias.size() > net::kMaxAliasLen)
        return refuse(kInvalidEnvironment,
                      fmt::format("CNI_CONTAINERID: with the network's and the interface's name longer than {} octets",
                                  net::kMaxAliasLen));
    return {};
}

Outcome<Mac> Adding::wanted_mac() const {
    auto args = parse_args(context_.call.args);
    if (!args) return pass_on(std::move(args));
    const auto asked = context_.conf.requested_mac ? context_.conf.requested_mac : args->mac;
    const Mac mac = asked.value_or(pod_mac(wiring_.addresses.front().address));
    // The kernel would say "cannot assign requested address" of an address nobody named.
    if (mac == Mac{} || (mac.bytes[0] & 1) != 0)
        return refuse(kInvalidConfig, fmt::format("mac: {} is not a unicast address", mac.to_string()));
    return mac;
}

/// Empty for a pod without IPv6.
std::vector<Ip> Adding::ipv6_gateways() const {
    std::vector<Ip> gateways;
    for (const PodAddress &pod : wiring_.addresses)
        if (pod.gateway.is_v6() && std::ranges::find(gateways, pod.gateway) == gateways.end())
            gateways.push_back(pod.gateway);
    return gateways;
}

Done Adding::allocate() {
    allocated_ = true;
    auto given = ipam_->add();
    if (!given) {
        allocated_ = false;
        return pass_on(std::move(given));
    }
    from_ipam_ = std::move(*given);
    auto addresses = pod_addresses(from_ipam_, ground_.env);
    if (!addresses) return pass_on(std::move(addresses));
    wiring_.addresses = std::move(*addresses);
    if (!ipv6_gateways().empty())
        if (auto able = require_ipv6(wiring_.mtu); !able) return kernel(std::move(able));
    // Before anything is made: the host's route to the address would be the living pod's.
    for (const PodAddress &pod : wiring_.addresses)
        if (auto free = ground_.endpoints.refuse_if_held(ground_.host, pod.address, 0); !free)
            return not_published(std::move(free));
    wiring_.host_mac = host_mac(wiring_.addresses.front().address);
    auto mac = wanted_mac();
    if (!mac) return pass_on(std::move(mac));
    wiring_.pod_mac = *mac;
    return {};
}

Done Adding::make_veth() {
    veth_made_ = true; // also where the kernel's answer is lost
    net::PairSpec spec{.kind = context_.conf.netkit ? "netkit" : "veth",
                       .name = wiring_.host_ifname,
                       .mac = wiring_.host_mac,
                       .peer_name = wiring_.ifname,
                       .peer_mac = wiring_.pod_mac,
                       .peer_netns_fd = ground_.netns.fd(),
                       .mtu = wiring_.mtu};
    auto made = net::create_pair(ground_.host, spec);
    if (!made && made.error().code() == EOPNOTSUPP && context_.conf.netkit) {
        context_.remark(fmt::format("device: {}: veth in its place", made.error().sentence()));
        spec.kind = "veth";
        made = net::create_pair(ground_.host, spec);
    }
    if (!made && made.error().code() == EEXIST) veth_made_ = false; // not by us
    return made ? find_ends() : kernel(std::move(made));
}

Done Adding::find_ends() {
    auto outside = net::find_link(ground_.host, wiring_.host_ifname);
    if (!outside) return refuse(kKernelRefused, std::move(outside));
    auto inside = net::find_link(ground_.pod, wiring_.ifname);
    if (!inside) return refuse(kKernelRefused, std::move(inside));
    if (!*outside || !*inside)
        return refuse(kKernelRefused, fmt::format("{}: vanished right after it was made", wiring_.host_ifname));
    host_index_ = (*outside)->index;
    pod_index_ = (*inside)->index;
    return {};
}

Done Adding::name_veth() {
    auto named = net::change_link(ground_.host, host_index_, {.alias = wiring_.alias});
    if (!named) return kernel(std::move(named));
    return kernel(ipv6_gateways().empty() ? close_host_end(wiring_.host_ifname)
                                          : prepare_host_end(wiring_.host_ifname));
}

Done Adding::attach() {
    const int program = ground_.program.get();
    // TCX leaves the place of an ingress qdisc free for the plugin that will shape this pod, and costs an RCU grace period,
    // which nobody else should wait for.
    if (context_.conf.shaped) {
        auto attached = datapath::attach_tc(program, host_index_, datapath::TcHook::ingress);
        return attached ? Done() : refuse(kKernelRefused, std::move(attached));
    }
    return kernel(datapath::attach_clsact(program, host_index_, datapath::TcHook::ingress));
}

Done Adding::open_host_end() {
    auto opened = net::change_link(ground_.host, host_index_, {.up = true});
    if (!opened) return kernel(std::move(opened));
    const auto gateways = ipv6_gateways();
    return gateways.empty() ? Done() : kernel(answer_pod(ground_.host, host_index_, wiring_.host_mac, gateways));
}

Done Adding::route_from_host() {
    for (const PodAddress &pod : wiring_.addresses) {
        // Not for ever: a later plugin may give the pod another MAC, which will be found.
        auto known = net::suggest_neighbour(ground_.host, host_index_, pod.address, wiring_.pod_mac);
        if (!known) return kernel(std::move(known));
        // Replaced rather than refused: a route to an address that IPAM gave us is a dead pod's.
        auto route = host_route(pod.address, host_index_);
        // The host speaks to its pods as their gateway, as flannel's bridge does: an address in the pod network, which also a
        // pod without a default route can answer. No weft.1 yet, or another IPAM's gateway: the kernel chooses.
        route.source = pod.gateway;
        auto added = net::add_route(ground_.host, route, net::IfExists::replace);
        if (!added && added.error().code() == EINVAL) {
            route.source.reset();
            added = net::add_route(ground_.host, route, net::IfExists::replace);
        }
        if (!added) return kernel(std::move(added));
    }
    return {};
}

Done Adding::address_pod() {
    if (!ipv6_gateways().empty())
        if (auto prepared = prepare_pod_end(ground_.netns, wiring_.ifname); !prepared)
            return kernel(std::move(prepared));
    for (const PodAddress &pod : wiring_.addresses) {
        auto set = net::set_address(ground_.pod, pod_index_, host_net(pod.address));
        if (!set) return kernel(std::move(set));
    }
    return {};
}

/// A pod whose MAC changes says so (arp_notify, as the bridge plugin sets it). For IPv6 only from now on: coming up it would
/// speak with an address that is not published yet, as spoofed as any.
Done Adding::open_pod_end() {
    auto opened = net::change_link(ground_.pod, pod_index_, {.up = true, .arp_notify = true});
    if (!opened) return kernel(std::move(opened));
    return ipv6_gateways().empty() ? Done() : kernel(tell_of_new_macs(ground_.netns, wiring_.ifname));
}

Done Adding::route_from_pod() {
    auto present = net::list_routes(ground_.pod, {});
    if (!present) return refuse(kKernelRefused, std::move(present));
    std::string remark;
    wiring_.routes = pod_routes(from_ipam_, ground_.env, wiring_.addresses, *present, remark);
    if (!remark.empty()) context_.remark(fmt::format("{} {}: {}", context_.call.container_id, wiring_.ifname, remark));
    for (const PodAddress &pod : wiring_.addresses) {
        auto known = net::set_permanent_neighbour(ground_.pod, pod_index_, pod.gateway, wiring_.host_mac);
        if (!known) return kernel(std::move(known));
    }
    // Another interface of the pod may have the same gateway: both routes stand, the first one serves.
    for (const net::Route &route : gateway_routes(wiring_, pod_index_))
        if (auto added = net::add_route(ground_.pod, route, net::IfExists::append); !added)
            return kernel(std::move(added));
    for (const RouteConfig &route : wiring_.routes)
        if (auto added = net::add_route(ground_.pod, pod_route(route, pod_index_), net::IfExists::fail); !added)
            return kernel(std::move(added));
    return {};
}

Done Adding::publish() {
    const weft_endpoint endpoint{.ifindex = static_cast<__u32>(host_index_),
                                 .pod_mac = abi::mac(wiring_.pod_mac),
                                 .host_mac = abi::mac(wiring_.host_mac),
                                 .flags = context_.conf.shaped ? static_cast<__u32>(WEFT_EP_STACK) : 0U};
    const auto &conf = context_.conf;
    auto noted = note_allowed(conf.run_dir, wiring_.host_ifname, conf.allowed_sources, conf.any_source);
    if (!noted) context_.remark("weftd will not know what this pod is allowed: " + noted.error().sentence());
    if (auto allowed = ground_.endpoints.allow(host_index_, conf.allowed_sources, conf.any_source); !allowed)
        return not_published(std::move(allowed));
    for (const PodAddress &pod : wiring_.addresses) {
        published_.push_back(pod.address); // undo() takes away what is of this veth alone
        auto written = ground_.endpoints.publish(ground_.host, pod.address, endpoint);
        if (!written) return not_published(std::move(written));
    }
    return {};
}

/// Two things that the kernel does in the background, later than its answer says. The host end got its carrier when the pod's
/// came up, and its queue drops packets until that is dealt with: asking for the link makes kernels that can (6.14) do it at
/// once. And an IPv6 address has its local route from a work queue, which a busy machine lets wait: until then the pod drops
/// what is sent to it.
Done Adding::settle() {
    auto link = net::find_link(ground_.host, host_index_);
    if (!link) return refuse(kKernelRefused, std::move(link));
    if (!*link)
        return refuse(kKernelRefused, fmt::format("{}: the pod's namespace went away meanwhile", wiring_.host_ifname));
    for (const PodAddress &pod : wiring_.addresses)
        if (pod.address.is_v6())
            if (auto taken = await_own_address(ground_.pod, pod.address); !taken) return kernel(std::move(taken));
    return {};
}

CniResult Adding::result() const {
    // Plugins before us in the list are echoed; ours comes behind theirs.
    CniResult out = context_.conf.prev_result.value_or(CniResult{});
    out.interfaces.push_back({.name = wiring_.host_ifname, .mac = wiring_.host_mac.to_string(), .mtu = wiring_.mtu});
    out.interfaces.push_back({.name = wiring_.ifname,
                              .mac = wiring_.pod_mac.to_string(),
                              .mtu = wiring_.mtu,
                              .sandbox = context_.call.netns});
    for (const PodAddress &pod : wiring_.addresses)
        out.ips.push_back(
            {.address = host_net(pod.address), .gateway = pod.gateway, .interface = out.interfaces.size() - 1});
    out.routes.insert(out.routes.end(), wiring_.routes.begin(), wiring_.routes.end());
    if (!from_ipam_.dns.empty()) out.dns = from_ipam_.dns;
    if (!context_.conf.dns.empty()) out.dns = context_.conf.dns;
    return out;
}

/// In reverse, so that nothing points at what is gone; an address is given back last.
void Adding::undo(Failure &failure) {
    Problems problems;
    problems.note(forget_allowed(context_.conf.run_dir, wiring_.host_ifname));
    problems.note(ground_.endpoints.allow(host_index_, {}, false));
    for (const Ip &address : published_) problems.note(ground_.endpoints.withdraw(ground_.host, address, host_index_));
    if (veth_made_) {
        // By name: the index may not have been read yet.
        const auto link = net::find_link(ground_.host, wiring_.host_ifname);
        if (link && *link) problems.note(net::delete_link(ground_.host, (*link)->index));
        problems.note(link);
    }
    if (allocated_) problems.note(ipam_->del());
    if (problems.none()) return;
    if (!failure.details.empty()) failure.details += "; ";
    failure.details += "while undoing: " + problems.text();
}

} // namespace

Done add(const Context &context, const Emit &emit) {
    for (const std::string &remark : context.conf.remarks) context.remark(remark);
    auto args = parse_args(context.call.args);
    if (!args) return pass_on(std::move(args));
    auto ground = prepare(context);
    if (!ground) return pass_on(std::move(ground));
    return Adding(context, *ground).run(emit);
}

} // namespace weft::cni

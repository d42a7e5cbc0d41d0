// SPDX-License-Identifier: Apache-2.0
#include "cni/ipv6.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <initializer_list>
#include <thread>

#include "cni/identity.hpp"
#include "net/addr.hpp"
#include "net/neigh.hpp"
#include "net/route_query.hpp"
#include "net/sysctl.hpp"

namespace weft::cni {
namespace {

constexpr unsigned kMinIpv6Mtu = 1280; // RFC 8200: the kernel takes IPv6 off a link with less

struct Setting {
    std::string path;
    const char *value;
};

/// Looks before it writes: some of these wait for the lock that every change of the network's configuration takes.
Status apply(std::initializer_list<Setting> settings) {
    for (const Setting &setting : settings) {
        auto now = net::read_sysctl(setting.path);
        if (!now) return fail_as_is(std::move(now));
        if (*now == setting.value) continue;
        if (auto written = net::write_sysctl(setting.path, setting.value); !written) return written;
    }
    return {};
}

std::string of_link(const std::string &ifname, std::string_view setting) {
    return net::link_sysctl("ipv6", ifname, setting);
}

} // namespace

Status require_ipv6(unsigned mtu) {
    auto disabled = net::read_sysctl(of_link("all", "disable_ipv6"));
    if (!disabled) return fail_as_is(std::move(disabled));
    if (!*disabled) return fail("this kernel has no IPv6: /proc/sys/net/ipv6 is missing", EAFNOSUPPORT);
    if (*disabled != "0")
        return fail("IPv6 is off on this node: net.ipv6.conf.all.disable_ipv6 is " + **disabled, EACCES);
    if (mtu < kMinIpv6Mtu) return fail(fmt::format("mtu: IPv6 needs {}, found {}", kMinIpv6Mtu, mtu));
    return {};
}

Status close_host_end(const std::string &ifname) {
    const auto path = of_link(ifname, "disable_ipv6");
    auto disabled = net::read_sysctl(path);
    if (!disabled) return fail_as_is(std::move(disabled));
    if (!*disabled || *disabled == "1") return {};
    return net::write_sysctl(path, "1");
}

Status prepare_host_end(const std::string &ifname) {
    return apply({
        {of_link(ifname, "accept_ra"), "0"},
        {of_link(ifname, "addr_gen_mode"),
         "1"},                                // none: answer_pod() sets the address, which need not be tried out first
        {of_link(ifname, "forwarding"), "1"}, // only a router answers as a proxy
        {of_link(ifname, "proxy_ndp"), "1"},
        {fmt::format("net/ipv6/neigh/{}/proxy_delay", ifname), "0"}, // no other proxy could be meant
        {of_link(ifname, "disable_ipv6"), "0"},
    });
}

Status answer_pod(net::NlSocket &host, int host_ifindex, const Mac &host_mac, const std::vector<Ip> &gateways) {
    if (auto set = net::set_address(host, host_ifindex, host_net(link_local(host_mac))); !set) return set;
    for (const Ip &gateway : gateways)
        if (auto answers = net::set_proxy_neighbour(host, host_ifindex, gateway); !answers) return answers;
    return {};
}

Status prepare_pod_end(const net::Netns &pod, const std::string &ifname) {
    return pod.run([&] {
        return apply({
            {of_link("lo", "disable_ipv6"), "0"},
            {of_link(ifname, "accept_ra"), "0"},
            {of_link(ifname, "disable_ipv6"), "0"},
        });
    });
}

Status await_own_address(net::NlSocket &pod, const Ip &address) {
    using namespace std::chrono;
    constexpr microseconds kLongest = milliseconds(10);
    const auto end = steady_clock::now() + seconds(10);
    for (auto pause = microseconds(100); steady_clock::now() < end; pause = std::min(2 * pause, kLongest)) {
        const auto route = net::query_route(pod, address);
        if (route && route->type == net::RouteType::local) return {};
        std::this_thread::sleep_for(pause);
    }
    return fail(fmt::format("{}: the pod's kernel does not take packets for it", address.to_string()), ETIMEDOUT);
}

Status tell_of_new_macs(const net::Netns &pod, const std::string &ifname) {
    return pod.run([&] { return apply({{of_link(ifname, "ndisc_notify"), "1"}}); });
}

} // namespace weft::cni

// SPDX-License-Identifier: Apache-2.0
#include "wire.hpp"

#include <fmt/format.h>

namespace weft::test {
namespace {

Status set_wire_mode_at(const std::string &netns, std::string_view interface, WireMode mode) {
    const auto *features = mode == WireMode::offload  ? "tx on tso on gso on gro off"
                           : mode == WireMode::framed ? "tx on tso off gso off gro on"
                                                      : "tx off tso off gso off gro on";
    auto out = run_ok(words(fmt::format("ethtool -K {} {}", interface, features)), {.netns = netns});
    if (!out) return fail_as_is(std::move(out));
    return {};
}

} // namespace

std::string_view name_of(WireMode mode) {
    switch (mode) {
    case WireMode::offload: return "offload";
    case WireMode::framed: return "framed";
    case WireMode::bare: return "bare";
    }
    return "?";
}

Status connect(const Netns &a, std::string_view a_interface, const Netns &b, std::string_view b_interface) {
    auto made = a.ip(fmt::format("link add {0} type veth peer name {1} netns {2}\nlink set {0} up", a_interface,
                                 b_interface, b.name()));
    if (!made) return made;
    return b.ip(fmt::format("link set {} up", b_interface));
}

Status set_wire_mode(const Netns &ns, std::string_view interface, WireMode mode) {
    return set_wire_mode_at(ns.path(), interface, mode);
}

Result<Segment> Segment::create(std::string_view name, WireMode mode) {
    auto ns = Netns::create(name);
    if (!ns) return fail_as_is(std::move(ns));
    // A switch, nothing more: no snooping, no IPv6 of its own, and no netfilter even where br_netfilter is loaded.
    auto made = ns->ip("link add switch type bridge mcast_snooping 0\nlink set switch up");
    if (!made) return fail_as_is(std::move(made));
    for (const auto *hook : {"net.bridge.bridge-nf-call-iptables", "net.bridge.bridge-nf-call-ip6tables",
                             "net.bridge.bridge-nf-call-arptables"}) {
        auto off = ns->sysctl(hook, "0");
        if (!off && off.error().code() != ENOENT) return fail_as_is(std::move(off));
    }
    return Segment(std::move(*ns), mode);
}

Status Segment::plug(const Netns &node, std::string_view interface, std::string_view address) {
    const auto here = port(plugs_.size());
    if (auto made = connect(ns_, here, node, interface); !made) return made;
    if (auto joined = ns_.ip(fmt::format("link set {} master switch", here)); !joined) return joined;
    if (!address.empty()) {
        if (auto set = node.ip(fmt::format("address add {} dev {}", address, interface)); !set) return set;
    }
    plugs_.push_back({node.path(), std::string(interface)});
    return set_mode(mode_);
}

Status Segment::set_mode(WireMode mode) {
    mode_ = mode;
    for (std::size_t i = 0; i < plugs_.size(); ++i) {
        if (auto set = set_wire_mode(ns_, port(i), mode); !set) return set;
        // A switch passes frames on one by one; the nodes' ends are where frames may be put together.
        if (auto off = ns_.run(words(fmt::format("ethtool -K {} gro off", port(i)))); !off)
            return fail_as_is(std::move(off));
        if (auto set = set_wire_mode_at(plugs_[i].node_netns, plugs_[i].interface, mode); !set) return set;
    }
    return {};
}

} // namespace weft::test

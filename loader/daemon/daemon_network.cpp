// SPDX-License-Identifier: Apache-2.0
// What a Daemon does when the host's network changes, and which uplink it uses then.
#include <fmt/format.h>

#include <tuple>

#include "daemon/daemon.hpp"
#include "net/qdisc.hpp"
#include "net/route.hpp"

namespace weft {

void Daemon::on_change(const net::NetworkChange &change) {
    using enum net::NetworkChange::Kind;
    const bool of_vtep = change.link_name == kVtepName || change.ifindex == reconciler_.vtep_ifindex();
    const bool of_uplink = change.link_name == uplink_.name || change.ifindex == uplink_.ifindex;
    switch (change.kind) {
    case link:
    case address:
        if (change.link_name.starts_with("weft") && !of_vtep) pulse_.suspect_pods();
        if (change.kind == address && !of_vtep)
            reconciler_.check_surroundings();
        else if (change.link_name.starts_with("flannel") || (change.removed && reconciler_.has_flannels_bridge()))
            reconciler_.check_flannel(); // its own, or one that was on its bridge
        else if (!of_vtep && !of_uplink)
            return;
        if (of_uplink) {
            refresh_uplink();
            reconciler_.forget_next_hops();
        }
        if (change.kind == link) reconciler_.check_attachments();
        if (of_vtep) reconciler_.check_pods(); // their routes go with its addresses, and nobody says so
        break;
    case neighbour: {
        const bool of_pod = change.mac && kernel_.has_other_mac(change.ifindex, change.neighbour_address, *change.mac);
        const bool of_hop =
            change.mac && reconciler_.set_neighbour(change.ifindex, change.neighbour_address, *change.mac);
        if (!of_vtep && !of_pod && !of_hop) return;
        if (of_pod) reconciler_.check_pods();
        break;
    }
    case filter: // every pod comes with one, and not each goes with a word
        if (change.removed || of_uplink || of_vtep) pulse_.suspect_attachments();
        return;
    case qdisc:
        if (change.removed && change.qdisc_kind == "clsact") pulse_.suspect_attachments();
        if (!net::shapes(change.qdisc_kind)) return; // every pod's veth gets a clsact
        reconciler_.check_pods();
        break;
    case route:
        // Our own routes, and those of our pods, lead to no other node.
        if (change.protocol != net::kRouteProtocol) {
            reconciler_.forget_next_hops();
            reconciler_.check_surroundings();
        } else if (!change.removed) {
            return;
        } else {
            reconciler_.check_pods();
        }
        break;
    }
    reconciler_.check_host();
    schedule();
}

Result<Uplink> Daemon::choose_uplink(const HostNetwork &network, const NetConf &conf) {
    return select_uplink(options_.uplink, network,
                         [this](const Ip &destination) { return kernel_.route_to(destination); },
                         {.v4 = conf.enable_ipv4, .v6 = conf.enable_ipv6});
}

void Daemon::refresh_uplink() {
    if (!conf_) return; // chosen once it is known for what
    auto network = kernel_.read_network();
    if (!network) return;
    const auto uplink = choose_uplink(*network, *conf_);
    // What peers know goes on to be true, and the node to be known by the same name: IPv6 often comes up last.
    const bool gained_ip6 = uplink && uplink->v6 && uplink_.v4 && !uplink_.v6 && uplink->v4 == uplink_.v4;
    std::string said;
    if (!uplink)
        said = fmt::format("uplink: {}; {} stays in use", uplink.error().sentence(), uplink_.name);
    else if (!gained_ip6 && public_ips(*uplink) != public_ips(uplink_)) {
        if (!still_has(*network, uplink_)) return move_to(*uplink);
        said =
            fmt::format("uplink: {} would be chosen now and not {}, which stays in use as long as it is there: restart "
                        "weftd to change over",
                        public_ips(*uplink), public_ips(uplink_));
    }
    if (said != uplink_said_ && !said.empty()) log_->warn("{}", said);
    uplink_said_ = said;
    if (said.empty()) set_uplink(*uplink);
    if (!said.empty()) set_uplink(as_it_is_now(*network, uplink_));
    if (!gained_ip6) return;
    log_->info("uplink {} has an IPv6 address now: publishing public_ipv6={}", uplink_.name,
               uplink_.v6->public_ip.to_string());
    request_lease(own_);
}

/// The node's address has changed: its subnet stays, and peers learn where it is now.
void Daemon::move_to(const Uplink &uplink) {
    if (const auto unusable = why_unusable(*conf_, backend_, uplink); !unusable.empty()) {
        if (unusable != uplink_said_) log_->warn("uplink: {}; {} stays in use", unusable, uplink_.name);
        uplink_said_ = unusable;
        return;
    }
    log_->info("uplink: the address is now {} and not {}: publishing it", public_ips(uplink), public_ips(uplink_));
    uplink_said_.clear();
    set_uplink(uplink);
    request_lease(own_ ? own_ : previous_);
}

void Daemon::set_uplink(const Uplink &uplink) {
    if (uplink == uplink_) return;
    if (std::tie(uplink.name, uplink.ifindex, uplink.mtu) != std::tie(uplink_.name, uplink_.ifindex, uplink_.mtu))
        log_->info("uplink changed name={} ifindex={} mtu={}", uplink.name, uplink.ifindex, uplink.mtu);
    uplink_ = uplink;
    reconciler_.set_uplink(uplink_);
}

} // namespace weft

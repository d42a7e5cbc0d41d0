// SPDX-License-Identifier: Apache-2.0
// What a Daemon does about the network's configuration and its lease: asks for it, tells peers of this node, loses it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>

#include "daemon/daemon.hpp"

namespace weft {
namespace {

constexpr auto kNothingToGather = std::chrono::milliseconds(0); ///< what etcd tells together arrives together

/// What peers have to know besides the address.
nlohmann::json backend_data(const BackendConf &backend, const Mac &vtep_mac) {
    if (backend.encap != WEFT_ENCAP_VXLAN) return nullptr;
    return {{"VNI", backend.vni}, {"VtepMAC", vtep_mac.to_string()}};
}

/// The same device serves IPv6. Unlike the device of flannel's nodes it takes packets over IPv6 without a UDP checksum, which
/// BPF programs cannot compute; flannel ignores the field.
nlohmann::json backend_v6_data(const BackendConf &backend, const Mac &vtep_mac) {
    auto data = backend_data(backend, vtep_mac);
    if (!data.is_null()) data["ZeroCsum6"] = true;
    return data;
}

} // namespace

LeaseEvents Daemon::lease_events() {
    return {
        .config = [this](const NetConf &conf) { on_config(conf); },
        .acquired = [this](const Lease &own) { on_acquired(own); },
        .lost = [this](const Error &why) { on_lost(why); },
        .snapshot =
            [this](const std::vector<LeasePtr> &all) {
                etcd_log_->info("leases of other nodes listed count={}", all.size());
                reconciler_.set_leases(all);
                schedule(kNothingToGather);
            },
        .put =
            [this](const LeasePtr &lease) {
                etcd_log_->info("lease {} is there public_ip={} backend={}", lease->subnet.to_string(),
                                lease->attrs.public_ip.to_string(), lease->attrs.backend_type);
                reconciler_.put_lease(lease);
                schedule(kNothingToGather);
            },
        .removed =
            [this](const Subnet &subnet) {
                etcd_log_->info("lease {} is gone", subnet.to_string());
                reconciler_.remove_lease(subnet);
                schedule(kNothingToGather);
            },
        .status =
            [this](const std::string &sentence) {
                etcd_log_->warn("{}", sentence);
                etcd_said_ = sentence;
                tell();
            },
    };
}

void Daemon::on_config(const NetConf &conf) {
    auto host = kernel_.read_network();
    auto uplink = host ? choose_uplink(*host, conf) : std::unexpected(host.error());
    auto backend = parse_backend(conf);
    const auto unusable = !uplink    ? uplink.error().sentence()
                          : !backend ? backend.error().sentence()
                                     : why_unusable(conf, *backend, *uplink);
    if (!unusable.empty()) {
        log_->error("cannot work with the network configuration: {}", unusable);
        return stop(1);
    }
    for (const auto &remark : backend->remarks) log_->warn("{}", remark);
    if (conf.enable_ipv4 && conf.enable_ipv6 && !uplink->v6)
        log_->warn("uplink {} has no IPv6 address that other nodes can be told: IPv6 goes inside the IPv4 tunnel",
                   uplink->name);
    conf_ = conf;
    backend_ = *backend;
    set_uplink(*uplink);
    reconciler_.set_config(conf, backend_);
    keep_known_mac();
    std::vector<std::string> networks;
    for (const auto &network : reconciler_.networks()) networks.push_back(network.net.to_string());
    log_->info("network configuration read networks={} backend={} public_ip={}", fmt::join(networks, ","),
               backend_.name(), public_ips(uplink_));
    if (const auto found = read_previous_subnet(options_.subnet_file); found.v4 || found.v6)
        previous_ = Subnet{found.v4, found.v6};
    request_lease(previous_);
    tell();
}

/// Peers go on with what they know of this node, be it a flannel's that ran here until now.
void Daemon::keep_known_mac() {
    const auto known = kernel_.read_known_mac(backend_, conf_->enable_ipv4);
    if (!known)
        log_->warn("{}", known.error().sentence());
    else
        reconciler_.set_known_mac(*known);
    // Of flannel's two devices weft.1 takes the MAC of one: the other's stays true as long as that device does.
    flannels_mac6_.reset();
    if (conf_->enable_ipv4 && conf_->enable_ipv6)
        if (const auto mac6 = kernel_.read_flannels_mac6(backend_)) flannels_mac6_ = *mac6;
}

/// weft.1 is where flannel's devices were: what is no longer true of IPv6 is put right at once, for until then peers send it to
/// a MAC that nobody has.
void Daemon::on_taken_over() {
    flannels_mac6_.reset();
    request_lease(own_);
}

std::string Daemon::why_unusable(const NetConf &conf, const BackendConf &backend, const Uplink &uplink) const {
    const auto underlay = uplink.v6 ? Underlay::ipv6 : Underlay::ipv4;
    if (const unsigned mtu = backend.mtu.value_or(uplink.mtu), least = backend.least_mtu(underlay); mtu < least)
        return fmt::format("an MTU of {} leaves no room in the tunnel, {} is the least", mtu, least);
    if (backend.encap != WEFT_ENCAP_DIRECT) return {};
    for (const auto &[missing, family] :
         {std::pair(conf.enable_ipv4 && !uplink.v4, "IPv4"), std::pair(conf.enable_ipv6 && !uplink.v6, "IPv6")})
        if (missing)
            return fmt::format("uplink {} has no usable {} address, and {} carries {} over nothing else", uplink.name,
                               family, backend.name(), family);
    const auto behind_nat = [&](const auto &own) {
        if (!own || own->public_ip == own->address) return std::string();
        return fmt::format(
            "the public IP {} is not {}'s address {}: this node seems to be behind a NAT, which {} cannot work with",
            own->public_ip.to_string(), uplink.name, own->address.to_string(), backend.name());
    };
    const auto in_ip4 = behind_nat(uplink.v4);
    return in_ip4.empty() ? behind_nat(uplink.v6) : in_ip4;
}

void Daemon::request_lease(std::optional<Subnet> previous) {
    LeaseRequest request{
        .attrs = {.public_ip = uplink_.v4 ? uplink_.v4->public_ip : Ip4(),
                  .public_ipv6 = uplink_.v6 ? std::optional(uplink_.v6->public_ip) : std::nullopt,
                  .backend_type = backend_.encap == WEFT_ENCAP_UDP ? "" : std::string(backend_.name()),
                  .backend_data = conf_->enable_ipv4 ? backend_data(backend_, reconciler_.mac_of_vtep()) : nullptr,
                  .backend_v6_data = !conf_->enable_ipv6 ? nullptr
                                     : flannels_mac6_    ? backend_data(backend_, *flannels_mac6_)
                                                         : backend_v6_data(backend_, reconciler_.mac_of_vtep())},
        .previous = std::move(previous),
        .has_pods = has_pods(),
        .renew_margin = options_.renew_margin,
    };
    leases_->acquire(std::move(request), *conf_);
}

void Daemon::on_acquired(const Lease &own) {
    if (own_ && own.subnet.includes(*own_) && *own_ != own.subnet)
        log_->info("this node's subnet has a part more now old={} new={}", own_->to_string(), own.subnet.to_string());
    else if (own_ && *own_ != own.subnet)
        log_->error(
            "this node's subnet changed: pods of the old one are cut off until they are made anew old={} new={}",
            own_->to_string(), own.subnet.to_string());
    else if (!own_)
        log_->info("lease acquired subnet={}", own.subnet.to_string());
    own_ = own.subnet;
    if (!std::exchange(lost_, {}).empty()) log_->info("subnet {} is this node's again", own.subnet.to_string());
    reconciler_.set_own(own.subnet);
    tell();
    schedule();
}

void Daemon::on_lost(const Error &why) {
    // Somebody else has it, and would be cut off if we went on to tell others of it. Our pods keep what works without: each
    // other, this node, the world by masquerade. They cannot have addresses of another subnet, nor new pods any of this one.
    if (has_pods()) {
        log_->error("{}: pods that run keep their addresses, new ones are refused until it is free or they are gone",
                    why.sentence());
        lost_ = why.sentence();
        if (!own_) own_ = previous_; // of a node that comes back
        if (own_) reconciler_.set_own(*own_);
        tell();
        schedule();
        return;
    }
    log_->error("{}: asking for another subnet", why.sentence());
    request_lease(std::nullopt);
}

/// By their interfaces, of which the kernel knows before any map is there.
bool Daemon::has_pods() {
    const auto network = kernel_.read_network();
    return network &&
           std::ranges::any_of(network->links, [](const auto &link) { return link.alias.starts_with("weft:"); });
}

void Daemon::look_whether_pods_are_gone() {
    if (lost_.empty() || has_pods()) return;
    log_->info("no pod lives in the lost subnet any more: asking for another one");
    lost_.clear();
    request_lease(std::nullopt);
}

} // namespace weft

// SPDX-License-Identifier: Apache-2.0
// What a Daemon says of itself: to weftctl and to who asks for its health.
#include <fmt/chrono.h>
#include <fmt/format.h>

#include "daemon/daemon.hpp"

namespace weft {
namespace {

std::string utc(std::chrono::system_clock::time_point at) {
    return fmt::format("{:%FT%TZ}", fmt::gmtime(std::chrono::system_clock::to_time_t(at)));
}

/// Where the secrets are, and not what they are.
nlohmann::json etcd_files(const EtcdOptions &etcd) {
    auto files = nlohmann::json::object();
    for (const auto &[name, path] : {std::pair{"ca", &etcd.cafile},
                                     {"certificate", &etcd.certfile},
                                     {"key", &etcd.keyfile},
                                     {"password", &etcd.password_file}})
        if (!path->empty()) files[name] = *path;
    return files;
}

} // namespace

nlohmann::json Daemon::status() const {
    nlohmann::json unusable = nlohmann::json::object(), failing = nlohmann::json::object();
    for (const auto &[subnet, why] : reconciler_.unusable()) unusable[subnet.to_string()] = why;
    nlohmann::json settings = nlohmann::json::object(), lacks = nlohmann::json::object();
    for (const auto &[path, value] : reconciler_.settings()) settings[path] = value.value_or("");
    for (const auto &[item, failure] : reconciler_.failures())
        failing[item] = fmt::format("{} (tried {} times)", failure.sentence, failure.attempts);
    for (const auto &[feature, cost] : kernel_.datapath_lacks()) lacks[feature] = cost;
    const auto firewall = kernel_.firewall_state();
    nlohmann::json status{
        {"state", to_string(reconciler_.state())},
        {"since", utc(state_since_)},
        {"started", utc(started_at_)},
        {"version", WEFT_VERSION},
        {"uplink",
         {{"name", uplink_.name},
          {"ifindex", uplink_.ifindex},
          {"mac", uplink_.mac.to_string()},
          {"mtu", uplink_.mtu}}},
        {"datapath", kernel_.datapath_mode()},
        {"kernel_lacks", lacks},
        {"fast_path", options_.fast_path},
        {"checks_relaxed", to_string(options_.checks)},
        {"firewall", {{"rules", firewall.rules}, {"said", firewall.complaint}}},
        {"etcd",
         {{"lease", leases_ ? to_string(leases_->state()) : "idle"},
          {"said", etcd_said_},
          {"files", etcd_files(options_.etcd)}}},
        {"leases", {{"programmed", reconciler_.programmed()}, {"unusable", unusable}}},
        {"settings", settings},
        {"failing", failing},
        {"dropped_last_minute", drops_.last_minute(kernel_.read_drops().value_or(Drops{}))},
        {"subnet_file", options_.subnet_file.string()},
    };
    if (uplink_.v4) {
        status["uplink"]["address"] = uplink_.v4->address.to_string();
        status["public_ip"] = uplink_.v4->public_ip.to_string();
    }
    if (uplink_.v6) {
        status["uplink"]["ipv6_address"] = uplink_.v6->address.to_string();
        status["public_ipv6"] = uplink_.v6->public_ip.to_string();
    }
    if (!lost_.empty()) status["lost"] = lost_;
    if (conf_) status["backend"] = backend_.name();
    if (conf_ && conf_->enable_ipv4) status["network"] = conf_->network.to_string();
    if (conf_ && conf_->enable_ipv6) status["ipv6_network"] = conf_->ipv6_network.to_string();
    if (conf_ && backend_.encap == WEFT_ENCAP_VXLAN) status.update({{"vni", backend_.vni}, {"port", backend_.port}});
    if (conf_ && backend_.encap == WEFT_ENCAP_UDP) status.update({{"port", backend_.udp_port}});
    if (const auto *view = reconciler_.view()) {
        status["mtu"] = view->overlay_mtu();
        if (view->own.v4) status["subnet"] = view->own.v4->to_string();
        if (view->own.v6) status["ipv6_subnet"] = view->own.v6->to_string();
    }
    return status;
}

nlohmann::json Daemon::audit(bool repair) {
    const auto found = reconciler_.audit(std::chrono::steady_clock::now());
    if (!found) return {{"error", found.error().sentence()}};
    if (!repair || found->empty()) return {{"found", *found}, {"left", *found}};
    full_resync();
    apply();
    const auto left = reconciler_.audit(std::chrono::steady_clock::now());
    if (!left) return {{"error", left.error().sentence()}};
    return {{"found", *found}, {"left", *left}};
}

HealthServer::Report Daemon::health() const {
    const bool ready = reconciler_.ready() && subnet_file_.published();
    const nlohmann::json body{
        {"ready", ready},
        {"state", to_string(reconciler_.state())},
        {"etcd", {{"lease", leases_ ? to_string(leases_->state()) : "idle"}, {"said", etcd_said_}}},
        {"lease", own_ ? nlohmann::json(own_->to_string()) : nlohmann::json()},
        {"datapath", kernel_.datapath_mode()},
        {"failing", reconciler_.failures().size()},
    };
    return {ready, body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)};
}

} // namespace weft

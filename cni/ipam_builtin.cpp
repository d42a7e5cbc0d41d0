// SPDX-License-Identifier: Apache-2.0
#include "cni/ipam_builtin.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

namespace weft::cni {
namespace {

std::filesystem::path store_dir(const PluginConf &conf) {
    return (conf.ipam.data_dir.empty() ? conf.data_dir : conf.ipam.data_dir) / conf.name;
}

/// The one address that this attachment should get, if any was asked for.
Outcome<std::optional<Ip4>> requested_ip(const Context &context) {
    auto args = parse_args(context.call.args);
    if (!args) return pass_on(std::move(args));
    std::vector<std::string> wanted;
    std::optional<Ip4> first = args->ip;
    if (first) wanted.push_back(first->to_string());
    for (const Ip4 &ip : context.conf.requested_ips) {
        if (args->ip == ip) continue;
        if (!first) first = ip;
        wanted.push_back(ip.to_string());
    }
    // A subnet has one range and a pod one address of it.
    if (wanted.size() > 1)
        return refuse(kNoAddress, fmt::format("failed to allocate all requested IPs: {}", fmt::join(wanted, ", ")),
                      "one address is given to each interface");
    return first;
}

} // namespace

BuiltinIpam::BuiltinIpam(const Context &context) : context_(context), store_(store_dir(context.conf)) {}

Outcome<CniResult> BuiltinIpam::add() {
    auto env = load_subnet(context_.conf, kTryAgainLater);
    if (!env) return pass_on(std::move(env));
    auto wanted = requested_ip(context_);
    if (!wanted) return pass_on(std::move(wanted));
    auto given = store_.allocate(range_of(*env->subnet), context_.attachment(), *wanted);
    if (!given) return refuse(kNoAddress, std::move(given));
    CniResult result;
    result.ips.push_back({.address = prefix_of(Net4(*given, env->subnet->prefix_length())),
                          .gateway = IpAddress(env->subnet->address())});
    result.routes = context_.conf.ipam.routes;
    return result;
}

Done BuiltinIpam::del() {
    auto released = store_.release(context_.attachment());
    return released ? Done() : refuse(kIncomplete, std::move(released));
}

Done BuiltinIpam::check() {
    auto held = store_.held_by(context_.attachment());
    if (!held) return refuse(kCheckFailed, std::move(held));
    for (const IpConfig &ip : context_.conf.prev_result->ips) {
        const auto text = ip.address.address.to_string();
        // Other plugins' addresses are none of this store's: only if nothing is held at all is something wrong.
        if (std::ranges::find(*held, text, &StoredAddress::file) != held->end()) return {};
    }
    return refuse(kCheckFailed, fmt::format("IPAM: no address of prevResult is allocated to {} {}",
                                            context_.call.container_id, context_.call.ifname));
}

Done BuiltinIpam::status() {
    auto env = load_subnet(context_.conf, kNotAvailable);
    if (!env) return pass_on(std::move(env));
    const auto range = range_of(*env->subnet);
    auto free = store_.has_free(range);
    if (!free) return refuse(kNotAvailable, std::move(free));
    if (!*free) return refuse(kNotAvailable, "no IP addresses available in range set: " + range.to_string());
    return {};
}

Outcome<std::vector<Attachment>> BuiltinIpam::gc() {
    auto released = store_.release_others(*context_.conf.valid_attachments);
    if (!released) return refuse(kIncomplete, std::move(released));
    std::vector<Attachment> gone;
    for (const auto &held : *released)
        if (!held.container_id.empty() && !held.ifname.empty()) gone.push_back({held.container_id, held.ifname});
    return gone;
}

std::vector<Ip4> BuiltinIpam::known_addresses() {
    std::vector<Ip4> addresses;
    const auto held = store_.held_by(context_.attachment());
    if (!held) return addresses;
    for (const auto &stored : *held)
        if (stored.address) addresses.push_back(*stored.address);
    return addresses;
}

} // namespace weft::cni

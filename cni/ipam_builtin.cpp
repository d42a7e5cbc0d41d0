// SPDX-License-Identifier: Apache-2.0
#include "cni/ipam_builtin.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace weft::cni {
namespace {

std::filesystem::path store_dir(const PluginConf &conf) {
    return (conf.ipam.data_dir.empty() ? conf.data_dir : conf.ipam.data_dir) / conf.name;
}

/// The addresses that this attachment should get, as far as any were asked for.
Outcome<std::vector<Ip>> requested_ips(const Context &context) {
    auto args = parse_args(context.call.args);
    if (!args) return pass_on(std::move(args));
    auto wanted = context.conf.requested_ips;
    if (args->ip && std::ranges::find(wanted, *args->ip) == wanted.end()) wanted.push_back(*args->ip);
    return wanted;
}

/// A range set for each family: the n-th of host-local's configuration, as flannel's plugin writes it.
std::vector<AddressRange> ranges_of(const SubnetEnv &env) {
    std::vector<AddressRange> ranges;
    for (const Net &subnet : env.subnets()) ranges.push_back(range_of(subnet));
    return ranges;
}

} // namespace

BuiltinIpam::BuiltinIpam(const Context &context) : context_(context), store_(store_dir(context.conf)) {}

Outcome<CniResult> BuiltinIpam::add() {
    auto env = load_subnet(context_.conf, kTryAgainLater);
    if (!env) return pass_on(std::move(env));
    auto wanted = requested_ips(context_);
    if (!wanted) return pass_on(std::move(wanted));
    auto given = store_.allocate(ranges_of(*env), context_.attachment(), std::move(*wanted));
    if (!given)
        return refuse(kNoAddress, given.error().sentence(),
                      given.error().code() == ERANGE ? "an interface gets one address of each subnet of its node" : "");
    CniResult result;
    const auto subnets = env->subnets();
    for (std::size_t i = 0; i < subnets.size(); ++i)
        result.ips.push_back(
            {.address = Net((*given)[i], subnets[i].prefix_length()), .gateway = subnets[i].address()});
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
    const CniResult &prev = *context_.conf.prev_result;
    for (const IpConfig &ip : prev.ips) {
        if (!is_of(prev, ip, context_.call.ifname)) continue;
        if (std::ranges::find(*held, ip.address.address(), &StoredAddress::address) == held->end())
            return refuse(kCheckFailed,
                          fmt::format("IPAM: {} is not allocated to {} {}", ip.address.address().to_string(),
                                      context_.call.container_id, context_.call.ifname));
    }
    return {};
}

Done BuiltinIpam::status() {
    auto env = load_subnet(context_.conf, kNotAvailable);
    if (!env) return pass_on(std::move(env));
    for (const AddressRange &range : ranges_of(*env)) {
        auto free = store_.has_free(range);
        if (!free) return refuse(kNotAvailable, std::move(free));
        if (!*free) return refuse(kNotAvailable, "no IP addresses available in range set: " + range.to_string());
    }
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

std::vector<Ip> BuiltinIpam::known_addresses() {
    std::vector<Ip> addresses;
    const auto held = store_.held_by(context_.attachment());
    if (!held) return addresses;
    for (const auto &stored : *held) addresses.push_back(stored.address);
    return addresses;
}

} // namespace weft::cni

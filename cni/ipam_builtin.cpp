// SPDX-License-Identifier: Apache-2.0
#include "cni/ipam_builtin.hpp"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>

namespace weft::cni {
namespace {

const std::filesystem::path &data_dir(const PluginConf &conf) {
    return conf.ipam.data_dir.empty() ? conf.data_dir : conf.ipam.data_dir;
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

BuiltinIpam::BuiltinIpam(const Context &context)
    : context_(context), store_(data_dir(context.conf) / context.conf.name) {}

/// A note that cannot be made keeps no pod from its address: DEL and GC do without.
void BuiltinIpam::take_note() {
    struct stat netns{};
    Reservation what{.network = context_.conf.name,
                     .owner = context_.attachment(),
                     .data_dir = data_dir(context_.conf),
                     .netns = context_.call.netns};
    if (::stat(what.netns.c_str(), &netns) == 0) what.netns_inode = netns.st_ino;
    auto made = ReservationNote::make(context_.conf.run_dir, what);
    if (made)
        note_.emplace(std::move(*made));
    else
        context_.remark("weftd will not know of this pod's reservation: " + made.error().sentence());
}

Outcome<CniResult> BuiltinIpam::add() {
    auto env = load_subnet(context_.conf, kTryAgainLater);
    if (!env) return pass_on(std::move(env));
    auto wanted = requested_ips(context_);
    if (!wanted) return pass_on(std::move(wanted));
    take_note();
    auto given = store_.allocate(ranges_of(*env), context_.attachment(), std::move(*wanted));
    if (!given && note_ && note_->is_new()) (void)note_->remove(); // else it is of a reservation that is still there
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
    if (!released) return refuse(kIncomplete, std::move(released));
    auto forgotten = ReservationNote::remove(context_.conf.run_dir, context_.attachment());
    return forgotten ? Done() : refuse(kIncomplete, std::move(forgotten));
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
    // Not those of what was released just now alone: an earlier GC may have failed between the two.
    auto forgotten = ReservationNote::remove_others(context_.conf.run_dir, context_.conf.name, data_dir(context_.conf),
                                                    *context_.conf.valid_attachments);
    if (!forgotten) return refuse(kIncomplete, std::move(forgotten));
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

// SPDX-License-Identifier: Apache-2.0
#include "daemon/lease_maps.hpp"

namespace weft {
namespace {

Status read_all(const Datapath &datapath, MapState &maps) {
    auto leases = datapath.leases().entries();
    if (!leases) return fail_as_is(std::move(leases));
    for (const auto &[key, lease] : *leases) maps.leases.emplace(abi::subnet(key), lease);
    auto nodes = datapath.nodes().entries();
    if (!nodes) return fail_as_is(std::move(nodes));
    for (const auto &[key, node] : *nodes) maps.nodes.emplace(abi::ip(key), node);
    return {};
}

Status read_part(const Datapath &datapath, const MapPart &part, MapState &maps) {
    for (const Net &subnet : part.subnets) {
        auto lease = datapath.leases().get(abi::lease_key(subnet));
        if (!lease) return fail_as_is(std::move(lease));
        if (*lease) maps.leases.emplace(subnet, **lease);
    }
    for (const Ip &address : part.nodes) {
        auto node = datapath.nodes().get(abi::ip(address));
        if (!node) return fail_as_is(std::move(node));
        if (*node) maps.nodes.emplace(address, **node);
    }
    return {};
}

} // namespace

Result<MapState> LeaseMaps::read(const Datapath &datapath, const MapPart *part) {
    MapState maps;
    if (auto read = part ? read_part(datapath, *part, maps) : read_all(datapath, maps); !read)
        return fail_as_is(std::move(read));
    auto state = datapath.state().get(0);
    if (!state) return fail_as_is(std::move(state));
    if (*state) maps.prefix_lens = abi::prefix_lens(**state);
    return maps;
}

Status LeaseMaps::write(const Datapath &datapath, const SetPrefixLens &action) {
    return ledger_.put(datapath.state(), __u32{0}, abi::state(action.lens));
}
Status LeaseMaps::write(const Datapath &datapath, const PutNode &action) {
    return ledger_.put(datapath.nodes(), abi::ip(action.address), action.node);
}
Status LeaseMaps::write(const Datapath &datapath, const RemoveNode &action) {
    return ledger_.erase(datapath.nodes(), abi::ip(action.address));
}
Status LeaseMaps::write(const Datapath &datapath, const PutLease &action) {
    if (action.new_slot)
        if (auto cleared = datapath.clear_lease_stats({action.lease.stats_index}); !cleared) return cleared;
    return ledger_.put(datapath.leases(), abi::lease_key(action.subnet), action.lease);
}
Status LeaseMaps::write(const Datapath &datapath, const RemoveLease &action) {
    return ledger_.erase(datapath.leases(), abi::lease_key(action.subnet));
}

Status LeaseMaps::put_nodes(const Datapath &datapath, std::span<const Action> puts) {
    std::vector<weft_ip> keys;
    std::vector<weft_node> values;
    for (const auto &action : puts) {
        const auto &put = std::get<PutNode>(action);
        keys.push_back(abi::ip(put.address));
        values.push_back(put.node);
    }
    return ledger_.put_all(datapath.nodes(), keys, values);
}

Status LeaseMaps::put_leases(const Datapath &datapath, std::span<const Action> puts) {
    std::vector<weft_lease_key> keys;
    std::vector<weft_lease> values;
    std::vector<__u32> new_slots;
    for (const auto &action : puts) {
        const auto &put = std::get<PutLease>(action);
        keys.push_back(abi::lease_key(put.subnet));
        values.push_back(put.lease);
        if (put.new_slot) new_slots.push_back(put.lease.stats_index);
    }
    if (auto cleared = datapath.clear_lease_stats(new_slots); !cleared) return cleared;
    return ledger_.put_all(datapath.leases(), keys, values);
}

} // namespace weft

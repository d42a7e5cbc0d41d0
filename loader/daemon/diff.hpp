// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "daemon/desired.hpp"
#include "net/link.hpp"

namespace weft {

struct SetSysctl {
    std::string path, value;
};
struct ReplaceVtep { ///< removes whatever has the name, makes the device
    net::VxlanDevice device;
    std::vector<SetSysctl>
        settings; ///< of the device, before it is up: then it would have a link-local address already
};
struct ChangeVtep { ///< MAC, MTU and flags of the device that is there
    net::VxlanDevice device;
};
struct AddAddress {
    Net address;
};
struct RemoveAddress {
    Net address;
};
struct SetNeighbour {
    Ip address;
    Mac mac;
};
struct AddRoute {
    net::Route route;
};
struct RemoveRoute {
    net::Route route;
};
struct SetPrefixLens {
    abi::PrefixLens lens;
};
struct PutNode {
    Ip address;
    weft_node node;
};
struct RemoveNode {
    Ip address;
};
struct PutLease {
    Net subnet;
    weft_lease lease;
    bool new_slot = false; ///< the slot of lease_stats was another's and starts at zero
};
struct RemoveLease {
    Net subnet;
};
struct PutEndpoint { ///< of a pod that is still there
    Ip address;
    weft_endpoint endpoint;
};
struct ListPod { ///< unless its entry has come meanwhile
    Ip address;
    weft_endpoint endpoint;
};
struct UnlistPod { ///< unless the address has another holder by now
    Ip address;
    int ifindex = 0; ///< of the veth that is gone
};

struct AllowSource { ///< beside a pod's own addresses
    weft_allowed_key key;
};
struct DisallowSource {
    weft_allowed_key key;
};

struct RoutePod { ///< if its veth is still there
    net::Route route;
};

struct TakePlace { ///< puts other vxlan devices down and weft.1 up, with what goes through it, in immediate succession
    std::set<std::string> old;
    net::VxlanDevice device;
    std::map<Ip, Mac> neighbours;
    std::vector<net::Route> routes;
};
struct RemoveLink { ///< of flannel's, with its addresses, routes and neighbours
    net::Link link;
};
struct RemoveOthersRoute { ///< of flannel's
    net::Route route;
};
struct RemoveFlannelRules {};

/// One write to the kernel.
using Action =
    std::variant<SetSysctl, ReplaceVtep, ChangeVtep, AddAddress, RemoveAddress, SetNeighbour, AddRoute, RemoveRoute,
                 SetPrefixLens, PutNode, RemoveNode, PutLease, RemoveLease, PutEndpoint, ListPod, UnlistPod,
                 AllowSource, DisallowSource, RoutePod, TakePlace, RemoveLink, RemoveOthersRoute, RemoveFlannelRules>;

/// What an action is about: "lease 10.5.3.0/24". Two actions on one thing have one name, and so one back-off.
[[nodiscard]] std::string item_of(const Action &action);
/// What it does to it, for the log: "set next_hop=192.0.2.1 ...", "removed".
[[nodiscard]] std::string deed_of(const Action &action);
[[nodiscard]] bool is_removal(const Action &action);
/// Whether nothing behind it in a plan can succeed without it.
[[nodiscard]] inline bool is_foundation(const Action &action) { return std::holds_alternative<ReplaceVtep>(action); }

/// The writes that turn `actual` into `desired`, in the order in which each finds what it needs: settings, device,
/// addresses, neighbour, routes. Removals come last.
[[nodiscard]] std::vector<Action> diff(const HostState &desired, const HostState &actual);

/// The same for the maps. A packet must never meet a lease without its prefix length or its sender's node: so lengths
/// and nodes are there before a lease is, and go after it. Lengths of both states are in use in between.
[[nodiscard]] std::vector<Action> diff(const MapState &desired, const MapState &actual);

} // namespace weft

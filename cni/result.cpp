// SPDX-License-Identifier: Apache-2.0
#include "cni/result.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "cni/json_read.hpp"

namespace weft::cni {
namespace {

using nlohmann::json;

/// An optional address; "" counts as absent, since Go writes an unset net.IP so.
Outcome<std::optional<Ip>> read_address(const json &object, const char *key, std::string_view what) {
    auto text = read_string(object, key, what, kDecodeFailure);
    if (!text) return pass_on(std::move(text));
    if (text->empty()) return std::nullopt;
    auto address = parse_ip(*text);
    if (!address) return refuse(kDecodeFailure, fmt::format("{}.{}: {}", what, key, address.error().sentence()));
    return *address;
}

Outcome<Net> read_prefix(const json &object, const char *key, std::string_view what) {
    auto text = read_string(object, key, what, kDecodeFailure);
    if (!text) return pass_on(std::move(text));
    auto prefix = parse_net(*text);
    if (!prefix) return refuse(kDecodeFailure, fmt::format("{}.{}: {}", what, key, prefix.error().sentence()));
    return *prefix;
}

Outcome<Interface> parse_interface(const json &item, std::string_view what) {
    Interface out;
    for (auto [key, member] :
         {std::pair{"name", &Interface::name}, std::pair{"mac", &Interface::mac},
          std::pair{"sandbox", &Interface::sandbox}, std::pair{"socketPath", &Interface::socket_path},
          std::pair{"pciID", &Interface::pci_id}}) {
        auto text = read_string(item, key, what, kDecodeFailure);
        if (!text) return pass_on(std::move(text));
        out.*member = std::move(*text);
    }
    auto mtu = read_unsigned(item, "mtu", what, kDecodeFailure);
    if (!mtu) return pass_on(std::move(mtu));
    out.mtu = mtu->value_or(0);
    return out;
}

Outcome<IpConfig> parse_ip(const json &item, std::string_view what) {
    auto address = read_prefix(item, "address", what);
    if (!address) return pass_on(std::move(address));
    auto gateway = read_address(item, "gateway", what);
    if (!gateway) return pass_on(std::move(gateway));
    auto interface = read_unsigned(item, "interface", what, kDecodeFailure);
    if (!interface) return pass_on(std::move(interface));
    IpConfig out{.address = *address, .gateway = *gateway};
    if (*interface) out.interface = **interface;
    return out;
}

Outcome<RouteConfig> parse_route(const json &item, std::string_view what) {
    auto destination = read_prefix(item, "dst", what);
    if (!destination) return pass_on(std::move(destination));
    auto gateway = read_address(item, "gw", what);
    if (!gateway) return pass_on(std::move(gateway));
    RouteConfig out{.destination = *destination, .gateway = *gateway};
    for (auto [key, member] : {std::pair{"mtu", &RouteConfig::mtu}, std::pair{"advmss", &RouteConfig::advmss},
                               std::pair{"priority", &RouteConfig::priority}}) {
        auto number = read_unsigned(item, key, what, kDecodeFailure);
        if (!number) return pass_on(std::move(number));
        out.*member = number->value_or(0);
    }
    auto table = read_unsigned(item, "table", what, kDecodeFailure);
    if (!table) return pass_on(std::move(table));
    out.table = *table;
    auto scope = read_unsigned(item, "scope", what, kDecodeFailure);
    if (!scope) return pass_on(std::move(scope));
    if (*scope && **scope > std::numeric_limits<std::uint8_t>::max())
        return refuse(kDecodeFailure, fmt::format("{}.scope: {} is no route scope", what, **scope));
    if (*scope) out.scope = static_cast<std::uint8_t>(**scope);
    return out;
}

/// One family's part of a result before 0.3.0: {"ip", "gateway", "routes"}.
Done parse_family(const json &object, const char *key, std::string_view what, CniResult &out) {
    auto family = read_object(object, key, what, kDecodeFailure);
    if (!family) return pass_on(std::move(family));
    if (!*family) return {};
    const auto name = fmt::format("{}.{}", what, key);
    auto address = read_prefix(**family, "ip", name);
    if (!address) return pass_on(std::move(address));
    auto gateway = read_address(**family, "gateway", name);
    if (!gateway) return pass_on(std::move(gateway));
    auto routes = parse_routes(**family, name);
    if (!routes) return pass_on(std::move(routes));
    out.ips.push_back({.address = *address, .gateway = *gateway});
    out.routes.insert(out.routes.end(), routes->begin(), routes->end());
    return {};
}

/// Parses every element of the array `object[key]`; a missing key or null is an empty list.
template <class T, class ParseItem>
Outcome<std::vector<T>> parse_list(const json &object, const char *key, std::string_view what, ParseItem parse_item) {
    std::vector<T> out;
    const auto found = object.find(key);
    if (found == object.end() || found->is_null()) return out;
    if (!found->is_array()) return refuse_type(kDecodeFailure, what, key, "an array", *found);
    for (std::size_t i = 0; i < found->size(); ++i) {
        const auto name = fmt::format("{}.{}[{}]", what, key, i);
        if (!(*found)[i].is_object())
            return refuse(kDecodeFailure, fmt::format("{}: an object is expected, found {}", name, shown((*found)[i])));
        auto item = parse_item((*found)[i], name);
        if (!item) return pass_on(std::move(item));
        out.push_back(std::move(*item));
    }
    return out;
}

json to_json(const Interface &interface, Version version) {
    json out{{"name", interface.name}};
    if (!interface.mac.empty()) out["mac"] = interface.mac;
    if (!interface.sandbox.empty()) out["sandbox"] = interface.sandbox;
    if (version < Version::v1_1_0) return out;
    if (interface.mtu != 0) out["mtu"] = interface.mtu;
    if (!interface.socket_path.empty()) out["socketPath"] = interface.socket_path;
    if (!interface.pci_id.empty()) out["pciID"] = interface.pci_id;
    return out;
}

json to_json(const IpConfig &ip, Version version) {
    json out{{"address", ip.address.to_string()}};
    if (version < Version::v1_0_0) out["version"] = ip.address.is_v4() ? "4" : "6";
    if (ip.gateway) out["gateway"] = ip.gateway->to_string();
    if (ip.interface) out["interface"] = *ip.interface;
    return out;
}

json to_json(const RouteConfig &route, Version version) {
    json out{{"dst", route.destination.to_string()}};
    if (route.gateway) out["gw"] = route.gateway->to_string();
    if (version < Version::v1_1_0) return out;
    if (route.mtu != 0) out["mtu"] = route.mtu;
    if (route.advmss != 0) out["advmss"] = route.advmss;
    if (route.priority != 0) out["priority"] = route.priority;
    if (route.table) out["table"] = *route.table;
    if (route.scope) out["scope"] = *route.scope;
    return out;
}

/// A family's part of a result before 0.3.0, which has room for one address; empty if there is none.
json family_json(const CniResult &result, bool v4) {
    json out = json::object();
    const auto ip = std::ranges::find_if(result.ips, [v4](const IpConfig &each) { return each.address.is_v4() == v4; });
    if (ip == result.ips.end()) return out;
    out["ip"] = ip->address.to_string();
    if (ip->gateway) out["gateway"] = ip->gateway->to_string();
    for (const RouteConfig &route : result.routes)
        if (route.destination.is_v4() == v4) out["routes"].push_back(to_json(route, Version::v0_2_0));
    return out;
}

json to_json(const Dns &dns) {
    json out = json::object();
    if (!dns.nameservers.empty()) out["nameservers"] = dns.nameservers;
    if (!dns.domain.empty()) out["domain"] = dns.domain;
    if (!dns.search.empty()) out["search"] = dns.search;
    if (!dns.options.empty()) out["options"] = dns.options;
    return out;
}

} // namespace

bool is_of(const CniResult &result, const IpConfig &ip, std::string_view ifname) {
    if (!ip.interface || *ip.interface >= result.interfaces.size()) return false;
    const Interface &interface = result.interfaces[*ip.interface];
    return interface.name == ifname && !interface.sandbox.empty();
}

Outcome<std::vector<RouteConfig>> parse_routes(const json &object, std::string_view what) {
    return parse_list<RouteConfig>(object, "routes", what, parse_route);
}

Outcome<Dns> parse_dns(const json &object, std::string_view what) {
    Dns dns;
    const auto found = object.find("dns");
    if (found == object.end() || found->is_null()) return dns;
    if (!found->is_object()) return refuse_type(kDecodeFailure, what, "dns", "an object", *found);
    const auto name = fmt::format("{}.dns", what);
    for (auto [key, member] : {std::pair{"nameservers", &Dns::nameservers}, std::pair{"search", &Dns::search},
                               std::pair{"options", &Dns::options}}) {
        auto list = read_strings(*found, key, name, kDecodeFailure);
        if (!list) return pass_on(std::move(list));
        dns.*member = std::move(*list);
    }
    auto domain = read_string(*found, "domain", name, kDecodeFailure);
    if (!domain) return pass_on(std::move(domain));
    dns.domain = std::move(*domain);
    return dns;
}

Outcome<CniResult> parse_result(const json &object, std::string_view what) {
    if (!object.is_object())
        return refuse(kDecodeFailure, fmt::format("{}: an object is expected, found {}", what, shown(object)));
    auto interfaces = parse_list<Interface>(object, "interfaces", what, parse_interface);
    if (!interfaces) return pass_on(std::move(interfaces));
    auto ips = parse_list<IpConfig>(object, "ips", what, parse_ip);
    if (!ips) return pass_on(std::move(ips));
    auto routes = parse_routes(object, what);
    if (!routes) return pass_on(std::move(routes));
    auto dns = parse_dns(object, what);
    if (!dns) return pass_on(std::move(dns));
    CniResult out{std::move(*interfaces), std::move(*ips), std::move(*routes), std::move(*dns)};
    for (const char *key : {"ip4", "ip6"})
        if (auto family = parse_family(object, key, what, out); !family) return pass_on(std::move(family));
    return out;
}

json to_json(const CniResult &result, Version version) {
    const auto list = [version](const auto &items) {
        json out = json::array();
        for (const auto &item : items) out.push_back(to_json(item, version));
        return out;
    };
    json out{{"cniVersion", to_string(version)}};
    out["dns"] = to_json(result.dns);
    if (version < Version::v0_3_0) {
        for (const bool v4 : {true, false})
            if (json family = family_json(result, v4); !family.empty()) out[v4 ? "ip4" : "ip6"] = std::move(family);
        return out;
    }
    if (!result.interfaces.empty()) out["interfaces"] = list(result.interfaces);
    if (!result.ips.empty()) out["ips"] = list(result.ips);
    if (!result.routes.empty()) out["routes"] = list(result.routes);
    return out;
}

} // namespace weft::cni

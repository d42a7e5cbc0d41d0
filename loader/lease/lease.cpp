// SPDX-License-Identifier: Apache-2.0
#include "lease/lease.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "config/go_json.hpp"

namespace weft {
namespace {

using Ordered = nlohmann::ordered_json;

constexpr std::string_view kNoIpv4 = "0.0.0.0-0";
constexpr const char *kAwaitsIpv6 = "AwaitsIPv6";

/// "<address>-<length>" the caller checks the spelling as a whole.
template <class Net> Result<Net> parse_part(std::string_view part, Result<Net> (*parse_net)(std::string_view)) {
    const auto dash = part.rfind('-');
    if (dash == std::string_view::npos) return fail("no \"-<length>\"");
    return parse_net(fmt::format("{}/{}", part.substr(0, dash), part.substr(dash + 1)));
}

template <class Net> std::string key_part(const Net &net) {
    return fmt::format("{}-{}", net.address().to_string(), net.prefix_length());
}

/// An address that may be absent, but not null or anything else.
Status take_public_ip(const GoJson &object, Ip4 &out) {
    const auto it = object.find("PublicIP");
    if (it == object.end()) return {};
    const auto addr = it->is_string() ? parse_ip4(it->get_ref<const std::string &>()) : Result<Ip4>(fail(""));
    if (!addr) return fail(fmt::format("PublicIP: {} is not an IPv4 address", excerpt(*it)));
    out = *addr;
    return {};
}

Status take_public_ipv6(const GoJson &object, std::optional<Ip6> &out) {
    const auto it = object.find("PublicIPv6");
    if (it == object.end() || it->is_null()) return {};
    const auto addr = it->is_string() ? parse_ip6(it->get_ref<const std::string &>()) : Result<Ip6>(fail(""));
    if (!addr || addr->is_v4_mapped()) return fail(fmt::format("PublicIPv6: {} is not an IPv6 address", excerpt(*it)));
    out = *addr;
    return {};
}

nlohmann::json raw(const GoJson &object, const char *key) {
    const auto it = object.find(key);
    return it == object.end() ? nlohmann::json() : nlohmann::json(*it);
}

} // namespace

std::weak_ordering Subnet::operator<=>(const Subnet &other) const {
    if (v4 && other.v4) {
        if (const auto order = Net(*v4) <=> Net(*other.v4); order != 0) return order;
    } else if (v4 || other.v4) {
        return v4 ? std::weak_ordering::less : std::weak_ordering::greater; // as IPv4 sorts before IPv6
    }
    if (v6 && other.v6) return Net(*v6) <=> Net(*other.v6);
    return v6.has_value() <=> other.v6.has_value();
}

std::vector<Net> Subnet::nets() const {
    std::vector<Net> nets;
    if (v4) nets.emplace_back(*v4);
    if (v6) nets.emplace_back(*v6);
    return nets;
}

bool Subnet::includes(const Subnet &other) const {
    return (!other.v4 || other.v4 == v4) && (!other.v6 || other.v6 == v6);
}

std::string Subnet::to_string() const {
    std::string text;
    for (const auto &net : nets()) text += (text.empty() ? "" : " ") + net.to_string();
    return text;
}

BackendData::BackendData(const nlohmann::json &data) {
    if (data.is_null()) return;
    text_ = data.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
    if (!data.is_object()) return;
    if (const auto found = data.find("VtepMAC"); found != data.end() && found->is_string())
        if (const auto mac = parse_mac(found->get_ref<const std::string &>())) vtep_mac_ = *mac;
    const auto zero = data.find("ZeroCsum6");
    zero_csum6_ = zero != data.end() && *zero == true;
}

nlohmann::json BackendData::to_json() const { return is_null() ? nlohmann::json() : nlohmann::json::parse(text_); }

Result<Mac> BackendData::vtep_mac() const {
    if (vtep_mac_) return *vtep_mac_;
    const auto data = to_json();
    const auto found = data.is_object() ? data.find("VtepMAC") : data.end();
    if (!data.is_object() || found == data.end() || !found->is_string())
        return fail(fmt::format("{} has no VtepMAC", data.dump()));
    return fail_in(parse_mac(found->get_ref<const std::string &>()), "VtepMAC");
}

std::string LeaseAttrs::node() const {
    return public_ip.is_unspecified() && public_ipv6 ? public_ipv6->to_string() : public_ip.to_string();
}

bool same_node(const LeaseAttrs &a, const LeaseAttrs &b) {
    if (!a.public_ip.is_unspecified() && !b.public_ip.is_unspecified()) return a.public_ip == b.public_ip;
    return a.public_ipv6 && a.public_ipv6 == b.public_ipv6;
}

std::string format_subnet_key(const Subnet &subnet) {
    const auto key = subnet.v4 ? key_part(*subnet.v4) : std::string(kNoIpv4);
    return subnet.v6 ? key + "&" + key_part(*subnet.v6) : key;
}

Result<Subnet> parse_subnet_key(std::string_view text) {
    const auto malformed = [&](std::string_view why) {
        return fail(fmt::format("\"{}\" is not a subnet key (\"10.5.34.0-24\"): {}", text, why));
    };
    constexpr unsigned kLongest4 = 31, kLongest6 = 127;
    const auto both = text.find('&');
    const auto part4 = text.substr(0, both);
    Subnet subnet;
    if (both == std::string_view::npos || part4 != kNoIpv4) {
        const auto v4 = parse_part<Net4>(part4, parse_net4);
        if (!v4) return malformed(v4.error().sentence());
        if (v4->prefix_length() == 0 || v4->prefix_length() > kLongest4)
            return malformed(fmt::format("IPv4 length {} is not in 1..{}", v4->prefix_length(), kLongest4));
        subnet.v4 = v4->canonical();
    }
    if (both != std::string_view::npos) {
        const auto v6 = parse_part<Net6>(text.substr(both + 1), parse_net6);
        if (!v6) return malformed(v6.error().sentence());
        if (v6->prefix_length() == 0 || v6->prefix_length() > kLongest6)
            return malformed(fmt::format("IPv6 length {} is not in 1..{}", v6->prefix_length(), kLongest6));
        if (v6->address().is_v4_mapped()) return malformed("its IPv6 part is IPv4-mapped");
        subnet.v6 = v6->canonical();
    }
    // One comparison finds host bits, leading zeros, upper case and every other second spelling.
    if (const auto spelling = format_subnet_key(subnet); spelling != text)
        return malformed(fmt::format("the subnet's own key is \"{}\"", spelling));
    return subnet;
}

std::string format_lease_value(const LeaseAttrs &attrs) {
    Ordered value;
    value["PublicIP"] = attrs.public_ip.to_string();
    value["PublicIPv6"] = attrs.public_ipv6 ? Ordered(attrs.public_ipv6->to_string()) : Ordered();
    if (!attrs.backend_type.empty()) value["BackendType"] = attrs.backend_type;
    if (!attrs.backend_data.is_null()) value["BackendData"] = Ordered::parse(attrs.backend_data.text());
    if (!attrs.backend_v6_data.is_null()) value["BackendV6Data"] = Ordered::parse(attrs.backend_v6_data.text());
    if (attrs.awaits_ipv6) value[kAwaitsIpv6] = true;
    return value.dump(-1, ' ', false, Ordered::error_handler_t::replace);
}

Result<LeaseAttrs> parse_lease_value(std::string_view json) {
    auto object = parse_go_object(json);
    if (!object) return fail_as_is(std::move(object));
    LeaseAttrs attrs;
    for (auto step : {take_public_ip(*object, attrs.public_ip), take_public_ipv6(*object, attrs.public_ipv6),
                      take(*object, "BackendType", attrs.backend_type)})
        if (!step) return fail_as_is(std::move(step));
    attrs.backend_data = raw(*object, "BackendData");
    attrs.backend_v6_data = raw(*object, "BackendV6Data");
    attrs.awaits_ipv6 = raw(*object, kAwaitsIpv6) == true;
    return attrs;
}

} // namespace weft

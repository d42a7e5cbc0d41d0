// SPDX-License-Identifier: Apache-2.0
#include "config/backend.hpp"

#include <fmt/format.h>

#include "config/go_json.hpp"

namespace weft {
namespace {

struct EncapInfo {
    weft_encap encap;
    std::string_view backend;
    unsigned overhead;
};
#define WEFT_ENCAP_INFO(number, name, label, backend, overhead) EncapInfo{WEFT_ENCAP_##name, backend, overhead},
constexpr EncapInfo kEncaps[] = {WEFT_ENCAPS(WEFT_ENCAP_INFO)};
#undef WEFT_ENCAP_INFO

Result<weft_encap> encap_of(const NetConf &conf) {
    const auto encap = encap_of_backend(conf.backend_type);
    if (encap && !conf.backend_type.empty()) return *encap;
    return fail(fmt::format("Backend.Type: \"{}\" is none that weft carries ({})", conf.backend_type, backend_names()));
}

/// What the object says, before anybody asks whether it makes sense.
struct Keys {
    std::int64_t vni = WEFT_DEFAULT_VNI, port = 0, mtu = -1;
    bool gbp = false, learning = false, direct_routing = false;
};

Result<Keys> take_keys(const GoJson &object, std::string_view backend) {
    Keys keys;
    for (auto step : {take(object, "VNI", keys.vni), take(object, "Port", keys.port), take(object, "MTU", keys.mtu),
                      take(object, "GBP", keys.gbp), take(object, "Learning", keys.learning),
                      take(object, "DirectRouting", keys.direct_routing)})
        if (!step) return fail_in(std::move(step), fmt::format("error decoding {} backend config: Backend", backend));
    return keys;
}

Status check(const Keys &keys, bool has_mtu, unsigned least_mtu) {
    constexpr std::int64_t kMaxVni = (1 << 24) - 1, kMaxPort = 65535, kMaxMtu = 65535;
    if (keys.vni < 0 || keys.vni > kMaxVni)
        return fail(fmt::format("Backend.VNI: {} is not in 0..{}", keys.vni, kMaxVni));
    if (keys.port < 0 || keys.port > kMaxPort)
        return fail(fmt::format("Backend.Port: {} is not in 0..{}", keys.port, kMaxPort));
    if (has_mtu && (keys.mtu < least_mtu || keys.mtu > kMaxMtu))
        return fail(fmt::format("Backend.MTU: {} is not in {}..{}", keys.mtu, least_mtu, kMaxMtu));
    if (keys.gbp)
        return fail("Backend.GBP: true found, false expected: weft's packets carry no group policy, and nodes that "
                    "filter by it "
                    "would take them for unmarked");
    return {};
}

/// Keys that flannel reads for other backends only are no errors there, so they must not stop a node here.
std::vector<std::string> remarks_on(const GoJson &object, const Keys &keys, weft_encap encap) {
    std::vector<std::string> remarks;
    const auto unused = [&](std::string_view key) {
        if (object.contains(std::string(key)))
            remarks.push_back(fmt::format("Backend.{} means nothing to {}", key, backend_name(encap)));
    };
    if (encap != WEFT_ENCAP_VXLAN) unused("VNI");
    if (encap != WEFT_ENCAP_VXLAN && encap != WEFT_ENCAP_UDP) unused("Port");
    if (encap != WEFT_ENCAP_VXLAN && encap != WEFT_ENCAP_IPIP) unused("DirectRouting");
    if (keys.learning) remarks.push_back("Backend.Learning: weft learns from leases only, never from packets");
    return remarks;
}

} // namespace

std::string_view backend_name(weft_encap encap) {
    for (const auto &known : kEncaps)
        if (known.encap == encap) return known.backend;
    return "none";
}

std::string backend_names() {
    std::string names;
    for (const auto &known : kEncaps)
        if (encap_of_backend(known.backend) ==
            known.encap) // a backend's other encapsulations are no names of their own
            names += fmt::format("{}{}", names.empty() ? "" : ", ", known.backend);
    return names;
}

std::optional<weft_encap> encap_of_backend(std::string_view name) {
    if (name.empty()) return WEFT_ENCAP_UDP;
    for (const auto &known : kEncaps)
        if (known.backend == name) return known.encap;
    return std::nullopt;
}

bool is_ipv4_only(weft_encap encap) { return encap == WEFT_ENCAP_UDP || encap == WEFT_ENCAP_IPIP; }

unsigned BackendConf::overhead(Underlay underlay) const {
    constexpr unsigned kLongerHeader = 40 - 20; // IPv6's than IPv4's
    const unsigned over_ipv4 = overhead_of(encap);
    return over_ipv4 != 0 && underlay == Underlay::ipv6 ? over_ipv4 + kLongerHeader : over_ipv4;
}

unsigned overhead_of(weft_encap encap) {
    for (const auto &known : kEncaps)
        if (known.encap == encap) return known.overhead;
    return 0;
}

Result<BackendConf> parse_backend(const NetConf &conf) {
    auto encap = encap_of(conf);
    if (!encap) return fail_as_is(std::move(encap));
    if (conf.enable_ipv6 && is_ipv4_only(*encap))
        return fail(fmt::format("EnableIPv6: true found, but Backend.Type {} carries IPv4 only, as flannel's does",
                                backend_name(*encap)));
    BackendConf backend{.encap = *encap, .ipv6 = conf.enable_ipv6};
    if (conf.backend.is_null()) return backend; // no Backend means udp, with its defaults
    const GoJson object(conf.backend);
    auto keys = take_keys(object, backend.name());
    if (!keys) return fail_as_is(std::move(keys));
    // A node with both may use either as its underlay.
    const unsigned least = backend.least_mtu(conf.enable_ipv4 ? Underlay::ipv4 : Underlay::ipv6);
    const bool has_mtu = object.contains("MTU") && !object.at("MTU").is_null();
    if (auto good = check(*keys, has_mtu, least); !good) return fail_as_is(std::move(good));

    backend.vni = static_cast<std::uint32_t>(keys->vni);
    const auto port = static_cast<std::uint16_t>(keys->port);
    if (port != 0 && *encap == WEFT_ENCAP_VXLAN) backend.port = port;
    if (port != 0 && *encap == WEFT_ENCAP_UDP) backend.udp_port = port;
    if (has_mtu) backend.mtu = static_cast<unsigned>(keys->mtu);
    backend.direct_routing = keys->direct_routing && (*encap == WEFT_ENCAP_VXLAN || *encap == WEFT_ENCAP_IPIP);
    backend.remarks = remarks_on(object, *keys, *encap);
    return backend;
}

} // namespace weft

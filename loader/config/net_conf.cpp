// SPDX-License-Identifier: Apache-2.0
#include "config/net_conf.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>

#include "config/go_json.hpp"

namespace weft {
namespace {

// The rules are the same for both families but for these words and numbers.
struct Family4 {
    using Net = Net4;
    using Addr = Ip4;
    static constexpr unsigned kBits = 32, kLongestSubnet = 30, kLongestNetwork = 28, kUsualSubnet = 24;
    static constexpr const char *kNetwork = "Network", *kLen = "SubnetLen", *kMin = "SubnetMin", *kMax = "SubnetMax";
    static constexpr const char *kBadCidr = "invalid IPv4 CIDR format", *kTooLong = "SubnetLen must be less than /31",
                                *kTooSmall = "network is too small. Minimum useful network prefix is /28";
    static Result<Net> parse_net(std::string_view text) { return parse_net4(text); }
    static Result<Addr> parse_addr(std::string_view text) { return parse_ip4(text); }
};

struct Family6 {
    using Net = Net6;
    using Addr = Ip6;
    static constexpr unsigned kBits = 128, kLongestSubnet = 126, kLongestNetwork = 124, kUsualSubnet = 64;
    static constexpr const char *kNetwork = "IPv6Network", *kLen = "IPv6SubnetLen", *kMin = "IPv6SubnetMin",
                                *kMax = "IPv6SubnetMax";
    static constexpr const char *kBadCidr = "invalid IPv6 CIDR format", *kTooLong = "SubnetLen must be less than /127",
                                *kTooSmall = "IPv6Network is too small. Minimum useful network prefix is /124";
    static Result<Net> parse_net(std::string_view text) { return parse_net6(text); }
    static Result<Addr> parse_addr(std::string_view text) { return parse_ip6(text); }
};

/// References to one family's fields of a NetConf.
template <class Family> struct Range {
    using Net = typename Family::Net;
    using Addr = typename Family::Addr;
    const Net &network;
    unsigned subnet_len;
    const Addr &min, &max;
};

Range<Family4> range4(const NetConf &conf) { return {conf.network, conf.subnet_len, conf.subnet_min, conf.subnet_max}; }
Range<Family6> range6(const NetConf &conf) {
    return {conf.ipv6_network, conf.ipv6_subnet_len, conf.ipv6_subnet_min, conf.ipv6_subnet_max};
}

/// Sets bits [from, to) of an address, counted from the most significant.
template <class Addr> Addr set_bits(const Addr &addr, unsigned from, unsigned to) {
    auto bytes = addr.to_bytes();
    for (unsigned bit = from; bit < to; ++bit) bytes[bit / 8] |= static_cast<unsigned char>(0x80 >> (bit % 8));
    return Addr(bytes);
}

/// A CIDR. Flannel's type refuses null here, unlike for plain fields.
template <class Family> Status take_net(const GoJson &object, typename Family::Net &out) {
    const auto it = object.find(Family::kNetwork);
    if (it == object.end()) return {};
    const auto bad = [&] { return fail(fmt::format("{}: {}: {}", Family::kNetwork, Family::kBadCidr, excerpt(*it))); };
    if (!it->is_string()) return bad();
    const auto net = Family::parse_net(it->template get_ref<const std::string &>());
    if (!net) return bad();
    out = net->canonical();
    return {};
}

/// @param null_is_unset the field is a pointer in flannel, so that null means absent
template <class Family>
Status take_addr(const GoJson &object, const char *key, bool null_is_unset, typename Family::Addr &out) {
    const auto it = object.find(key);
    if (it == object.end() || (null_is_unset && it->is_null())) return {};
    const auto addr = it->is_string() ? Family::parse_addr(it->template get_ref<const std::string &>())
                                      : Result<typename Family::Addr>(fail(""));
    if (!addr)
        return fail(fmt::format("{}: {} is not an IPv{} address", key, excerpt(*it), Family::kBits == 32 ? 4 : 6));
    out = *addr;
    return {};
}

Status take_len(const GoJson &object, const char *key, unsigned &out) {
    std::uint64_t len = 0;
    if (auto taken = take(object, key, len); !taken) return taken;
    // Saturate: what does not fit is far beyond what validate() allows anyway.
    out = static_cast<unsigned>(std::min<std::uint64_t>(len, std::numeric_limits<unsigned>::max()));
    return {};
}

/// Flannel's defaults: a /24 (/64) per node, or a quarter of a network too small for that; the first subnet stays
/// unused, because its base address is the network's own.
template <class Family>
void fill_defaults(const typename Family::Net &network, unsigned &len, typename Family::Addr &min,
                   typename Family::Addr &max) {
    if (network.prefix_length() == 0) return;
    if (len == 0 && network.prefix_length() <= Family::kLongestNetwork)
        len = std::max<unsigned>(Family::kUsualSubnet, network.prefix_length() + 2u);
    const typename Family::Addr unset;
    if (len <= network.prefix_length() || len > Family::kBits) return;
    if (min == unset) min = set_bits(network.address(), len - 1, len);
    if (max == unset) max = set_bits(network.address(), network.prefix_length(), len);
}

template <class Family>
Status check_bound(const Range<Family> &range, const char *key, const typename Family::Addr &at) {
    using Net = typename Family::Net;
    if (!contains(range.network, at))
        return fail(fmt::format("{} is not in the range of the {}: {} {}, {} {}", key, Family::kNetwork, key,
                                at.to_string(), Family::kNetwork, range.network.to_string()));
    if (Net(at, static_cast<unsigned short>(range.subnet_len)).canonical().address() != at)
        return fail(fmt::format("{} is not on a SubnetLen boundary: {} ({} {})", key, at.to_string(), Family::kLen,
                                range.subnet_len));
    return {};
}

template <class Family> Status check_range(const Range<Family> &range) {
    const unsigned net_len = range.network.prefix_length();
    const auto found = [&] {
        return fmt::format("{} {}, {} {}", Family::kNetwork, range.network.to_string(), Family::kLen, range.subnet_len);
    };
    if (net_len == 0)
        return fail(fmt::format(
            "please define a correct {} parameter in the flannel config: it is {}", Family::kNetwork,
            range.network.address().is_unspecified() ? "missing or has length 0" : range.network.to_string()));
    if (range.subnet_len == 0) return fail(fmt::format("{}: {}", Family::kTooSmall, found()));
    if (range.subnet_len > Family::kLongestSubnet) return fail(fmt::format("{}: {}", Family::kTooLong, found()));
    if (range.subnet_len < net_len + 2)
        return fail(fmt::format("network must be able to accommodate at least four subnets: {}", found()));
    if (auto ok = check_bound(range, Family::kMin, range.min); !ok) return ok;
    return check_bound(range, Family::kMax, range.max);
}

/// These stand for IPv4 addresses (RFC 4291, section 2.5.5.2), never for themselves: flannel would write them into a key
/// that nobody can read, and the programs could not tell them from IPv4.
Status refuse_mapped(const Net6 &network) {
    if (!network.address().is_v4_mapped()) return {};
    return fail(fmt::format("please define a correct IPv6Network parameter in the flannel config: {} is IPv4-mapped",
                            network.to_string()));
}

/// The types flannel knows. Lookup is without case there too.
bool is_flannel_backend(std::string_view type) {
    constexpr std::array<std::string_view, 9> kTypes = {"udp",   "vxlan", "host-gw",   "ipip",       "wireguard",
                                                        "ipsec", "alloc", "extension", "tencent-vpc"};
    return std::find(kTypes.begin(), kTypes.end(), type) != kTypes.end();
}

std::string lower(std::string text) {
    for (char &c : text)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return text;
}

Status take_backend(const GoJson &document, NetConf &conf) {
    const auto it = document.find("Backend");
    if (it == document.end()) return {};
    conf.backend_type.clear();
    conf.backend = nlohmann::json(*it);
    if (it->is_null()) return {};
    if (!it->is_object())
        return fail(
            fmt::format("error decoding Backend property of config: Backend: {} is not an object", excerpt(*it)));
    std::string type;
    if (auto taken = take(*it, "Type", type); !taken)
        return fail_in(std::move(taken), "error decoding Backend property of config: Backend");
    conf.backend_type = lower(std::move(type));
    return {};
}

} // namespace

Result<NetConf> parse_net_conf(std::string_view json) {
    auto document = parse_go_object(json);
    if (!document) return fail_as_is(std::move(document));
    NetConf conf;
    for (auto step :
         {take(*document, "EnableIPv4", conf.enable_ipv4), take(*document, "EnableIPv6", conf.enable_ipv6),
          take(*document, "EnableNFTables", conf.enable_nftables), take_net<Family4>(*document, conf.network),
          take_net<Family6>(*document, conf.ipv6_network), take_len(*document, Family4::kLen, conf.subnet_len),
          take_len(*document, Family6::kLen, conf.ipv6_subnet_len),
          take_addr<Family4>(*document, Family4::kMin, false, conf.subnet_min),
          take_addr<Family4>(*document, Family4::kMax, false, conf.subnet_max),
          take_addr<Family6>(*document, Family6::kMin, true, conf.ipv6_subnet_min),
          take_addr<Family6>(*document, Family6::kMax, true, conf.ipv6_subnet_max), take_backend(*document, conf)})
        if (!step) return fail_as_is(std::move(step));
    if (conf.enable_ipv4) fill_defaults<Family4>(conf.network, conf.subnet_len, conf.subnet_min, conf.subnet_max);
    if (conf.enable_ipv6)
        fill_defaults<Family6>(conf.ipv6_network, conf.ipv6_subnet_len, conf.ipv6_subnet_min, conf.ipv6_subnet_max);
    return conf;
}

Status validate(const NetConf &conf) {
    if (conf.enable_ipv4)
        if (auto ok = check_range(range4(conf)); !ok) return ok;
    if (conf.enable_ipv6)
        for (auto ok : {check_range(range6(conf)), refuse_mapped(conf.ipv6_network)})
            if (!ok) return ok;
    if (!conf.enable_ipv4 && !conf.enable_ipv6)
        return fail("none defined stack: EnableIPv4 and EnableIPv6 are both false");
    if (!is_flannel_backend(conf.backend_type))
        return fail(fmt::format("unknown backend type: {} (Backend.Type)",
                                conf.backend_type.empty() ? "\"\"" : conf.backend_type));
    return {};
}

} // namespace weft

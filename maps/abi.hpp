// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "weft_abi.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>
#include <optional>
#include <string_view>
#include <type_traits>
#include <vector>

#include "base/addr.hpp"

namespace weft::abi {

// A padded key would make equal keys differ in bytes that nobody set.
static_assert(std::has_unique_object_representations_v<weft_lease_key>);
static_assert(std::has_unique_object_representations_v<weft_ip>);
static_assert(std::has_unique_object_representations_v<weft_lease>);
static_assert(std::has_unique_object_representations_v<weft_endpoint>);
static_assert(std::has_unique_object_representations_v<weft_state>);
static_assert(std::has_unique_object_representations_v<weft_refused_key>);
static_assert(std::has_unique_object_representations_v<weft_allowed_key>);

[[nodiscard]] inline weft_ip ip(const Ip &addr) {
    const auto octets = addr.is_v4() ? asio::ip::make_address_v6(asio::ip::v4_mapped, addr.to_v4()).to_bytes()
                                     : addr.to_v6().to_bytes();
    return std::bit_cast<weft_ip>(octets);
}
[[nodiscard]] inline Ip ip(const weft_ip &addr) {
    const Ip6 v6(std::bit_cast<Ip6::bytes_type>(addr));
    return v6.is_v4_mapped() ? Ip(asio::ip::make_address_v4(asio::ip::v4_mapped, v6)) : Ip(v6);
}
[[nodiscard]] inline weft_mac mac(const Mac &mac) { return std::bit_cast<weft_mac>(mac.bytes); }
[[nodiscard]] inline Mac mac(const weft_mac &mac) { return std::bit_cast<Mac>(mac); }

[[nodiscard]] inline weft_lease_key lease_key(const Net &subnet) {
    const Net canonical = subnet.canonical();
    return {ip(canonical.address()), canonical.prefix_length(), 0};
}
[[nodiscard]] inline Net subnet(const weft_lease_key &key) {
    const Ip base = ip(key.subnet);
    const auto len = static_cast<unsigned short>(key.prefix_len);
    return base.is_v4() ? Net(Net4(base.to_v4(), len)) : Net(Net6(base.to_v6(), len));
}

/// As the programs compare with it. Nothing is in std::nullopt.
[[nodiscard]] weft_net net(const std::optional<Net> &prefix);

/// The prefix lengths in use among leases, each family's longest first: what the programs try.
struct PrefixLens {
    std::array<std::vector<std::uint8_t>, WEFT_FAMILIES> of;

    bool operator==(const PrefixLens &) const = default;
};
[[nodiscard]] inline weft_family family(const Ip &addr) { return addr.is_v4() ? WEFT_IPV4 : WEFT_IPV6; }
[[nodiscard]] PrefixLens prefix_lens(const weft_state &state);
[[nodiscard]] weft_state state(const PrefixLens &lens);

/// A reason as tables, --json and metrics show it.
struct ReasonInfo {
    weft_reason reason;
    weft_class verdict;
    std::string_view label;
    std::string_view text;
};
#define WEFT_REASON_INFO(number, name, class, label, text) ReasonInfo{WEFT_R_##name, WEFT_CLASS_##class, label, text},
inline constexpr ReasonInfo kReasons[] = {WEFT_REASONS(WEFT_REASON_INFO)};
#undef WEFT_REASON_INFO

/// A check that can be relaxed, by the reason for which it drops.
struct CheckInfo {
    weft_reason reason;
    weft_check_mode mode; ///< unless told otherwise
};
#define WEFT_CHECK_INFO(name, mode) CheckInfo{WEFT_R_##name, WEFT_CHECK_##mode},
inline constexpr CheckInfo kChecks[] = {WEFT_CHECKS(WEFT_CHECK_INFO)};
#undef WEFT_CHECK_INFO

#define WEFT_CHECK_MODE_LABEL(name, label) label,
inline constexpr std::string_view kCheckModes[] = {WEFT_CHECK_MODES(WEFT_CHECK_MODE_LABEL)}; ///< by weft_check_mode
#undef WEFT_CHECK_MODE_LABEL

struct HookInfo {
    weft_hook hook;
    std::string_view label;
    std::string_view text;
};
#define WEFT_HOOK_INFO(number, name, label, text) HookInfo{WEFT_HOOK_##name, label, text},
inline constexpr HookInfo kHooks[] = {WEFT_HOOKS(WEFT_HOOK_INFO)};
#undef WEFT_HOOK_INFO

// The class of a reason is also its range of numbers, so that programs need no table.
static_assert(std::ranges::all_of(kReasons, [](const ReasonInfo &r) {
    const int number = r.reason;
    const auto range = number < WEFT_R_FIRST_STACK  ? WEFT_CLASS_FORWARD
                       : number < WEFT_R_FIRST_DROP ? WEFT_CLASS_STACK
                                                    : WEFT_CLASS_DROP;
    return r.verdict == range && number < WEFT_R_COUNT;
}));

/// "forward", "stack" or "drop".
[[nodiscard]] constexpr std::string_view class_label(weft_class verdict) {
    switch (verdict) {
    case WEFT_CLASS_FORWARD: return "forward";
    case WEFT_CLASS_STACK: return "stack";
    case WEFT_CLASS_DROP: return "drop";
    case WEFT_CLASS_NONE: break;
    }
    return "none";
}

[[nodiscard]] constexpr std::string_view encap_label(unsigned encap) {
    switch (encap) {
#define WEFT_ENCAP_LABEL(number, name, label, backend, overhead)                                                       \
    case WEFT_ENCAP_##name: return #label;
        WEFT_ENCAPS(WEFT_ENCAP_LABEL)
#undef WEFT_ENCAP_LABEL
    default: return "none";
    }
}

} // namespace weft::abi

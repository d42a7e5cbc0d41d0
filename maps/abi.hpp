// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "weft_abi.h"

#include <algorithm>
#include <bit>
#include <optional>
#include <string_view>
#include <type_traits>

#include "base/addr.hpp"

namespace weft::abi {

// A padded key would make equal keys differ in bytes that nobody set.
static_assert(std::has_unique_object_representations_v<weft_lease_key>);
static_assert(std::has_unique_object_representations_v<weft_ip4>);
static_assert(std::has_unique_object_representations_v<weft_lease>);
static_assert(std::has_unique_object_representations_v<weft_endpoint>);

[[nodiscard]] inline weft_ip4 ip4(const Ip4 &addr) { return std::bit_cast<weft_ip4>(addr.to_bytes()); }
[[nodiscard]] inline Ip4 ip4(const weft_ip4 &addr) { return Ip4(std::bit_cast<Ip4::bytes_type>(addr)); }
[[nodiscard]] inline weft_mac mac(const Mac &mac) { return std::bit_cast<weft_mac>(mac.bytes); }
[[nodiscard]] inline Mac mac(const weft_mac &mac) { return std::bit_cast<Mac>(mac); }

[[nodiscard]] inline weft_lease_key lease_key(const Net4 &subnet) {
    return {ip4(subnet.network()), subnet.prefix_length()};
}
[[nodiscard]] inline Net4 subnet(const weft_lease_key &key) {
    return Net4(ip4(key.subnet), static_cast<unsigned short>(key.prefix_len));
}

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

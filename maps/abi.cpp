// SPDX-License-Identifier: Apache-2.0
#include "abi.hpp"

namespace weft::abi {
namespace {

constexpr unsigned kMappedBits = 96; // ::ffff:0:0/96

/// The first `bits` bits set.
weft_ip mask_of(unsigned bits) {
    weft_ip mask{};
    for (auto &octet : mask.octet) {
        const unsigned here = std::min(bits, 8U);
        octet = static_cast<__u8>(0xff00U >> here);
        bits -= here;
    }
    return mask;
}

weft_ip all_ones() { return mask_of(128); }

} // namespace

weft_net net(const std::optional<Net> &prefix) {
    if (!prefix) return {.base = all_ones(), .mask = {}};
    const unsigned len = prefix->prefix_length() + (prefix->is_v4() ? kMappedBits : 0);
    return {.base = ip(prefix->canonical().address()), .mask = mask_of(len)};
}

PrefixLens prefix_lens(const weft_state &state) {
    PrefixLens out;
    std::ranges::transform(state.prefix_lens, out.of.begin(), [](const weft_prefix_lens &lens) {
        return std::vector(lens.len, lens.len + std::min<std::size_t>(lens.count, WEFT_MAX_PREFIX_LENS));
    });
    return out;
}

weft_state state(const PrefixLens &lens) {
    weft_state out{};
    std::ranges::transform(lens.of, out.prefix_lens, [](const std::vector<std::uint8_t> &of) {
        weft_prefix_lens filled{};
        filled.count = static_cast<__u32>(std::min<std::size_t>(of.size(), WEFT_MAX_PREFIX_LENS));
        std::copy_n(of.begin(), filled.count, filled.len);
        return filled;
    });
    return out;
}

} // namespace weft::abi

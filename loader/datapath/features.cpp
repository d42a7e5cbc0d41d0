// SPDX-License-Identifier: Apache-2.0
#include "datapath/features.hpp"

#include <bpf/btf.h>

#include <algorithm>
#include <array>
#include <memory>
#include <span>
#include <string_view>

namespace weft::datapath {
namespace {

struct BtfFree {
    void operator()(btf *p) const { btf__free(p); }
};
using BtfPtr = std::unique_ptr<btf, BtfFree>;

/// Kernel functions live in vmlinux's BTF, or in nf_conntrack's where that is a module.
bool has_function(const btf &kernel, const char *name) {
    return btf__find_by_name_kind(&kernel, name, BTF_KIND_FUNC) > 0;
}

/// Values of the helpers' flags are in one unnamed enumeration.
bool has_enumerator(const btf &kernel, std::string_view name) {
    for (__u32 id = 1; id < btf__type_cnt(&kernel); ++id) {
        const btf_type *type = btf__type_by_id(&kernel, id);
        if (!btf_is_enum(type)) continue;
        const auto values = std::span(btf_enum(type), btf_vlen(type));
        if (std::ranges::any_of(
                values, [&](const struct btf_enum &v) { return btf__name_by_offset(&kernel, v.name_off) == name; }))
            return true;
    }
    return false;
}

} // namespace

Features probe_features() {
    Features found;
    const BtfPtr vmlinux(btf__load_vmlinux_btf());
    if (!vmlinux) return found;
    found.pop_other_family = has_enumerator(*vmlinux, "BPF_F_ADJ_ROOM_DECAP_L3_IPV6");
    const BtfPtr module(btf__load_module_btf("nf_conntrack", vmlinux.get()));
    constexpr std::array kNeeded{"bpf_skb_ct_lookup", "bpf_xdp_ct_lookup", "bpf_ct_release"};
    found.conntrack_lookup = std::ranges::all_of(kNeeded, [&](const char *name) {
        return has_function(*vmlinux, name) || (module && has_function(*module, name));
    });
    return found;
}

} // namespace weft::datapath

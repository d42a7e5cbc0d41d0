// SPDX-License-Identifier: Apache-2.0
#include "datapath/features.hpp"

#include <bpf/btf.h>

#include <algorithm>
#include <array>
#include <memory>

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

} // namespace

Features probe_features() {
    Features found;
    const BtfPtr vmlinux(btf__load_vmlinux_btf());
    if (!vmlinux) return found;
    const BtfPtr module(btf__load_module_btf("nf_conntrack", vmlinux.get()));
    constexpr std::array kNeeded{"bpf_skb_ct_lookup", "bpf_xdp_ct_lookup", "bpf_ct_release"};
    found.conntrack_lookup = std::ranges::all_of(kNeeded, [&](const char *name) {
        return has_function(*vmlinux, name) || (module && has_function(*module, name));
    });
    return found;
}

} // namespace weft::datapath

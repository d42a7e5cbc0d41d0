// SPDX-License-Identifier: Apache-2.0
#include "daemon/capabilities.hpp"

#include <cap-ng.h>
#include <sys/prctl.h>
#include <sys/resource.h>

#include <vector>

namespace weft {
namespace {

bool held(unsigned capability) { return capng_have_capability(CAPNG_PERMITTED, capability) != 0; }

/// Since 5.8 a part of what CAP_SYS_ADMIN was; the kernel goes on to take that for it.
bool can_load_programs() { return held(CAP_BPF) || held(CAP_SYS_ADMIN); }

/// The unit's CapabilityBoundingSet, which a test compares with this.
std::vector<unsigned> needed(bool binds_low_port) {
    std::vector<unsigned> all{CAP_NET_ADMIN, CAP_NET_RAW, CAP_BPF, CAP_PERFMON, CAP_SYS_ADMIN};
    if (binds_low_port) all.push_back(CAP_NET_BIND_SERVICE);
    return all;
}

/// Kernels before 5.11 count maps as locked memory, and libbpf raises the limit at its first map: for want of CAP_SYS_RESOURCE
/// it could not then. A limit that cannot be raised (a container's) is libbpf's to complain of.
void allow_maps() {
    const rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
    (void)::setrlimit(RLIMIT_MEMLOCK, &unlimited);
}

} // namespace

Status drop_capabilities(bool binds_low_port) {
    if (capng_get_caps_process() != 0) return fail_errno(errno, "capabilities");
    if (!held(CAP_NET_ADMIN) || !can_load_programs())
        return fail("weftd needs root, or at least CAP_NET_ADMIN, CAP_BPF and CAP_SYS_ADMIN", EPERM);
    allow_maps();
    std::vector<unsigned> kept;
    for (const unsigned capability : needed(binds_low_port))
        if (held(capability)) kept.push_back(capability); // also: this kernel knows it
    const bool may_bound = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) != 0;
    capng_clear(CAPNG_SELECT_ALL);
    // NOLINTNEXTLINE(clang-analyzer-optin.core.EnumCastOutOfRange): libcap-ng's flags.
    constexpr auto kSets = static_cast<capng_type_t>(CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_BOUNDING_SET);
    for (const unsigned capability : kept)
        if (capng_update(CAPNG_ADD, kSets, capability) != 0) return fail("capabilities: cannot be chosen", EINVAL);
    if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return fail_errno(errno, "no_new_privs");
    // Without CAP_SETPCAP whoever started us has bounded us already.
    if (may_bound && capng_apply(CAPNG_SELECT_BOUNDS) != 0) return fail_errno(errno, "bound the capabilities");
    if (capng_apply(CAPNG_SELECT_AMBIENT) != 0) return fail_errno(errno, "drop ambient capabilities");
    if (capng_apply(CAPNG_SELECT_CAPS) != 0) return fail_errno(errno, "drop capabilities");
    return {};
}

} // namespace weft

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/error.hpp"

namespace weft {

/// Gives up, for ever and for everything that is run from here, each of root's capabilities but those by which weftd works:
/// permitted, effective and bounding set are what docs/confinement.md lists, inheritable and ambient set are empty, and no
/// set-uid file gives anything back (no_new_privs).
///
/// Contract: what is missing of them in the first place (a container, a systemd unit) stays missing.
/// Threads: a capability is a thread's own: called before there is a second one.
/// @param binds_low_port a port below 1024 will be listened on.
/// Errors: EPERM without CAP_NET_ADMIN or what loads programs: nothing of weftd's work can be done.
[[nodiscard]] Status drop_capabilities(bool binds_low_port);

} // namespace weft

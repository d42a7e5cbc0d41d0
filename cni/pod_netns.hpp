// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cni/context.hpp"
#include "net/netns.hpp"

namespace weft::cni {

/// The namespace that CNI_NETNS names.
/// Errors: kInvalidEnvironment where there is none, kInvalidNetns for the host's own, whatever its path.
[[nodiscard]] Outcome<net::Netns> open_pod_netns(const Context &context);

} // namespace weft::cni

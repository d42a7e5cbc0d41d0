// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "cni/invocation.hpp"

namespace weft::cni {

/// One run of the plugin: environment and stdin in, result or error JSON on stdout, remarks on stderr.
/// @return the exit status.
[[nodiscard]] int run_command(const Environment &env);

} // namespace weft::cni

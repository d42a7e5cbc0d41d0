// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "cni/invocation.hpp"

namespace weft::cni {

/// One run of the plugin: environment and stdin in, result or error JSON on stdout, remarks on stderr.
/// @return the exit status.
[[nodiscard]] int run_command(const Environment &env);

/// The exit status that goes with the result or error that is on stdout by now: nothing may be said after it.
[[nodiscard]] std::optional<int> answered();

} // namespace weft::cni

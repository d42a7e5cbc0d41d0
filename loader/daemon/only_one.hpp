// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace weft {

/// Claims this network namespace for one weftd, whatever its run directory: two would fight over weft.1 and one subnet. The
/// claim ends with the fd, also when the process is killed.
/// @return no fd where a process that is not root's holds the name: then another weftd would not be noticed.
/// Errors: EADDRINUSE when another weftd has it.
[[nodiscard]] Result<UniqueFd> claim_network_namespace();

} // namespace weft

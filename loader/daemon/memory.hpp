// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace weft {

/// Before anything is allocated and before there are threads.
void keep_memory_small();

/// Gives back what was needed for a moment: by a list of all leases, by the start.
void let_go_of_memory();

} // namespace weft

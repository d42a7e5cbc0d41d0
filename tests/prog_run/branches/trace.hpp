// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

#include "base/error.hpp"

namespace weft::prog_run {

/// Writes which jumps a program's object took, where it was compiled by counting_clang.py; nothing otherwise.
/// @param file made or replaced: the map's words as the kernel has them
[[nodiscard]] Status write_branches(int program_fd, const std::filesystem::path &file);

} // namespace weft::prog_run

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace weft::cni {

/// Small text files, read and written in one go. Errors carry errno and name the file.

/// Reads everything from a descriptor (stdin, a pipe). @param what names it in an error.
[[nodiscard]] Result<std::string> read_all(int fd, std::string_view what);

/// @param dir_fd as for openat(): AT_FDCWD for a path from here.
[[nodiscard]] Result<std::string> read_text_at(int dir_fd, const std::filesystem::path &path);

/// Truncates or creates.
[[nodiscard]] Status write_text(const std::filesystem::path &path, std::string_view text, mode_t mode);

/// Writes everything to a descriptor.
[[nodiscard]] Status write_all(int fd, std::string_view text, std::string_view what);

/// Makes a file that was not there appear with its whole content in one step: a crash leaves all of it or nothing.
/// @return false if there is a file of that name.
[[nodiscard]] Result<bool> create_whole(const std::filesystem::path &path, std::string_view text, mode_t mode);

} // namespace weft::cni

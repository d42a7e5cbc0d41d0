// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace weft::cni {

/// Small text files, read and written in one go. Errors carry errno and name the file. A name that turns out to be a symbolic
/// link, a FIFO or a device is an error: nothing outside the directory is written, and nobody waits.

/// Ours have an id and a name, an address, or a few lines.
inline constexpr std::size_t kLongestFile = 64UL * 1024;

/// As fail_errno(); of a symbolic link that was not followed it says so.
[[nodiscard]] std::unexpected<Error> fail_open(int errnum, const std::filesystem::path &path);

/// Reads everything from a descriptor (stdin, a pipe). @param what names it in an error.
/// Errors: EFBIG if there is more than `most`.
[[nodiscard]] Result<std::string> read_all(int fd, std::string_view what, std::size_t most = kLongestFile);

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

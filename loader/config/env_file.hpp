// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace weft {

using EnvVariables = std::map<std::string, std::string, std::less<>>;

/// Without the blanks, tabs and carriage returns around it.
[[nodiscard]] std::string_view trim(std::string_view text);

/// Splits at `separator`; an empty text has one empty part.
[[nodiscard]] std::vector<std::string_view> split(std::string_view text, char separator);

/// The variables of `KEY=VALUE` lines: blank lines, `#` comments, `export` and quotes are allowed, the last of duplicated
/// keys wins. Nothing is expanded.
[[nodiscard]] EnvVariables parse_env(std::string_view text);

/// A file, whole. Errors: name it; ENOENT if it is not there.
[[nodiscard]] Result<std::string> read_env_file(const std::filesystem::path &path);

/// Replaces a file in one step: a reader, or a crash at any moment, sees the old bytes or the new ones. Makes the
/// directory (0755) if need be; the file's mode is 0644.
[[nodiscard]] Status replace_file(const std::filesystem::path &path, std::string_view text);

} // namespace weft

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace weft::net {

/// Kernel settings by their path below /proc/sys ("net/ipv4/ip_forward"): a dot in a device's name is then no separator.
/// /proc/sys/net shows the calling thread's network namespace.

/// Without the line's end; nullopt where the kernel has no such setting.
[[nodiscard]] Result<std::optional<std::string>> read_sysctl(std::string_view path);
[[nodiscard]] Status write_sysctl(std::string_view path, std::string_view value);

} // namespace weft::net

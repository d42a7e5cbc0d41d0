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

/// The path of one link's setting: link_sysctl("ipv6", "eth0", "accept_ra"). "all" and "default" are links here.
[[nodiscard]] std::string link_sysctl(std::string_view family, std::string_view link, std::string_view setting);

} // namespace weft::net

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bpf/libbpf.h>

#include <filesystem>
#include <string_view>

#include "base/error.hpp"

namespace weft::datapath {

/// Makes bpf_dir (0700: its maps steer the node's traffic). It must lie on a bpffs.
[[nodiscard]] Status make_bpf_dir(const std::filesystem::path &bpf_dir);

/// Sets where `map` is pinned, so that loading reuses a pin that is there. A pin made for another size is removed first: its
/// map lives on for the programs that still use it, and this load makes a new one, to be filled from the leases.
[[nodiscard]] Status set_pin(bpf_map &map, const std::filesystem::path &bpf_dir, std::string_view pin);

/// Pins a program under a name, replacing what is there in one step, so that the name never is missing.
[[nodiscard]] Status replace_program_pin(int program_fd, const std::filesystem::path &bpf_dir, std::string_view pin);

} // namespace weft::datapath

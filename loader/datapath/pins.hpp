// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bpf/libbpf.h>

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace weft::datapath {

/// Makes bpf_dir (0700: its maps steer the node's traffic). It must lie on a bpffs.
[[nodiscard]] Status make_bpf_dir(const std::filesystem::path &bpf_dir);

/// Sets where `map` is pinned, so that loading reuses a pin that is there. A pin made for another size is removed first: its
/// map lives on for the programs that still use it, and this load makes a new one, to be filled from the leases.
[[nodiscard]] Status set_pin(bpf_map &map, const std::filesystem::path &bpf_dir, std::string_view pin);

/// Makes sure that `pin` names this map or program and nothing else: what is there otherwise is replaced in one step, so that
/// the name never is missing.
/// @return whether it was not so.
[[nodiscard]] Result<bool> keep_map_pin(int map_fd, const std::filesystem::path &bpf_dir, std::string_view pin);
[[nodiscard]] Result<bool> keep_program_pin(int program_fd, const std::filesystem::path &bpf_dir, std::string_view pin);

/// Whether `pin` names this map.
[[nodiscard]] bool is_pinned_map(int map_fd, const std::filesystem::path &bpf_dir, std::string_view pin);

/// The kernel's id of what is pinned there; 0 for nothing.
[[nodiscard]] std::uint32_t pinned_id(const std::filesystem::path &bpf_dir, std::string_view pin);

/// Removes the pins that another version of weft made: of the same names as `pins` but with another number behind "_v". Their
/// maps and programs live on as long as something uses them.
/// @return their names.
[[nodiscard]] Result<std::vector<std::string>> remove_other_versions(const std::filesystem::path &bpf_dir,
                                                                     const std::vector<std::string_view> &pins);

} // namespace weft::datapath

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string_view>

#include "base/error.hpp"
#include "pinned.hpp"

namespace weft::ctl {

/// What a failed opening of a pin means to an operator: nobody has set up this node (ENOENT), or not root (EACCES).
/// Other errors stay as they are.
[[nodiscard]] Error explain_pin_error(Error error, const std::filesystem::path &bpf_dir);

/// EACCES for anything that only root may do.
[[nodiscard]] Error not_permitted();

/// Opens one of weft's maps; errors are explained.
template <class Map> [[nodiscard]] Result<Map> open_map(const std::filesystem::path &bpf_dir, std::string_view pin) {
    auto map = Map::open(bpf_dir, pin);
    if (!map) return std::unexpected(explain_pin_error(std::move(map).error(), bpf_dir));
    return map;
}

} // namespace weft::ctl

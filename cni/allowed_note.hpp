// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "abi.hpp"
#include "base/addr.hpp"
#include "base/error.hpp"

namespace weft::cni {

/// What a pod may use as sources beside its own addresses, as a file in weftd's run directory: so that weftd can put it into a
/// map that was made anew.
///
/// Contract: the note is there before the map's entries are, and goes before they do; one without its veth is nobody's. Only
/// pods that were told of something have one. Threads, processes: any number; a note appears whole.

/// The map's entries. @param any every source
[[nodiscard]] std::vector<weft_allowed_key> allowed_keys(int ifindex, const std::vector<Net> &sources, bool any);

/// In place of what was noted for this host end before.
[[nodiscard]] Status note_allowed(const std::filesystem::path &run_dir, std::string_view host_ifname,
                                  const std::vector<Net> &sources, bool any);
/// None is no error.
[[nodiscard]] Status forget_allowed(const std::filesystem::path &run_dir, std::string_view host_ifname);

struct AllowedNote {
    std::string host_ifname;
    std::vector<Net> sources;
    bool any = false;
};
/// All of them, but for what cannot be read.
[[nodiscard]] std::vector<AllowedNote> allowed_notes(const std::filesystem::path &run_dir);

} // namespace weft::cni

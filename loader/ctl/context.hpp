// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>

namespace weft::ctl {

/// What every command of weftctl is told.
struct Context {
    std::filesystem::path run_dir = "/run/weft";
    std::filesystem::path bpf_dir = "/sys/fs/bpf/weft";
    bool json = false; ///< one JSON document instead of a table
};

} // namespace weft::ctl

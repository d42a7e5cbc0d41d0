// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>

#include "base/error.hpp"
#include "ctl/context.hpp"

namespace weft::ctl {

struct CleanupOptions {
    std::filesystem::path subnet_file = "/run/flannel/subnet.env";
    bool dry_run = false;   ///< only tell
    bool pods = false;      ///< also running pods' interfaces, which cuts those pods off
    bool keep_pods = false; ///< running pods go on through the host's stack
};

/// Takes weft off this node, and tells what it removed, one line each.
/// Errors, with nothing touched: EADDRINUSE while weftd runs, EBUSY while pods are there that nobody has given up. When a
/// step fails the others are taken all the same, and the error names each that failed.
[[nodiscard]] Result<std::string> run_cleanup(const Context &context, const CleanupOptions &options);

} // namespace weft::ctl

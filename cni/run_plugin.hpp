// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace weft::cni {

/// A plugin that has ended.
struct PluginRun {
    int exit_status = 0; ///< 0: success; -1: killed by a signal
    std::string ending;  ///< "exit status 1", "killed by signal 9"
    std::string output;  ///< its stdout
};

/// Runs a plugin with this process's environment except CNI_COMMAND, `input` on stdin, stderr shared.
/// Errors: it could not be started; how it ended is in the result.
[[nodiscard]] Result<PluginRun> run_plugin(const std::filesystem::path &path, std::string_view command,
                                           std::string_view input);

} // namespace weft::cni

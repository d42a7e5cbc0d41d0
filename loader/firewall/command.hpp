// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"

namespace weft {

/// A command that has ended.
struct CommandOutput {
    int code = -1; ///< exit status; 128 + signal if a signal ended it
    std::string out, err;
};

/// The full path of a command, by PATH (the usual places for administrators where there is none); nullopt: not installed.
[[nodiscard]] std::optional<std::string> find_command(std::string_view name);

/// Runs a command (argv[0] is its full path) with `input` on stdin, this process's environment, and waits for its end.
/// Errors: it could not be started; ETIMEDOUT: it took longer than `timeout` and was killed.
[[nodiscard]] Result<CommandOutput> run_command(std::vector<std::string> argv, std::string_view input = {},
                                                std::chrono::milliseconds timeout = std::chrono::seconds(10));

} // namespace weft

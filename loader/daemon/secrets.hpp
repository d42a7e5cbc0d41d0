// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

namespace weft {

/// Overwrites a secret wherever the command line and the environment of this process hold it, as `ps` and /proc/PID/environ
/// show them, and takes the variables that held it out of what children inherit. Values are looked for, not names: a flag has
/// many spellings.
/// Threads: before there is a second one.
void hide_secret(char **argv, std::string_view secret);

} // namespace weft

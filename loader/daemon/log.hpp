// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <spdlog/logger.h>

#include <memory>
#include <string>

namespace weft {

/// One line an event on stderr, "level component: sentence key=value". No time: journald and container runtimes add theirs.
///
/// error: a human should act; warn: degraded but handled; info: state changed; debug: per item.
/// @param level debug, info, warn or error.
void set_up_logging(const std::string &level);
[[nodiscard]] std::shared_ptr<spdlog::logger> make_logger(const std::string &component);

} // namespace weft

// SPDX-License-Identifier: Apache-2.0
#include "daemon/log.hpp"

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace weft {

void set_up_logging(const std::string &level) {
    spdlog::set_level(spdlog::level::from_str(level == "error" ? "err" : level));
    // Libraries of ours that know no component log to the default logger and name themselves.
    auto plain = std::make_shared<spdlog::logger>("", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    plain->set_pattern("%l %v");
    plain->set_level(spdlog::get_level());
    spdlog::set_default_logger(std::move(plain));
}

std::shared_ptr<spdlog::logger> make_logger(const std::string &component) {
    auto logger = std::make_shared<spdlog::logger>(component, std::make_shared<spdlog::sinks::stderr_sink_mt>());
    logger->set_pattern("%l %n: %v");
    logger->set_level(spdlog::get_level());
    return logger;
}

} // namespace weft

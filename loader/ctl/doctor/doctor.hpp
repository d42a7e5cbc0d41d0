// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "ctl/context.hpp"
#include "ctl/doctor/check.hpp"

namespace weft::ctl {

using Findings = std::vector<std::pair<std::string, Finding>>; ///< by the check's name

/// A line for each check, and below it, where there is one, the advice.
[[nodiscard]] std::string doctor_text(const Findings &findings);
[[nodiscard]] nlohmann::ordered_json doctor_json(const Findings &findings);

struct DoctorReport {
    std::string text;
    bool healthy = true; ///< no check failed; warnings are allowed
};

/// `weftctl doctor`: looks at everything that is known to go wrong on a node. Changes nothing, and needs no running weftd.
/// @param subnet_file of the node, where weftd does not run to tell.
[[nodiscard]] Result<DoctorReport> run_doctor(const Context &context, const std::filesystem::path &subnet_file);

} // namespace weft::ctl

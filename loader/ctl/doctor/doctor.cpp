// SPDX-License-Identifier: Apache-2.0
#include "ctl/doctor/doctor.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "ctl/doctor/facts.hpp"
#include "ctl/table.hpp"

namespace weft::ctl {

std::string_view to_string(CheckState state) {
    switch (state) {
    case CheckState::ok: return "ok";
    case CheckState::warn: return "warn";
    case CheckState::fail: return "fail";
    }
    return "unknown";
}

std::string doctor_text(const Findings &findings) {
    std::size_t width = 0;
    for (const auto &[name, finding] : findings) width = std::max(width, name.size());
    std::string text;
    for (const auto &[name, finding] : findings) {
        text += fmt::format("{:<4}  {:<{}}  {}\n", to_string(finding.state), name, width, finding.found);
        if (!finding.advice.empty()) text += fmt::format("{:<{}}-> {}\n", "", width + 8, finding.advice);
    }
    return text;
}

nlohmann::ordered_json doctor_json(const Findings &findings) {
    auto list = nlohmann::ordered_json::array();
    for (const auto &[name, finding] : findings)
        list.push_back({{"name", name},
                        {"state", to_string(finding.state)},
                        {"found", finding.found},
                        {"advice", text_or_null(finding.advice)}});
    return list;
}

Result<DoctorReport> run_doctor(const Context &context, const std::filesystem::path &subnet_file) {
    const auto facts = gather_facts(context, subnet_file);
    if (!facts) return std::unexpected(facts.error());
    Findings findings;
    DoctorReport report;
    for (const auto &table : {daemon_checks(), access_checks(), host_checks(), firewall_checks(), datapath_checks()})
        for (const auto &check : table) {
            findings.emplace_back(check.name, check.look(*facts));
            report.healthy = report.healthy && findings.back().second.state != CheckState::fail;
        }
    report.text = context.json ? json_text(doctor_json(findings)) : doctor_text(findings);
    return report;
}

} // namespace weft::ctl

// SPDX-License-Identifier: Apache-2.0
#include "ctl/audit.hpp"

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <vector>

#include "ctl/control_socket.hpp"
#include "ctl/table.hpp"

namespace weft::ctl {

Result<AuditReport> run_audit(const Context &context, bool repair) {
    constexpr std::chrono::seconds kPatience{30}; // a hundred thousand leases are read, and perhaps written
    const auto answer = ask(context.run_dir, {{"command", "audit"}, {"repair", repair}}, kPatience);
    if (!answer) return std::unexpected(answer.error());
    const auto found = answer->value("found", std::vector<std::string>());
    const auto left = answer->value("left", std::vector<std::string>());
    AuditReport report{.text = {}, .clean = left.empty()};
    if (context.json) {
        report.text = json_text({{"found", found}, {"left", left}});
        return report;
    }
    for (const auto &line : found) report.text += line + "\n";
    for (const auto &line : repair ? left : std::vector<std::string>()) report.text += "still: " + line + "\n";
    if (found.empty()) report.text = "everything is as it should be\n";
    return report;
}

} // namespace weft::ctl

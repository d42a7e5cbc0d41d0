// SPDX-License-Identifier: Apache-2.0
#include "config/checks.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <vector>

namespace weft {
namespace {

constexpr std::string_view kAll = "all";

std::string_view label_of(weft_reason reason) {
    return std::ranges::find(abi::kReasons, reason, &abi::ReasonInfo::reason)->label;
}

const abi::CheckInfo *find_check(std::string_view name) {
    const auto *found =
        std::ranges::find(abi::kChecks, name, [](const abi::CheckInfo &check) { return label_of(check.reason); });
    return found == std::end(abi::kChecks) ? nullptr : found;
}

/// What stands behind the "=" of `text`.
Result<weft_check_mode> mode_in(std::string_view text) {
    const auto equals = text.find('=');
    const auto name = equals == std::string_view::npos ? std::string_view() : text.substr(equals + 1);
    const auto *found = std::ranges::find(abi::kCheckModes, name);
    if (found == std::end(abi::kCheckModes))
        return fail(fmt::format("\"{}\" does not end in \"=\" and one of {}", text, fmt::join(abi::kCheckModes, ", ")));
    return static_cast<weft_check_mode>(found - std::begin(abi::kCheckModes));
}

std::string names() {
    std::vector<std::string_view> all{kAll, kSocketGuard};
    for (const auto &check : abi::kChecks) all.push_back(label_of(check.reason));
    return fmt::format("{}", fmt::join(all, ", "));
}

void set(CheckModes &modes, const abi::CheckInfo &check, weft_check_mode mode) {
    if (mode == check.mode)
        modes.by_reason.erase(check.reason);
    else
        modes.by_reason[check.reason] = mode;
}

} // namespace

weft_check_mode CheckModes::of(weft_reason check) const {
    if (const auto set = by_reason.find(check); set != by_reason.end()) return set->second;
    const auto *found = std::ranges::find(abi::kChecks, check, &abi::CheckInfo::reason);
    return found == std::end(abi::kChecks) ? WEFT_CHECK_ENFORCE : found->mode;
}

Status set_check(CheckModes &modes, std::string_view text) {
    const auto name = text.substr(0, text.find('='));
    const auto *check = find_check(name);
    if (!check && name != kAll && name != kSocketGuard) return fail(fmt::format("\"{}\" is none of {}", name, names()));
    const auto mode = mode_in(text);
    if (!mode) return std::unexpected(mode.error());
    if (name == kAll || name == kSocketGuard) modes.socket_guard = *mode;
    for (const auto &one : abi::kChecks)
        if (name == kAll || &one == check) set(modes, one, *mode);
    return {};
}

std::string to_string(const CheckModes &modes) {
    std::vector<std::string> all;
    for (const auto &[reason, mode] : modes.by_reason)
        all.push_back(fmt::format("{}={}", label_of(reason), abi::kCheckModes[mode]));
    if (modes.socket_guard != WEFT_CHECK_ENFORCE)
        all.push_back(fmt::format("{}={}", kSocketGuard, abi::kCheckModes[modes.socket_guard]));
    return fmt::format("{}", fmt::join(all, ", "));
}

} // namespace weft

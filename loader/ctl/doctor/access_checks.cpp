// SPDX-License-Identifier: Apache-2.0
// Who gets at what: weftd at etcd, and others at weftd.
#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include "ctl/control_socket.hpp"
#include "ctl/doctor/check.hpp"
#include "ctl/doctor/facts.hpp"
#include "ctl/doctor/judge.hpp"

namespace weft::ctl {
namespace {

using Clock = std::chrono::system_clock;

constexpr auto kSoon = std::chrono::days(7);

constexpr const char *kRenew = "renew it; weftd reads the files within seconds of their change, without a restart";

Finding credentials_are_valid(const NodeFacts &facts) {
    const auto file = [&](const char *name) { return facts.said(std::string("/etcd/files/") + name); };
    EtcdOptions options;
    options.cafile = file("ca");
    options.certfile = file("certificate");
    options.keyfile = file("key");
    if (options.cafile.empty() && options.certfile.empty())
        return {CheckState::ok, facts.daemon ? "no certificate files are configured" : facts.daemon_said, {}};
    if (const auto read = etcd::read_tls_files(options); !read)
        return {CheckState::fail, read.error().sentence(),
                "weftd goes on with what it read before, until it is restarted"};
    Finding worst{CheckState::ok, {}, {}};
    for (const auto &path : {options.cafile, options.certfile}) {
        if (path.empty()) continue;
        const auto validity = etcd::read_validity(path);
        if (!validity) return {CheckState::fail, validity.error().sentence(), {}};
        auto finding = judge_validity(*validity, Clock::now());
        if (worst.found.empty() || finding.state > worst.state) worst = std::move(finding);
    }
    return worst;
}

/// A file's owner and mode, where others than root could do what `forbidden` says.
std::string openness(const std::filesystem::path &path, mode_t forbidden) {
    struct stat found{};
    if (path.empty() || ::lstat(path.c_str(), &found) != 0) return {};
    if (found.st_uid == 0 && (found.st_mode & forbidden) == 0) return {};
    return fmt::format("{} (user {}, mode {:04o})", path.string(), found.st_uid, found.st_mode & 07777);
}

Finding files_are_roots(const NodeFacts &facts) {
    const std::pair<std::filesystem::path, mode_t> files[] = {
        {facts.run_dir, S_IRWXG | S_IRWXO},
        {facts.run_dir / kSocketName, S_IRWXG | S_IRWXO},
        {facts.subnet_file, S_IWGRP | S_IWOTH},
        {facts.said("/etcd/files/key"), S_IRWXO},
        {facts.said("/etcd/files/password"), S_IRWXO},
    };
    std::string open;
    for (const auto &[path, forbidden] : files)
        if (const auto found = openness(path, forbidden); !found.empty()) open += (open.empty() ? "" : ", ") + found;
    if (open.empty()) return {CheckState::ok, "run directory, subnet file and secrets are root's", {}};
    return {CheckState::warn, "others than root have access: " + open,
            "chown root, chmod 600 (a secret), 644 (the subnet file); weftd sets the run directory's itself when it "
            "starts"};
}

constexpr Check kAccessChecks[] = {
    {"certificates", credentials_are_valid},
    {"permissions", files_are_roots},
};

} // namespace

Finding judge_validity(const etcd::Validity &validity, Clock::time_point now) {
    if (const auto why = etcd::why_invalid(validity, now); !why.empty()) return {CheckState::fail, why, kRenew};
    const auto day = fmt::format("{:%F}", fmt::gmtime(Clock::to_time_t(validity.until)));
    if (validity.until - now < kSoon)
        return {CheckState::warn, fmt::format("{} expires soon, on {}", validity.file, day), kRenew};
    return {CheckState::ok, fmt::format("{} is valid until {}", validity.file, day), {}};
}

std::span<const Check> access_checks() { return kAccessChecks; }

} // namespace weft::ctl

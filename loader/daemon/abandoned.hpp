// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <spdlog/logger.h>

#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "cni/allowed_note.hpp"
#include "net/netlink.hpp"

namespace weft {

/// Gives back the addresses of pods that ended without DEL, by the notes that the CNI plugin leaves in the run directory, and
/// removes those of what such pods were allowed.
///
/// Contract: a pod has ended when its veth is gone and nothing at its namespace's path is that namespace; what cannot be
/// looked at counts as alive, and so does what an ADD is at. Only what the noted attachment itself holds is released, so a late
/// DEL, or a death at any moment, does no harm. Never waits for others' locks.
/// Threads: one, in the pods' host's network namespace.
class AbandonedReservations {
public:
    AbandonedReservations(std::filesystem::path run_dir, std::shared_ptr<spdlog::logger> log)
        : run_dir_(std::move(run_dir)), log_(std::move(log)) {}

    void collect();
    /// Some could not be decided about, or not be released, or there are others by now: to be tried again. Of an ADD that dies
    /// before it makes a veth nothing else tells.
    [[nodiscard]] bool unsure() const { return unsure_ || changed_at() != seen_at_; }

private:
    /// When a note came or went last.
    [[nodiscard]] std::filesystem::file_time_type changed_at() const;
    [[nodiscard]] Status collect_from(const std::vector<std::string> &notes,
                                      const std::vector<cni::AllowedNote> &allowed);
    [[nodiscard]] Status collect(const std::string &note, net::NlSocket &sock);

    const std::filesystem::path run_dir_;
    const std::shared_ptr<spdlog::logger> log_;
    bool unsure_ = false;
    std::filesystem::file_time_type seen_at_;
    std::string said_;
};

} // namespace weft

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "cni/netconf.hpp"

namespace weft::cni {

/// Addresses that the built-in IPAM holds for one attachment: whose, where, and by what its end can be told.
struct Reservation {
    std::string network;
    Attachment owner;
    std::filesystem::path data_dir;
    std::string netns; ///< CNI_NETNS
    std::uint64_t netns_inode = 0;

    bool operator==(const Reservation &) const = default;
};

/// A reservation's note, a file in weftd's run directory: so that weftd can give back what a pod left that ended without DEL.
///
/// Contract: there is a note before there is a reservation, and as long as there is one, whoever dies at whatever moment.
/// ADD keeps it locked (flock) for its whole life: a note that can be locked is of no ADD that runs. It goes with a reboot, as
/// everything in the run directory does: from then on GC is needed.
/// Threads, processes: any number.
class ReservationNote {
public:
    /// Waits for whoever has it locked. One that is there already is written anew.
    [[nodiscard]] static Result<ReservationNote> make(const std::filesystem::path &run_dir, const Reservation &what);
    /// @return nothing if it is gone or somebody has it locked.
    [[nodiscard]] static Result<std::optional<ReservationNote>> open_idle(const std::filesystem::path &path);

    /// nullopt: its ADD died before anything was reserved.
    [[nodiscard]] const std::optional<Reservation> &what() const { return what_; }
    /// Nobody had noted anything for this attachment before.
    [[nodiscard]] bool is_new() const { return is_new_; }
    [[nodiscard]] Status remove() const;
    /// Whoever has it locked. None is no error.
    [[nodiscard]] static Status remove(const std::filesystem::path &run_dir, const Attachment &owner);
    /// Those of one network's reservations in one place that nobody wants to keep; not while an ADD has it locked.
    [[nodiscard]] static Status remove_others(const std::filesystem::path &run_dir, std::string_view network,
                                              const std::filesystem::path &data_dir,
                                              const std::vector<Attachment> &keep);

private:
    ReservationNote(std::filesystem::path path, UniqueFd lock) : path_(std::move(path)), lock_(std::move(lock)) {}
    [[nodiscard]] Result<bool> is_in_place() const;

    std::filesystem::path path_;
    UniqueFd lock_;
    std::optional<Reservation> what_;
    bool is_new_ = false;
};

/// Where an attachment's note is.
[[nodiscard]] std::filesystem::path note_path(const std::filesystem::path &run_dir, const Attachment &owner);
/// The host end of whose pod this file's name is; empty: it is no note's.
[[nodiscard]] std::string_view host_ifname_of_note(std::string_view file_name);

} // namespace weft::cni

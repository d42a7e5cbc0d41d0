// SPDX-License-Identifier: Apache-2.0
#include "cni/reservation_note.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "cni/identity.hpp"
#include "cni/text_file.hpp"

namespace weft::cni {
namespace {

constexpr std::string_view kNotePrefix = "pod.";
constexpr mode_t kMode = 0600;

std::string to_text(const Reservation &what) {
    return nlohmann::json{{"network", what.network},     {"containerID", what.owner.container_id},
                          {"ifname", what.owner.ifname}, {"dataDir", what.data_dir.string()},
                          {"netns", what.netns},         {"netnsInode", what.netns_inode}}
        .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

std::optional<Reservation> parse(std::string_view text) {
    const auto note = nlohmann::json::parse(text, nullptr, /* allow_exceptions */ false);
    if (!note.is_object()) return std::nullopt;
    const auto field = [&](const char *name) {
        const auto found = note.find(name);
        return found != note.end() && found->is_string() ? found->get<std::string>() : std::string();
    };
    const auto inode = note.find("netnsInode");
    Reservation what{.network = field("network"),
                     .owner = {field("containerID"), field("ifname")},
                     .data_dir = field("dataDir"),
                     .netns = field("netns"),
                     .netns_inode =
                         inode != note.end() && inode->is_number_unsigned() ? inode->get<std::uint64_t>() : 0};
    if (what.network.empty() || what.owner.container_id.empty() || what.owner.ifname.empty() || what.data_dir.empty())
        return std::nullopt;
    return what;
}

Status unlink_note(const std::filesystem::path &path) {
    if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
    return fail_errno(errno, path.string());
}

} // namespace

std::filesystem::path note_path(const std::filesystem::path &run_dir, const Attachment &owner) {
    return run_dir / (std::string(kNotePrefix) + host_ifname(owner));
}

std::string_view host_ifname_of_note(std::string_view file_name) {
    return file_name.starts_with(kNotePrefix) ? file_name.substr(kNotePrefix.size()) : std::string_view();
}

/// Whether what is locked is still what has the name: another may have removed it before we had the lock.
Result<bool> ReservationNote::is_in_place() const {
    struct stat named{}, locked{};
    if (::fstat(lock_.get(), &locked) != 0) return fail_errno(errno, path_.string());
    if (::lstat(path_.c_str(), &named) != 0)
        return errno == ENOENT ? Result<bool>(false) : fail_errno(errno, path_.string());
    return named.st_dev == locked.st_dev && named.st_ino == locked.st_ino;
}

Result<ReservationNote> ReservationNote::make(const std::filesystem::path &run_dir, const Reservation &what) {
    const auto path = note_path(run_dir, what.owner);
    for (;;) {
        UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, kMode));
        if (!lock) return fail_errno(errno, path.string());
        while (::flock(lock.get(), LOCK_EX) != 0)
            if (errno != EINTR) return fail_errno(errno, "lock " + path.string());
        ReservationNote note(path, std::move(lock));
        const auto in_place = note.is_in_place();
        if (!in_place) return std::unexpected(in_place.error());
        if (!*in_place) continue;
        const auto before = read_all(note.lock_.get(), path.string());
        note.is_new_ = before && !parse(*before);
        if (::ftruncate(note.lock_.get(), 0) != 0 || ::lseek(note.lock_.get(), 0, SEEK_SET) != 0)
            return fail_errno(errno, path.string());
        if (auto written = write_all(note.lock_.get(), to_text(what), path.string()); !written) {
            if (note.is_new_) ::unlink(path.c_str());
            return fail_as_is(std::move(written));
        }
        note.what_ = what;
        return note;
    }
}

Result<std::optional<ReservationNote>> ReservationNote::open_idle(const std::filesystem::path &path) {
    UniqueFd lock(::open(path.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (!lock && errno == ENOENT) return std::nullopt;
    if (!lock) return fail_errno(errno, path.string());
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
        if (errno == EWOULDBLOCK) return std::nullopt;
        return fail_errno(errno, "lock " + path.string());
    }
    ReservationNote note(path, std::move(lock));
    const auto in_place = note.is_in_place();
    if (!in_place) return std::unexpected(in_place.error());
    if (!*in_place) return std::nullopt;
    const auto text = read_all(note.lock_.get(), path.string());
    if (!text) return std::unexpected(text.error());
    note.what_ = parse(*text);
    return note;
}

Status ReservationNote::remove() const { return unlink_note(path_); }

Status ReservationNote::remove(const std::filesystem::path &run_dir, const Attachment &owner) {
    return unlink_note(note_path(run_dir, owner));
}

Status ReservationNote::remove_others(const std::filesystem::path &run_dir, std::string_view network,
                                      const std::filesystem::path &data_dir, const std::vector<Attachment> &keep) {
    Status all;
    const auto try_one = [&](const std::filesystem::path &path) -> Status {
        const auto note = open_idle(path);
        if (!note) return std::unexpected(note.error());
        if (!*note || !(*note)->what()) return {};
        const auto &what = *(*note)->what();
        if (what.network != network || what.data_dir != data_dir) return {};
        return std::ranges::find(keep, what.owner) == keep.end() ? (*note)->remove() : Status();
    };
    std::error_code err;
    for (std::filesystem::directory_iterator entry(run_dir, err), end; !err && entry != end; entry.increment(err))
        if (!host_ifname_of_note(entry->path().filename().string()).empty())
            if (auto done = try_one(entry->path()); !done && all) all = std::move(done);
    if (err && err != std::errc::no_such_file_or_directory) return fail_errno(err.value(), run_dir.string());
    return all;
}

} // namespace weft::cni

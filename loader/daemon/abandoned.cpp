// SPDX-License-Identifier: Apache-2.0
#include "daemon/abandoned.hpp"

#include <fmt/ranges.h>
#include <sys/stat.h>

#include <algorithm>
#include <set>

#include "cni/identity.hpp"
#include "cni/ipam_store.hpp"
#include "cni/reservation_note.hpp"
#include "net/link.hpp"

namespace weft {
namespace {

std::vector<std::string> notes_in(const std::filesystem::path &run_dir) {
    std::vector<std::string> notes;
    std::error_code ignored; // weftd made it; somebody who removed it has removed the notes too
    for (std::filesystem::directory_iterator entry(run_dir, ignored), end; !ignored && entry != end;
         entry.increment(ignored))
        if (auto name = entry->path().filename().string(); !cni::host_ifname_of_note(name).empty())
            notes.push_back(std::move(name));
    return notes;
}

/// Also true of one that cannot be looked at. Where weftd does not see the runtime's files the veth alone has to tell.
bool namespace_lives(const cni::Reservation &reservation) {
    struct stat there{};
    if (::stat(reservation.netns.c_str(), &there) == 0) return there.st_ino == reservation.netns_inode;
    return errno != ENOENT && errno != ENOTDIR && errno != ESRCH;
}

} // namespace

std::filesystem::file_time_type AbandonedReservations::changed_at() const {
    std::error_code ignored;
    return std::filesystem::last_write_time(run_dir_, ignored);
}

void AbandonedReservations::collect() {
    unsure_ = false;
    seen_at_ = changed_at();
    const auto notes = notes_in(run_dir_);
    const auto allowed = cni::allowed_notes(run_dir_);
    if (notes.empty() && allowed.empty()) return;
    const auto done = collect_from(notes, allowed);
    unsure_ |= !done;
    const auto said = done ? std::string() : done.error().sentence();
    if (said != said_ && !said.empty()) log_->warn("reservations of pods that are gone: {}", said);
    said_ = said;
}

Status AbandonedReservations::collect_from(const std::vector<std::string> &notes,
                                           const std::vector<cni::AllowedNote> &allowed) {
    auto sock = net::NlSocket::open();
    if (!sock) return fail_as_is(std::move(sock));
    const auto links = net::list_links(*sock);
    if (!links) return std::unexpected(links.error());
    std::set<std::string_view> there;
    for (const auto &link : *links) there.insert(link.name);
    Status all;
    for (const auto &note : allowed)
        if (!there.contains(note.host_ifname))
            if (auto forgotten = cni::forget_allowed(run_dir_, note.host_ifname); !forgotten && all)
                all = std::move(forgotten);
    for (const auto &note : notes) {
        if (there.contains(cni::host_ifname_of_note(note))) continue;
        if (auto collected = collect(note, *sock); !collected && all) all = std::move(collected);
    }
    return all;
}

Status AbandonedReservations::collect(const std::string &name, net::NlSocket &sock) {
    const auto note = cni::ReservationNote::open_idle(run_dir_ / name);
    if (!note) return std::unexpected(note.error());
    if (!*note) { // an ADD is at it
        unsure_ = true;
        return {};
    }
    if (!(*note)->what()) return (*note)->remove();
    const auto &reservation = *(*note)->what();
    // Once more, under the lock: the ADD may have ended after the look before. By the alias too: names can be changed.
    const auto links = net::list_links(sock);
    if (!links) return std::unexpected(links.error());
    const auto alias = cni::alias_of(reservation.network, reservation.owner);
    const bool wired = std::ranges::any_of(*links, [&](const net::Link &link) {
        return link.name == cni::host_ifname_of_note(name) || link.alias == alias;
    });
    if (wired) return {};
    if (namespace_lives(reservation)) { // whoever deleted the veth may not be the one who ends the pod
        unsure_ = true;
        return {};
    }
    const auto released = cni::IpamStore(reservation.data_dir / reservation.network, cni::IpamStore::Locked::give_up)
                              .release(reservation.owner);
    if (!released) return std::unexpected(released.error());
    std::vector<std::string> addresses;
    for (const auto &address : *released) addresses.push_back(address.file);
    if (!addresses.empty())
        log_->info("pod {} of network {} ended without DEL: {} can be given again", reservation.owner.container_id,
                   reservation.network, fmt::join(addresses, " and "));
    return (*note)->remove();
}

} // namespace weft

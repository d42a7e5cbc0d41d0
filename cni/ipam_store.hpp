// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/addr.hpp"
#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "cni/netconf.hpp"

namespace weft::cni {

/// What may be given out, both ends included, without the gateway: what host-local calls a range set, of one range.
struct AddressRange {
    Ip first;
    Ip last;
    Ip gateway;

    [[nodiscard]] bool contains(const Ip &addr) const { return first <= addr && addr <= last; }
    [[nodiscard]] std::string to_string() const; ///< "10.5.3.1-10.5.3.254", as host-local writes it
};

/// host-local's defaults for a subnet: from base + 1 to the last address, which in IPv4 is the one before broadcast; the
/// gateway is the address of `subnet`.
[[nodiscard]] AddressRange range_of(const Net &subnet);

/// One file of the store.
struct StoredAddress {
    std::string file; ///< its name: the address as somebody wrote it
    Ip address;
    std::string container_id; ///< empty: debris of a crash
    std::string ifname;       ///< empty in files of host-local before 0.8

    bool operator==(const StoredAddress &) const = default;
};

/// Who holds which address: host-local's directory `<dataDir>/<network>`, file for file.
///
/// Contract: one file per address, named by it, mode 0600, containing "<container id>\r\n<ifname>"; `last_reserved_ip.<n>`
/// is where the round robin of the n-th range goes on; `lock` is held (flock) around every operation, so that host-local and
/// weft can work on the same directory in turns or at once. A crash at any moment leaves no address without an owner: files
/// appear whole, and an empty one (a crash of host-local between creating and writing) counts as free, since nobody writes
/// while the lock is held.
/// The directory is the caller's user's own, no symbolic link (those above it may be), and so are the files: else EPERM, ELOOP.
/// Threads, processes: any number; every operation takes the lock.
class IpamStore {
public:
    enum class Locked : std::uint8_t {
        wait,
        give_up, ///< EWOULDBLOCK, for who must not depend on another's progress
    };
    explicit IpamStore(std::filesystem::path dir, Locked locked = Locked::wait)
        : dir_(std::move(dir)), locked_(locked) {}

    /// Gives `owner` one address of every range, or none at all: the next free one after the last one given, or the one of
    /// `requested` that lies in the range. Makes the directory if need be.
    /// @return one for each range, in their order.
    /// Errors: EEXIST if the owner holds an address of a range already, EADDRINUSE if a requested one is taken or the
    /// gateway, ERANGE if no range has it or has to give another one already, ENOSPC if none is free.
    [[nodiscard]] Result<std::vector<Ip>> allocate(const std::vector<AddressRange> &ranges, const Attachment &owner,
                                                   std::vector<Ip> requested) const;

    /// Forgets everything the owner holds; files of the old format (no ifname) only if there are no others.
    /// @return what was released. No directory or no file is no error.
    [[nodiscard]] Result<std::vector<StoredAddress>> release(const Attachment &owner) const;

    /// Forgets everything whose owner is not in the list.
    [[nodiscard]] Result<std::vector<StoredAddress>> release_others(const std::vector<Attachment> &keep) const;

    [[nodiscard]] Result<std::vector<StoredAddress>> held_by(const Attachment &owner) const;
    [[nodiscard]] Result<bool> has_free(const AddressRange &range) const;

private:
    using Match = std::function<bool(const StoredAddress &)>;

    [[nodiscard]] Status require_own_directory() const;
    [[nodiscard]] Result<UniqueFd> lock() const;
    [[nodiscard]] Result<std::vector<StoredAddress>> read_all() const;
    [[nodiscard]] Result<std::vector<StoredAddress>> remove_matching(const Match &match) const;
    [[nodiscard]] Result<bool> try_reserve(std::size_t set, const Ip &addr, const Attachment &owner) const;
    [[nodiscard]] Result<Ip> reserve_next(std::size_t set, const AddressRange &range, const Attachment &owner) const;
    [[nodiscard]] Result<Ip> reserve_requested(std::size_t set, const AddressRange &range, const Attachment &owner,
                                               const Ip &addr) const;
    [[nodiscard]] std::optional<Ip> last_reserved(std::size_t set) const;

    std::filesystem::path dir_;
    Locked locked_;
};

} // namespace weft::cni

// SPDX-License-Identifier: Apache-2.0
#pragma once

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

/// What may be given out, both ends included, without the gateway.
struct AddressRange {
    Ip4 first;
    Ip4 last;
    Ip4 gateway;

    [[nodiscard]] bool contains(const Ip4 &addr) const { return first <= addr && addr <= last; }
    [[nodiscard]] std::string to_string() const; ///< "10.5.3.1-10.5.3.254", as host-local writes it
};

/// host-local's defaults for a subnet: from base + 1 to broadcast - 1; the gateway is the address of `subnet`.
[[nodiscard]] AddressRange range_of(const Net4 &subnet);

/// One file of the store.
struct StoredAddress {
    std::string file;           ///< the address as text: IPv4 or IPv6
    std::optional<Ip4> address; ///< if it is IPv4
    std::string container_id;   ///< empty: debris of a crash
    std::string ifname;         ///< empty in files of host-local before 0.8

    bool operator==(const StoredAddress &) const = default;
};

/// Who holds which address: host-local's directory `<dataDir>/<network>`, file for file.
///
/// Contract: one file per address, named by it, mode 0600, containing "<container id>\r\n<ifname>"; `last_reserved_ip.0` is
/// where the round robin goes on; `lock` is held (flock) around every operation, so that host-local and weft can work on
/// the same directory in turns or at once. A crash at any moment leaves no address without an owner: files appear whole,
/// and an empty one (a crash of host-local between creating and writing) counts as free, since nobody writes while the
/// lock is held.
/// Threads, processes: any number; every operation takes the lock.
class IpamStore {
public:
    explicit IpamStore(std::filesystem::path dir) : dir_(std::move(dir)) {}

    /// Gives `owner` the next free address after the last one given, or `requested`. Makes the directory if need be.
    /// Errors: EEXIST if the owner holds an address of the range already, EADDRINUSE if the requested one is taken or the
    /// gateway, ERANGE if it is outside, ENOSPC if none is free.
    [[nodiscard]] Result<Ip4> allocate(const AddressRange &range, const Attachment &owner,
                                       std::optional<Ip4> requested) const;

    /// Forgets everything the owner holds; files of the old format (no ifname) only if there are no others.
    /// @return what was released. No directory or no file is no error.
    [[nodiscard]] Result<std::vector<StoredAddress>> release(const Attachment &owner) const;

    /// Forgets everything whose owner is not in the list.
    [[nodiscard]] Result<std::vector<StoredAddress>> release_others(const std::vector<Attachment> &keep) const;

    [[nodiscard]] Result<std::vector<StoredAddress>> held_by(const Attachment &owner) const;
    [[nodiscard]] Result<bool> has_free(const AddressRange &range) const;

private:
    using Match = std::function<bool(const StoredAddress &)>;

    [[nodiscard]] Result<UniqueFd> lock() const;
    [[nodiscard]] Result<std::vector<StoredAddress>> read_all() const;
    [[nodiscard]] Result<std::vector<StoredAddress>> remove_matching(const Match &match) const;
    [[nodiscard]] Result<bool> try_reserve(const Ip4 &addr, const Attachment &owner) const;
    [[nodiscard]] Result<Ip4> reserve_next(const AddressRange &range, const Attachment &owner) const;
    [[nodiscard]] std::optional<Ip4> last_reserved() const;

    std::filesystem::path dir_;
};

} // namespace weft::cni

// SPDX-License-Identifier: Apache-2.0
#include "cni/ipam_store.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "cni/text_file.hpp"

namespace weft::cni {
namespace {

constexpr std::string_view kLineBreak = "\r\n";
constexpr mode_t kFileMode = 0600, kDirMode = 0755, kLockMode = 0640;

std::string last_reserved_file(std::size_t set) { return fmt::format("last_reserved_ip.{}", set); }

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kSpace = " \t\r\n\v\f";
    const auto first = text.find_first_not_of(kSpace);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

StoredAddress parse_file(std::string name, const Ip &address, std::string_view content) {
    StoredAddress out{.file = std::move(name), .address = address};
    content = trimmed(content);
    const auto end = content.find(kLineBreak);
    out.container_id = content.substr(0, end);
    if (end != std::string_view::npos) out.ifname = content.substr(end + kLineBreak.size());
    return out;
}

/// Makes the directory and its parents, each 0755.
Status make_dirs(const std::filesystem::path &dir) {
    if (::mkdir(dir.c_str(), kDirMode) == 0 || errno == EEXIST) return {};
    if (errno != ENOENT || !dir.has_parent_path() || dir.parent_path() == dir)
        return fail_errno(errno, "make " + dir.string());
    if (auto parent = make_dirs(dir.parent_path()); !parent) return parent;
    if (::mkdir(dir.c_str(), kDirMode) == 0 || errno == EEXIST) return {};
    return fail_errno(errno, "make " + dir.string());
}

bool any_contains(const std::vector<AddressRange> &ranges, const Ip &addr) {
    return std::ranges::any_of(ranges, [&](const AddressRange &range) { return range.contains(addr); });
}

/// Which of the requested addresses each range is to give.
Result<std::vector<std::optional<Ip>>> share_out(const std::vector<AddressRange> &ranges, std::vector<Ip> requested) {
    std::vector<std::optional<Ip>> wishes;
    for (const AddressRange &range : ranges) {
        auto &wish = wishes.emplace_back();
        const auto found = std::ranges::find_if(requested, [&](const Ip &addr) { return range.contains(addr); });
        if (found == requested.end()) continue;
        wish = *found;
        requested.erase(found);
    }
    if (requested.empty()) return wishes;
    std::string text = "failed to allocate all requested IPs: ";
    for (const Ip &addr : requested) text += (&addr == &requested.front() ? "" : ", ") + addr.to_string();
    return fail(std::move(text), ERANGE);
}

/// The last address that an interface can have.
Ip last_of(const Net &subnet) {
    if (subnet.is_v4()) return Ip4(subnet.v4().broadcast().to_uint() - 1);
    auto octets = subnet.v6().address().to_bytes();
    for (std::size_t bit = subnet.prefix_length(); bit < 8 * octets.size(); ++bit)
        octets[bit / 8] |= static_cast<std::uint8_t>(0x80U >> (bit % 8));
    return Ip6(octets);
}

} // namespace

std::string AddressRange::to_string() const { return fmt::format("{}-{}", first.to_string(), last.to_string()); }

AddressRange range_of(const Net &subnet) {
    return {.first = subnet.canonical().address() + 1, .last = last_of(subnet), .gateway = subnet.address()};
}

/// Who else may write there could give a pod any address, or have files elsewhere overwritten.
Status IpamStore::require_own_directory() const {
    const UniqueFd dir(::open(dir_.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!dir && errno == ENOTDIR) { // what a link is called where a directory was asked for
        struct stat link{};
        if (::lstat(dir_.c_str(), &link) == 0 && S_ISLNK(link.st_mode)) return fail_open(ELOOP, dir_);
        return fail_errno(ENOTDIR, dir_.string());
    }
    if (!dir) return fail_open(errno, dir_);
    struct stat st{};
    if (::fstat(dir.get(), &st) != 0) return fail_errno(errno, dir_.string());
    if (st.st_uid != ::geteuid())
        return fail(fmt::format("{}: belongs to user {}, not to {}", dir_.string(), st.st_uid, ::geteuid()), EPERM);
    if ((st.st_mode & S_IWOTH) != 0) return fail(fmt::format("{}: everybody may write there", dir_.string()), EPERM);
    return {};
}

Result<UniqueFd> IpamStore::lock() const {
    if (auto ours = require_own_directory(); !ours) return fail_as_is(std::move(ours));
    const auto path = dir_ / "lock";
    UniqueFd fd(::open(path.c_str(), O_CREAT | O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, kLockMode));
    if (!fd) return fail_open(errno, path);
    while (::flock(fd.get(), LOCK_EX | (locked_ == Locked::give_up ? LOCK_NB : 0)) != 0)
        if (errno != EINTR) return fail_errno(errno, "lock " + path.string());
    return fd;
}

Result<std::vector<StoredAddress>> IpamStore::read_all() const {
    const std::unique_ptr<DIR, int (*)(DIR *)> dir(::opendir(dir_.c_str()), ::closedir);
    if (!dir) return fail_errno(errno, dir_.string());
    std::vector<StoredAddress> all;
    errno = 0;
    while (const dirent *entry = ::readdir(dir.get())) { // NOLINT(concurrency-mt-unsafe): nobody else has this stream
        std::string name = entry->d_name;
        const auto address = parse_ip(name);
        if (!address) continue;
        auto content = read_text_at(::dirfd(dir.get()), name);
        // A file that cannot be read is somebody's until proven otherwise.
        if (!content && content.error().code() != ENOENT) return fail_in(std::move(content), dir_.string());
        if (content) all.push_back(parse_file(std::move(name), *address, *content));
        errno = 0;
    }
    if (errno != 0) return fail_errno(errno, dir_.string());
    std::ranges::sort(all, {}, &StoredAddress::file);
    return all;
}

std::optional<Ip> IpamStore::last_reserved(std::size_t set) const {
    const auto text = read_text_at(AT_FDCWD, dir_ / last_reserved_file(set));
    if (!text) return std::nullopt;
    const auto addr = parse_ip(*text);
    return addr ? std::optional(*addr) : std::nullopt;
}

/// @return false if another file of that name is there.
Result<bool> IpamStore::try_reserve(std::size_t set, const Ip &addr, const Attachment &owner) const {
    const auto path = dir_ / addr.to_string();
    const std::string content = owner.container_id + std::string(kLineBreak) + owner.ifname;
    auto made = create_whole(path, content, kFileMode);
    if (!made) return made;
    if (!*made) {
        struct stat st{};
        if (::lstat(path.c_str(), &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > 0) return false;
        if (::unlink(path.c_str()) != 0) return fail_errno(errno, path.string());
        made = create_whole(path, content, kFileMode);
        if (!made || !*made) return made;
    }
    if (auto noted = write_text(dir_ / last_reserved_file(set), addr.to_string(), kFileMode); !noted) {
        ::unlink(path.c_str());
        return fail_as_is(std::move(noted));
    }
    return true;
}

Result<Ip> IpamStore::reserve_next(std::size_t set, const AddressRange &range, const Attachment &owner) const {
    const auto last = last_reserved(set);
    const Ip before = last && range.contains(*last) ? *last : range.last; // one before where the search begins
    // Every address passed over has a file: however large the range, the directory bounds the search.
    Ip candidate = before;
    do {
        candidate = candidate == range.last ? range.first : candidate + 1;
        if (candidate == range.gateway) continue;
        auto reserved = try_reserve(set, candidate, owner);
        if (!reserved) return fail_as_is(std::move(reserved));
        if (*reserved) return candidate;
    } while (candidate != before);
    return fail(fmt::format("failed to allocate for range {}: no IP addresses available in range set: {}", set,
                            range.to_string()),
                ENOSPC);
}

Result<Ip> IpamStore::reserve_requested(std::size_t set, const AddressRange &range, const Attachment &owner,
                                        const Ip &addr) const {
    if (addr == range.gateway)
        return fail(fmt::format("requested ip {} is subnet's gateway", addr.to_string()), EADDRINUSE);
    auto reserved = try_reserve(set, addr, owner);
    if (!reserved) return fail_as_is(std::move(reserved));
    if (*reserved) return addr;
    return fail(
        fmt::format("requested IP address {} is not available in range set {}", addr.to_string(), range.to_string()),
        EADDRINUSE);
}

Result<std::vector<Ip>> IpamStore::allocate(const std::vector<AddressRange> &ranges, const Attachment &owner,
                                            std::vector<Ip> requested) const {
    if (auto made = make_dirs(dir_); !made) return fail_as_is(std::move(made));
    const auto locked = lock();
    if (!locked) return std::unexpected(locked.error());

    auto all = read_all();
    if (!all) return fail_as_is(std::move(all));
    for (const auto &held : *all) {
        const bool same =
            held.container_id == owner.container_id && (held.ifname == owner.ifname || held.ifname.empty());
        if (same && any_contains(ranges, held.address))
            return fail(fmt::format("{} has been allocated to {}, duplicate allocation is not allowed", held.file,
                                    owner.container_id),
                        EEXIST);
    }
    auto wishes = share_out(ranges, std::move(requested));
    if (!wishes) return fail_as_is(std::move(wishes));
    std::vector<Ip> given;
    for (std::size_t set = 0; set < ranges.size(); ++set) {
        const auto &wish = (*wishes)[set];
        auto reserved =
            wish ? reserve_requested(set, ranges[set], owner, *wish) : reserve_next(set, ranges[set], owner);
        if (!reserved) {
            for (const Ip &addr : given) ::unlink((dir_ / addr.to_string()).c_str());
            return fail_as_is(std::move(reserved));
        }
        given.push_back(*reserved);
    }
    return given;
}

/// The lock must be held.
Result<std::vector<StoredAddress>> IpamStore::remove_matching(const Match &match) const {
    auto all = read_all();
    if (!all) return all;
    std::vector<StoredAddress> removed;
    std::string failures;
    for (auto &held : *all) {
        if (!match(held)) continue;
        const auto path = dir_ / held.file;
        if (::unlink(path.c_str()) == 0 || errno == ENOENT)
            removed.push_back(std::move(held));
        else
            failures += (failures.empty() ? "" : "; ") + fail_errno(errno, path.string()).error().sentence();
    }
    if (!failures.empty()) return fail("release: " + failures, EIO);
    return removed;
}

Result<std::vector<StoredAddress>> IpamStore::release(const Attachment &owner) const {
    const auto locked = lock();
    if (!locked && locked.error().code() == ENOENT) return std::vector<StoredAddress>();
    if (!locked) return std::unexpected(locked.error());
    const auto with_ifname = [&](const StoredAddress &held) {
        return held.container_id == owner.container_id && held.ifname == owner.ifname;
    };
    const auto old_format = [&](const StoredAddress &held) {
        return held.container_id == owner.container_id && held.ifname.empty();
    };
    auto removed = remove_matching(with_ifname);
    if (!removed || !removed->empty()) return removed;
    return remove_matching(old_format);
}

Result<std::vector<StoredAddress>> IpamStore::release_others(const std::vector<Attachment> &keep) const {
    const auto locked = lock();
    if (!locked && locked.error().code() == ENOENT) return std::vector<StoredAddress>();
    if (!locked) return std::unexpected(locked.error());
    return remove_matching([&](const StoredAddress &held) {
        return std::ranges::none_of(keep, [&](const Attachment &valid) {
            return held.container_id == valid.container_id && (held.ifname.empty() || held.ifname == valid.ifname);
        });
    });
}

Result<std::vector<StoredAddress>> IpamStore::held_by(const Attachment &owner) const {
    const auto locked = lock();
    if (!locked && locked.error().code() == ENOENT) return std::vector<StoredAddress>();
    if (!locked) return std::unexpected(locked.error());
    auto all = read_all();
    if (!all) return all;
    std::erase_if(*all, [&](const StoredAddress &held) {
        return held.container_id != owner.container_id || (held.ifname != owner.ifname && !held.ifname.empty());
    });
    return all;
}

Result<bool> IpamStore::has_free(const AddressRange &range) const {
    const auto locked = lock();
    if (!locked && locked.error().code() == ENOENT) return true;
    if (!locked) return std::unexpected(locked.error());
    auto all = read_all();
    if (!all) return fail_as_is(std::move(all));
    const auto taken = static_cast<std::uint32_t>(std::ranges::count_if(*all, [&](const StoredAddress &held) {
        return !held.container_id.empty() && range.contains(held.address) && held.address != range.gateway;
    }));
    return range.contains(range.first + taken + (range.contains(range.gateway) ? 1 : 0));
}

} // namespace weft::cni

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
constexpr const char *kLastReserved = "last_reserved_ip.0"; // the one and only range set
constexpr mode_t kFileMode = 0600, kDirMode = 0755, kLockMode = 0640;

bool is_address(const std::string &name) {
    asio::error_code err;
    (void)asio::ip::make_address(name, err);
    return !err;
}

std::string_view trimmed(std::string_view text) {
    constexpr std::string_view kSpace = " \t\r\n\v\f";
    const auto first = text.find_first_not_of(kSpace);
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

StoredAddress parse_file(std::string name, std::string_view content) {
    StoredAddress out{.file = std::move(name)};
    if (auto v4 = parse_ip4(out.file)) out.address = *v4;
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

} // namespace

std::string AddressRange::to_string() const { return fmt::format("{}-{}", first.to_string(), last.to_string()); }

AddressRange range_of(const Net4 &subnet) {
    return {.first = subnet.network() + 1, .last = Ip4(subnet.broadcast().to_uint() - 1), .gateway = subnet.address()};
}

Result<UniqueFd> IpamStore::lock() const {
    const auto path = dir_ / "lock";
    UniqueFd fd(::open(path.c_str(), O_CREAT | O_RDONLY | O_CLOEXEC, kLockMode));
    if (!fd) return fail_errno(errno, path.string());
    while (::flock(fd.get(), LOCK_EX) != 0)
        if (errno != EINTR) return fail_errno(errno, "lock " + path.string());
    return fd;
}

Result<std::vector<StoredAddress>> IpamStore::read_all() const {
    const std::unique_ptr<DIR, int (*)(DIR *)> dir(::opendir(dir_.c_str()), ::closedir);
    if (!dir) return fail_errno(errno, dir_.string());
    std::vector<StoredAddress> all;
    errno = 0;
    while (const dirent *entry = ::readdir(dir.get())) {
        std::string name = entry->d_name;
        if (!is_address(name)) continue;
        auto content = read_text_at(::dirfd(dir.get()), name);
        // A file that cannot be read is somebody's until proven otherwise.
        if (!content && content.error().code() != ENOENT) return fail_in(std::move(content), dir_.string());
        if (content) all.push_back(parse_file(std::move(name), *content));
        errno = 0;
    }
    if (errno != 0) return fail_errno(errno, dir_.string());
    std::ranges::sort(all, {}, &StoredAddress::file);
    return all;
}

std::optional<Ip4> IpamStore::last_reserved() const {
    const auto text = read_text_at(AT_FDCWD, dir_ / kLastReserved);
    if (!text) return std::nullopt;
    const auto addr = parse_ip4(*text);
    return addr ? std::optional(*addr) : std::nullopt;
}

/// @return false if another file of that name is there.
Result<bool> IpamStore::try_reserve(const Ip4 &addr, const Attachment &owner) const {
    const auto path = dir_ / addr.to_string();
    const std::string content = owner.container_id + std::string(kLineBreak) + owner.ifname;
    auto made = create_whole(path, content, kFileMode);
    if (!made) return made;
    if (!*made) {
        struct stat st{};
        if (::stat(path.c_str(), &st) != 0 || st.st_size > 0) return false;
        if (::unlink(path.c_str()) != 0) return fail_errno(errno, path.string());
        made = create_whole(path, content, kFileMode);
        if (!made || !*made) return made;
    }
    if (auto noted = write_text(dir_ / kLastReserved, addr.to_string(), kFileMode); !noted) {
        ::unlink(path.c_str());
        return fail_as_is(std::move(noted));
    }
    return true;
}

Result<Ip4> IpamStore::reserve_next(const AddressRange &range, const Attachment &owner) const {
    const auto last = last_reserved();
    Ip4 candidate = last && range.contains(*last) ? *last : range.last; // one before where the search begins
    for (std::uint64_t left = std::uint64_t{range.last.to_uint()} - range.first.to_uint() + 1; left > 0; --left) {
        candidate = candidate == range.last ? range.first : candidate + 1;
        if (candidate == range.gateway) continue;
        auto reserved = try_reserve(candidate, owner);
        if (!reserved) return fail_as_is(std::move(reserved));
        if (*reserved) return candidate;
    }
    return fail("failed to allocate for range 0: no IP addresses available in range set: " + range.to_string(), ENOSPC);
}

Result<Ip4> IpamStore::allocate(const AddressRange &range, const Attachment &owner,
                                std::optional<Ip4> requested) const {
    if (auto made = make_dirs(dir_); !made) return fail_as_is(std::move(made));
    const auto locked = lock();
    if (!locked) return std::unexpected(locked.error());

    auto all = read_all();
    if (!all) return fail_as_is(std::move(all));
    for (const auto &held : *all) {
        const bool same =
            held.container_id == owner.container_id && (held.ifname == owner.ifname || held.ifname.empty());
        if (same && held.address && range.contains(*held.address))
            return fail(fmt::format("{} has been allocated to {}, duplicate allocation is not allowed", held.file,
                                    owner.container_id),
                        EEXIST);
    }
    if (!requested) return reserve_next(range, owner);
    if (!range.contains(*requested))
        return fail(
            fmt::format("requested IP address {} is not in range set {}", requested->to_string(), range.to_string()),
            ERANGE);
    if (*requested == range.gateway)
        return fail(fmt::format("requested ip {} is subnet's gateway", requested->to_string()), EADDRINUSE);
    auto reserved = try_reserve(*requested, owner);
    if (!reserved) return fail_as_is(std::move(reserved));
    if (*reserved) return *requested;
    return fail(fmt::format("requested IP address {} is not available in range set {}", requested->to_string(),
                            range.to_string()),
                EADDRINUSE);
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
    const auto taken = static_cast<std::uint64_t>(std::ranges::count_if(*all, [&](const StoredAddress &held) {
        return held.address && !held.container_id.empty() && range.contains(*held.address) &&
               *held.address != range.gateway;
    }));
    const std::uint64_t size = std::uint64_t{range.last.to_uint()} - range.first.to_uint() + 1;
    return taken + (range.contains(range.gateway) ? 1 : 0) < size;
}

} // namespace weft::cni

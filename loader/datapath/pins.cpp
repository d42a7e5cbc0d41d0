// SPDX-License-Identifier: Apache-2.0
#include "datapath/pins.hpp"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "base/unique_fd.hpp"

namespace weft::datapath {
namespace {

template <class Info> int read_info(int fd, Info &info) {
    __u32 len = sizeof(info);
    return bpf_obj_get_info_by_fd(fd, &info, &len);
}

/// Whether loading `map` could take over the pinned one: libbpf compares the same fields, and fails where we rebuild.
bool is_compatible(const bpf_map &map, int pinned_fd) {
    bpf_map_info info{};
    if (read_info(pinned_fd, info) != 0) return false;
    return info.type == bpf_map__type(&map) && info.key_size == bpf_map__key_size(&map) &&
           info.value_size == bpf_map__value_size(&map) && info.max_entries == bpf_map__max_entries(&map) &&
           info.map_flags == bpf_map__map_flags(&map);
}

Status replace_pin(int fd, const std::filesystem::path &bpf_dir, std::string_view pin) {
    const auto path = bpf_dir / pin;
    const auto fresh = bpf_dir / fmt::format("{}_new", pin); // bpffs allows no dots in names
    (void)unlink(fresh.c_str());                             // left by a weftd that died between pin and rename
    if (const int err = bpf_obj_pin(fd, fresh.c_str()); err != 0)
        return fail_errno(-err, fmt::format("pin {}", fresh.string()));
    if (rename(fresh.c_str(), path.c_str()) != 0) return fail_errno(errno, fmt::format("rename to {}", path.string()));
    return {};
}

/// "leases_v2" into "leases" and "2".
std::pair<std::string_view, std::string_view> split_version(std::string_view name) {
    constexpr std::string_view kMark = "_v";
    const auto at = name.rfind(kMark);
    if (at == name.npos) return {name, {}};
    return {name.substr(0, at), name.substr(at + kMark.size())};
}

bool is_other_version(std::string_view name, const std::vector<std::string_view> &pins) {
    const auto found = split_version(name);
    const bool numbered =
        !found.second.empty() && found.second.find_first_not_of("0123456789") == std::string_view::npos;
    return numbered && std::ranges::any_of(pins, [&](std::string_view pin) {
               const auto ours = split_version(pin);
               return found.first == ours.first && found.second != ours.second;
           });
}

} // namespace

Status make_bpf_dir(const std::filesystem::path &bpf_dir) {
    std::error_code err;
    std::filesystem::create_directories(bpf_dir, err);
    if (err) return fail_errno(err.value(), fmt::format("make {}", bpf_dir.string()));
    struct statfs fs{};
    if (statfs(bpf_dir.c_str(), &fs) != 0) return fail_errno(errno, bpf_dir.string());
    if (static_cast<unsigned long>(fs.f_type) != BPF_FS_MAGIC)
        return fail(
            fmt::format("{} is not on a bpffs: mount one with 'mount -t bpf bpf /sys/fs/bpf'", bpf_dir.string()));
    if (chmod(bpf_dir.c_str(), 0700) != 0) return fail_errno(errno, fmt::format("chmod {}", bpf_dir.string()));
    return {};
}

Status set_pin(bpf_map &map, const std::filesystem::path &bpf_dir, std::string_view pin) {
    const auto path = bpf_dir / pin;
    const UniqueFd pinned(bpf_obj_get(path.c_str()));
    if (pinned && !is_compatible(map, pinned.get()) && unlink(path.c_str()) != 0)
        return fail_errno(errno, fmt::format("remove outdated {}", path.string()));
    if (const int err = bpf_map__set_pin_path(&map, path.c_str()); err != 0) return fail_errno(-err, path.string());
    return {};
}

Result<bool> keep_map_pin(int map_fd, const std::filesystem::path &bpf_dir, std::string_view pin) {
    bpf_map_info info{};
    if (const int err = read_info(map_fd, info); err != 0) return fail_errno(-err, pin);
    if (pinned_id(bpf_dir, pin) == info.id) return false;
    auto replaced = replace_pin(map_fd, bpf_dir, pin);
    if (!replaced) return fail_as_is(std::move(replaced));
    return true;
}

Result<bool> keep_program_pin(int program_fd, const std::filesystem::path &bpf_dir, std::string_view pin) {
    bpf_prog_info info{};
    if (const int err = read_info(program_fd, info); err != 0) return fail_errno(-err, pin);
    if (pinned_id(bpf_dir, pin) == info.id) return false;
    auto replaced = replace_pin(program_fd, bpf_dir, pin);
    if (!replaced) return fail_as_is(std::move(replaced));
    return true;
}

bool is_pinned_map(int map_fd, const std::filesystem::path &bpf_dir, std::string_view pin) {
    bpf_map_info info{};
    return read_info(map_fd, info) == 0 && pinned_id(bpf_dir, pin) == info.id;
}

std::uint32_t pinned_id(const std::filesystem::path &bpf_dir, std::string_view pin) {
    const UniqueFd pinned(bpf_obj_get((bpf_dir / pin).c_str()));
    // Of a map and of a program, the kernel's own sizes tell which: the id is the second word of both.
    bpf_map_info info{};
    return pinned && read_info(pinned.get(), info) == 0 ? info.id : 0;
}

Result<std::vector<std::string>> remove_other_versions(const std::filesystem::path &bpf_dir,
                                                       const std::vector<std::string_view> &pins) {
    std::error_code err;
    std::vector<std::string> removed;
    for (std::filesystem::directory_iterator entry(bpf_dir, err), end; !err && entry != end; entry.increment(err)) {
        auto name = entry->path().filename().string();
        if (is_other_version(name, pins)) removed.push_back(std::move(name));
    }
    if (err) return fail_errno(err.value(), bpf_dir.string());
    for (const auto &name : removed)
        if (unlink((bpf_dir / name).c_str()) != 0 && errno != ENOENT)
            return fail_errno(errno, fmt::format("remove {}", (bpf_dir / name).string()));
    return removed;
}

} // namespace weft::datapath

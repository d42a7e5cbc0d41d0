// SPDX-License-Identifier: Apache-2.0
#include "datapath/pins.hpp"

#include <bpf/bpf.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/unique_fd.hpp"

namespace weft::datapath {
namespace {

/// Whether loading `map` could take over the pinned one: libbpf compares the same fields, and fails where we rebuild.
bool is_compatible(const bpf_map &map, int pinned_fd) {
    bpf_map_info info{};
    __u32 len = sizeof(info);
    if (bpf_obj_get_info_by_fd(pinned_fd, &info, &len) != 0) return false;
    return info.type == bpf_map__type(&map) && info.key_size == bpf_map__key_size(&map) &&
           info.value_size == bpf_map__value_size(&map) && info.max_entries == bpf_map__max_entries(&map) &&
           info.map_flags == bpf_map__map_flags(&map);
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

Status replace_program_pin(int program_fd, const std::filesystem::path &bpf_dir, std::string_view pin) {
    const auto path = bpf_dir / pin;
    const auto fresh = bpf_dir / fmt::format("{}_new", pin); // bpffs allows no dots in names
    (void)unlink(fresh.c_str());                             // left by a weftd that died between pin and rename
    if (const int err = bpf_obj_pin(program_fd, fresh.c_str()); err != 0)
        return fail_errno(-err, fmt::format("pin {}", fresh.string()));
    if (rename(fresh.c_str(), path.c_str()) != 0) return fail_errno(errno, fmt::format("rename to {}", path.string()));
    return {};
}

} // namespace weft::datapath

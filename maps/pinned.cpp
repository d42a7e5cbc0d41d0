// SPDX-License-Identifier: Apache-2.0
#include "pinned.hpp"

#include <fmt/format.h>

namespace weft::maps {

Result<UniqueFd> open_pin(const std::filesystem::path &bpf_dir, std::string_view pin) {
    const auto path = bpf_dir / pin;
    const int fd = bpf_obj_get(path.c_str());
    if (fd < 0) return fail_errno(-fd, path.string());
    return UniqueFd(fd);
}

Status check_layout(int fd, std::string_view pin, unsigned key_size, unsigned value_size) {
    bpf_map_info info{};
    __u32 len = sizeof(info);
    if (const int err = bpf_obj_get_info_by_fd(fd, &info, &len); err != 0) return fail_errno(-err, pin);
    if (info.key_size == key_size && info.value_size == value_size) return {};
    return fail(
        fmt::format("{}: key of {} and value of {} bytes found, {} and {} expected: made by another version of weft",
                    pin, info.key_size, info.value_size, key_size, value_size),
        EPROTO);
}

} // namespace weft::maps

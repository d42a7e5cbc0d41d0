// SPDX-License-Identifier: Apache-2.0
#include "trace.hpp"

#include <bpf/bpf.h>

#include <array>
#include <cerrno>
#include <cstdint>
#include <fstream>
#include <string_view>
#include <vector>

#include "base/unique_fd.hpp"

namespace weft::prog_run {

Status write_branches(int program_fd, const std::filesystem::path &file) {
    std::array<std::uint32_t, 64> maps{};
    bpf_prog_info program{};
    program.map_ids = reinterpret_cast<std::uintptr_t>(maps.data());
    program.nr_map_ids = maps.size();
    std::uint32_t length = sizeof(program);
    if (bpf_obj_get_info_by_fd(program_fd, &program, &length) != 0)
        return fail_errno(errno, "ask for a program's maps");
    for (std::uint32_t i = 0; i < program.nr_map_ids && i < maps.size(); ++i) {
        const UniqueFd map(bpf_map_get_fd_by_id(maps[i]));
        bpf_map_info info{};
        length = sizeof(info);
        if (!map || bpf_obj_get_info_by_fd(map.get(), &info, &length) != 0) return fail_errno(errno, "ask for a map");
        if (std::string_view(info.name).find(".data.branches") == std::string_view::npos) continue;
        std::vector<char> words(info.value_size);
        const std::uint32_t key = 0;
        if (bpf_map_lookup_elem(map.get(), &key, words.data()) != 0) return fail_errno(errno, "read the branches");
        std::ofstream out(file, std::ios::binary);
        out.write(words.data(), static_cast<std::streamsize>(words.size()));
        if (!out.flush()) return fail_errno(errno, "write " + file.string());
    }
    return {};
}

} // namespace weft::prog_run

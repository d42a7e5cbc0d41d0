// SPDX-License-Identifier: Apache-2.0
#include "datapath/fingerprint.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <array>
#include <bit>
#include <functional>
#include <string_view>

namespace weft::datapath {
namespace {

constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15ULL; ///< 2^64 / golden ratio

std::uint64_t hash(const void *bytes, std::size_t size) {
    return std::hash<std::string_view>{}({static_cast<const char *>(bytes), size});
}

} // namespace

std::uint64_t fingerprint_of_entry(const void *key, std::size_t key_size, const void *value, std::size_t value_size) {
    return (hash(key, key_size) ^ std::rotl(hash(value, value_size), 32)) * kOdd;
}

Result<std::uint64_t> fingerprint_of_map(int map_fd, const std::string &name) {
    bpf_map_info info{};
    __u32 len = sizeof(info);
    if (const int err = bpf_obj_get_info_by_fd(map_fd, &info, &len); err != 0) return fail_errno(-err, name);
    __u32 batch = 4096;
    std::vector<char> keys, values;
    std::uint64_t sum = 0;
    std::uint64_t position = 0; // the kernel's own: a bucket, or a key of no more than this
    for (bool first = true;;) {
        keys.resize(std::size_t{batch} * info.key_size);
        values.resize(std::size_t{batch} * info.value_size);
        __u32 count = batch;
        const int err = bpf_map_lookup_batch(map_fd, first ? nullptr : &position, &position, keys.data(), values.data(),
                                             &count, nullptr);
        if (err == -ENOSPC) { // one bucket with more than fit
            batch *= 2;
            continue;
        }
        if (err != 0 && err != -ENOENT) return fail_errno(-err, name + ": read");
        for (std::size_t i = 0; i < count; ++i)
            sum += fingerprint_of_entry(keys.data() + i * info.key_size, info.key_size,
                                        values.data() + i * info.value_size, info.value_size);
        if (err == -ENOENT) return sum; // that was the last
        first = false;
    }
}

std::uint64_t fingerprint_of_hook(int ifindex, TcHook hook) {
    const auto programs = tcx_programs(ifindex, hook);
    return programs ? hash(programs->data(), programs->size() * sizeof(programs->front())) * kOdd : 0;
}

std::uint64_t fingerprint_of_xdp(int ifindex) {
    __u32 id = 0;
    return bpf_xdp_query_id(ifindex, 0, &id) == 0 ? id * kOdd : 0;
}

} // namespace weft::datapath

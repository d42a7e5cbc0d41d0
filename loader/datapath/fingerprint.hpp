// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "base/error.hpp"
#include "datapath/tc_attach.hpp"

namespace weft::datapath {

/// Numbers for what the kernel tells nobody of when it changes: equal ones mean that nothing has. They are cheap, so that they
/// can be taken every second: a map of 10,000 entries is three system calls.

/// Of all keys and values of a map, in whatever order they lie: the sum of those of the entries.
[[nodiscard]] Result<std::uint64_t> fingerprint_of_map(int map_fd, const std::string &name);

[[nodiscard]] std::uint64_t fingerprint_of_entry(const void *key, std::size_t key_size, const void *value,
                                                 std::size_t value_size);

/// Of which programs, ours and others', are on a hook by TCX. (A clsact filter is told of.) 0: none, or no such interface.
[[nodiscard]] std::uint64_t fingerprint_of_hook(int ifindex, TcHook hook);

/// Of the program at the XDP hook. 0: none.
[[nodiscard]] std::uint64_t fingerprint_of_xdp(int ifindex);

} // namespace weft::datapath

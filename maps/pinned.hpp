// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "abi.hpp"
#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "map_ref.hpp"

namespace weft::maps {

/// Opens a pinned map or program. ENOENT means that no weftd has set up this --bpf-dir since boot.
[[nodiscard]] Result<UniqueFd> open_pin(const std::filesystem::path &bpf_dir, std::string_view pin);

/// A pinned map with its fd: what processes other than weftd use.
///
/// Errors: opening fails if the pin is missing, or if the map behind it has other key or value sizes than this build's
/// contract (a pin is never reinterpreted).
template <class Key, class Value> class PinnedMap {
public:
    [[nodiscard]] static Result<PinnedMap> open(const std::filesystem::path &bpf_dir, std::string_view pin);

    [[nodiscard]] const MapRef<Key, Value> &operator*() const { return map_; }
    [[nodiscard]] const MapRef<Key, Value> *operator->() const { return &map_; }

private:
    PinnedMap(UniqueFd fd, std::string name) : fd_(std::move(fd)), map_(fd_.get(), std::move(name)) {}
    UniqueFd fd_;
    MapRef<Key, Value> map_;
};

[[nodiscard]] Status check_layout(int fd, std::string_view pin, unsigned key_size, unsigned value_size);

template <class Key, class Value>
Result<PinnedMap<Key, Value>> PinnedMap<Key, Value>::open(const std::filesystem::path &bpf_dir, std::string_view pin) {
    auto fd = open_pin(bpf_dir, pin);
    if (!fd) return fail_as_is(std::move(fd));
    if (auto same = check_layout(fd->get(), pin, sizeof(Key), sizeof(Value)); !same) return fail_as_is(std::move(same));
    return PinnedMap(std::move(*fd), std::string(pin));
}

using LeaseMap = PinnedMap<weft_lease_key, weft_lease>;
using NodeMap = PinnedMap<weft_ip, weft_node>;
using AllowedMap = PinnedMap<weft_allowed_key, __u8>;
using EndpointMap = PinnedMap<weft_ip, weft_endpoint>;

} // namespace weft::maps

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

#include "base/error.hpp"
#include "datapath/fingerprint.hpp"
#include "map_ref.hpp"

namespace weft::datapath {

/// Writes to maps and keeps account of what that did to their fingerprints: what is left of a fingerprint without it changes
/// only when somebody else writes.
class MapLedger {
public:
    template <class Key, class Value>
    [[nodiscard]] Status put(const maps::MapRef<Key, Value> &map, const Key &key, const Value &value) {
        const auto before = map.get(key);
        if (!before) return std::unexpected(before.error());
        if (auto put = map.put(key, value); !put) return put;
        ours_ += fingerprint_of_entry(&key, sizeof(Key), &value, sizeof(Value));
        if (*before) ours_ -= fingerprint_of_entry(&key, sizeof(Key), &**before, sizeof(Value));
        return {};
    }
    template <class Key, class Value> [[nodiscard]] Status erase(const maps::MapRef<Key, Value> &map, const Key &key) {
        const auto taken = map.take(key);
        if (!taken) return std::unexpected(taken.error());
        if (*taken) ours_ -= fingerprint_of_entry(&key, sizeof(Key), &**taken, sizeof(Value));
        return {};
    }
    /// Many in one step. What somebody else writes during it counts as ours, until the next audit.
    template <class Key, class Value>
    [[nodiscard]] Status put_all(const maps::MapRef<Key, Value> &map, const std::vector<Key> &keys,
                                 const std::vector<Value> &values) {
        const auto before = fingerprint_of_map(map.fd(), map.name());
        if (!before) return std::unexpected(before.error());
        const auto put = map.put_all(keys, values);
        const auto after = fingerprint_of_map(map.fd(), map.name());
        if (!after) return std::unexpected(after.error());
        ours_ += *after - *before;
        return put;
    }
    [[nodiscard]] std::uint64_t without_ours(std::uint64_t fingerprint) const { return fingerprint - ours_; }

private:
    std::uint64_t ours_ = 0;
};

} // namespace weft::datapath

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

#include "etcd/client.hpp"

namespace weft {

/// The key that this node wrote last, remembered across restarts: one that still is as we left it is ours, whatever address it
/// names. So a node whose address changed knows its lease again, also when that happened while weftd was away.
///
/// Contract: a key that anybody has written since is not ours by this: a node that has our old address by now, say, and took
/// our lease for its own. A file that is missing, damaged, or older than the last write costs only the memory.
/// Threads: any one at a time.
class OwnKey {
public:
    /// @param file where to remember it; empty: for this process only
    explicit OwnKey(std::filesystem::path file = {});

    [[nodiscard]] bool is(const etcd::KeyValue &entry) const;
    void wrote(std::string key, std::string value, std::int64_t revision);

private:
    void save() const;

    const std::filesystem::path file_;
    std::string key_, value_;
    std::int64_t revision_ = 0;
};

} // namespace weft

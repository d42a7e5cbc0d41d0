// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace weft::maps {

/// Typed access to a BPF map by a borrowed fd. The kernel copies keys and values: nothing here points into the map.
///
/// Errors: every one names the map. A missing entry is an outcome (nullopt, false), not an error.
template <class Key, class Value> class MapRef {
    static_assert(std::is_trivially_copyable_v<Key> && std::is_trivially_copyable_v<Value>);

public:
    MapRef(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}

    [[nodiscard]] Result<std::optional<Value>> get(const Key &key) const {
        Value value;
        const int err = bpf_map_lookup_elem(fd_, &key, &value);
        if (err == 0) return value;
        if (err == -ENOENT) return std::nullopt;
        return fail_errno(-err, name_ + ": lookup");
    }

    /// @param flags BPF_ANY, BPF_NOEXIST or BPF_EXIST.
    [[nodiscard]] Status put(const Key &key, const Value &value, __u64 flags = BPF_ANY) const {
        const int err = bpf_map_update_elem(fd_, &key, &value, flags);
        return err == 0 ? Status() : fail_errno(-err, name_ + ": update");
    }

    /// @return whether there was such an entry.
    [[nodiscard]] Result<bool> erase(const Key &key) const {
        const int err = bpf_map_delete_elem(fd_, &key);
        if (err == 0) return true;
        if (err == -ENOENT) return false;
        return fail_errno(-err, name_ + ": delete");
    }

    /// Removes an entry and tells what it was, in one step. @return nothing when there was none
    [[nodiscard]] Result<std::optional<Value>> take(const Key &key) const {
        Value value;
        const int err = bpf_map_lookup_and_delete_elem(fd_, &key, &value);
        if (err == 0) return value;
        if (err == -ENOENT) return std::nullopt;
        return fail_errno(-err, name_ + ": take");
    }

    /// Puts entry after entry in one system call. The n-th value belongs to the n-th key; where one fails, those before it
    /// are there.
    [[nodiscard]] Status put_all(const std::vector<Key> &keys, const std::vector<Value> &values) const {
        auto count = static_cast<__u32>(keys.size());
        if (count == 0) return {};
        const int err = bpf_map_update_batch(fd_, keys.data(), values.data(), &count, nullptr);
        return err == 0 ? Status() : fail_errno(-err, name_ + ": update of many");
    }

    /// Every entry, in the map's order. Entries that come or go meanwhile may or may not be seen; one that stays is.
    [[nodiscard]] Result<std::vector<std::pair<Key, Value>>> entries() const {
        std::vector<std::pair<Key, Value>> all;
        std::vector<Key> keys(kBatch);
        std::vector<Value> values(kBatch);
        std::array<__u32, std::max<std::size_t>(sizeof(Key) / 4, 1)>
            position; // the kernel's own: a bucket's number, or a key
        for (bool first = true;; first = false) {
            auto count = static_cast<__u32>(keys.size());
            const int err = bpf_map_lookup_batch(fd_, first ? nullptr : &position, &position, keys.data(),
                                                 values.data(), &count, nullptr);
            // -ENOSPC: a bucket with more than fit.
            if (err != 0 && err != -ENOENT) return fail_errno(-err, name_ + ": read");
            for (__u32 i = 0; i < count; ++i) all.emplace_back(keys[i], values[i]);
            if (err == -ENOENT) return all; // that was the last
        }
    }

    /// Every key, one system call each: for tries, which kernels before 5.14 do not read in batches.
    [[nodiscard]] std::vector<Key> keys() const {
        std::vector<Key> all;
        Key next;
        while (bpf_map_get_next_key(fd_, all.empty() ? nullptr : &all.back(), &next) == 0) all.push_back(next);
        return all;
    }

    [[nodiscard]] int fd() const { return fd_; }
    [[nodiscard]] const std::string &name() const { return name_; }

private:
    /// No bucket of a hash is ever so full: it has more buckets than entries.
    static constexpr std::size_t kBatch = 1024;

    int fd_;
    std::string name_;
};

/// Reads one element of a per-CPU array: a value for each possible CPU.
template <class Value>
[[nodiscard]] Result<std::vector<Value>> read_percpu(int fd, __u32 index, const std::string &name) {
    static_assert(sizeof(Value) % 8 == 0, "the kernel pads per-CPU values to 8 bytes");
    const int cpus = libbpf_num_possible_cpus();
    if (cpus < 0) return fail_errno(-cpus, "count CPUs");
    std::vector<Value> values(static_cast<std::size_t>(cpus));
    if (const int err = bpf_map_lookup_elem(fd, &index, values.data()); err != 0)
        return fail_errno(-err, name + ": lookup");
    return values;
}

} // namespace weft::maps

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <filesystem>
#include <string>
#include <string_view>

#include "base/error.hpp"

namespace weft::test {

/// A directory that is removed with everything in it. Move-only.
class OwnedDir {
public:
    OwnedDir(OwnedDir &&other) noexcept;
    OwnedDir &operator=(OwnedDir &&other) noexcept;
    ~OwnedDir();

    [[nodiscard]] const std::filesystem::path &path() const { return path_; }
    [[nodiscard]] std::filesystem::path operator/(std::string_view name) const { return path_ / name; }

protected:
    explicit OwnedDir(std::filesystem::path path) : path_(std::move(path)) {}
    std::filesystem::path path_;
};

/// /tmp/weft-test-<pid>-<number>-<name>
class TempDir : public OwnedDir {
public:
    [[nodiscard]] static Result<TempDir> create(std::string_view name);
    /// The same on a filesystem in memory (/dev/shm), for what calls fsync much.
    [[nodiscard]] static Result<TempDir> create_in_memory(std::string_view name);

private:
    using OwnedDir::OwnedDir;
};

/// /sys/fs/bpf/weft-test-<pid>-<number>-<name>: one node's `--bpf-dir`. Removing it unpins everything below.
class BpfDir : public OwnedDir {
public:
    [[nodiscard]] static Result<BpfDir> create(std::string_view name);

private:
    using OwnedDir::OwnedDir;
};

/// Small files, whole. Reading one that is absent is an error with code ENOENT.
[[nodiscard]] Result<std::string> read_file(const std::filesystem::path &path);
Status write_file(const std::filesystem::path &path, std::string_view text);

} // namespace weft::test

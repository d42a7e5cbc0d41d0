// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <spdlog/logger.h>
#include <sys/stat.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <string>

#include "config/subnet_env.hpp"

namespace weft {

/// subnet.env, by which the CNI plugin and other readers learn the node's subnet.
///
/// Contract: what is on the disk counts: a file that somebody removed or changed is written again. A write that fails (a full
/// disk) leaves the old file whole, is said once, and is wanted again.
class SubnetFile {
public:
    SubnetFile(std::filesystem::path path, std::shared_ptr<spdlog::logger> log)
        : path_(std::move(path)), log_(std::move(log)) {}

    void publish(const SubnetEnv &env);
    /// publish() has something to do: somebody touched the file, or the last write failed. Cheap.
    [[nodiscard]] bool is_due() const;
    /// It has been written since start.
    [[nodiscard]] bool published() const { return published_; }

private:
    struct Stamp {
        ino_t inode = 0; ///< 0: no such file
        timespec changed{};
    };
    [[nodiscard]] Stamp stamp() const;

    const std::filesystem::path path_;
    const std::shared_ptr<spdlog::logger> log_;
    Stamp stamp_;
    bool published_ = false, failed_ = false;
    std::string said_;
};

} // namespace weft

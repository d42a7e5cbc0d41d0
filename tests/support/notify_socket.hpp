// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <filesystem>
#include <string>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "poll.hpp"

namespace weft::test {

/// The service manager's end of sd_notify: what a daemon says to `$NOTIFY_SOCKET`.
class NotifySocket {
public:
    /// @param path where the socket is made; a file there is replaced.
    [[nodiscard]] static Result<NotifySocket> bind(const std::filesystem::path &path);

    [[nodiscard]] std::string env() const { return "NOTIFY_SOCKET=" + path_.string(); }
    /// Every message so far, a line for each assignment ("READY=1").
    [[nodiscard]] const std::string &messages();
    /// Waits until a message contains the line `line`.
    [[nodiscard]] bool wait_for(const std::string &line, std::chrono::milliseconds timeout = 10s);
    /// Forgets what was said so far, for the next start of the daemon.
    void clear();

private:
    NotifySocket(UniqueFd fd, std::filesystem::path path) : fd_(std::move(fd)), path_(std::move(path)) {}
    UniqueFd fd_;
    std::filesystem::path path_;
    std::string messages_ = "\n"; ///< every line begins and ends with a newline
};

} // namespace weft::test

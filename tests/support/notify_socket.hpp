// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <chrono>
#include <filesystem>
#include <memory>
#include <string>

#include "base/error.hpp"
#include "poll.hpp"

namespace weft::test {

/// The service manager's end of sd_notify: what a daemon says to `$NOTIFY_SOCKET`.
///
/// A thread takes every message at once, as a service manager does: a daemon waits in sd_notify() when nobody reads.
class NotifySocket {
public:
    /// @param path where the socket is made; a file there is replaced.
    [[nodiscard]] static Result<NotifySocket> bind(const std::filesystem::path &path);

    NotifySocket(NotifySocket &&) noexcept;
    NotifySocket &operator=(NotifySocket &&) noexcept;
    ~NotifySocket();

    [[nodiscard]] std::string env() const; ///< "NOTIFY_SOCKET=<path>"
    /// Every message so far, a line for each assignment ("READY=1").
    [[nodiscard]] std::string messages() const;
    /// Waits until a message contains the line `line`.
    [[nodiscard]] bool wait_for(const std::string &line, std::chrono::milliseconds timeout = 10s) const;
    /// Forgets what was said so far, for the next start of the daemon.
    void clear();

private:
    struct Impl;
    explicit NotifySocket(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

} // namespace weft::test

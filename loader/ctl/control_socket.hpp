// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <asio/io_context.hpp>
#include <nlohmann/json_fwd.hpp>

#include <chrono>
#include <cstddef>
#include <filesystem>
#include <functional>
#include <memory>
#include <string_view>

#include "base/error.hpp"
#include "base/unique_fd.hpp"

namespace weft {

/// What a daemon has in its run directory.
inline constexpr const char *kSocketName = "weftd.sock";
inline constexpr const char *kLockName = "weftd.lock";
inline constexpr const char *kLeaseName = "lease.json"; ///< what it last wrote to etcd

/// The daemon's end of `<run-dir>/weftd.sock`: one JSON object a line, each way, any number of them on a connection.
///
/// Contract: a request is an object; the handler's answer goes back as one line. What cannot be read as an object is
/// answered with `{"error": "<sentence>"}` and the connection is closed. The handler answers a request it does not know
/// with such an object too.
/// One server a run directory: `listen()` holds an exclusive lock on `<run-dir>/weftd.lock` for its lifetime, so it
/// doubles as the guard against a second weftd, and a socket file found under the lock is a dead daemon's and replaced.
/// Permissions: the directory is made (or tightened to) 0700 and the socket 0600, both the caller's user: root.
/// A client of another user who gets there all the same is refused in words.
/// Limits: a request of at most kMaxRequest bytes, kMaxClients connections, and kClientPatience for a client to send the
/// next request or to take the answer; who exceeds one is hung up on. A bad client never holds up the daemon.
/// Threads: everything, the handler too, runs on the io_context's thread. The destructor hangs up and removes the socket;
/// `io` outlives the server.
/// Errors: EADDRINUSE when another weftd lives in this run directory; otherwise the errno of the step that failed.
class ControlServer {
public:
    using Handler = std::function<nlohmann::json(const nlohmann::json &request)>;

    static constexpr std::size_t kMaxRequest = 64 * 1024;
    static constexpr std::size_t kMaxClients = 32;
    static constexpr std::chrono::seconds kClientPatience{5};

    /// Listens at once; requests are answered while `io` runs. `patience` is for tests.
    [[nodiscard]] static Result<ControlServer> listen(asio::io_context &io, const std::filesystem::path &run_dir,
                                                      Handler handler,
                                                      std::chrono::milliseconds patience = kClientPatience);

    ControlServer(ControlServer &&) noexcept;
    ~ControlServer();

private:
    class Impl;
    explicit ControlServer(std::shared_ptr<Impl> impl);
    std::shared_ptr<Impl> impl_;
};

/// Holds a run directory as a daemon does, so that none runs in it meanwhile. Closing the fd lets go.
/// Errors: EADDRINUSE when a weftd has it; ENOENT when there is no such directory, EACCES for who is not root.
[[nodiscard]] Result<UniqueFd> hold_run_dir(const std::filesystem::path &run_dir);

/// Sends one request to the weftd of `run_dir` and waits for its answer.
///
/// Errors: ENOENT (no socket) and ECONNREFUSED (its owner is gone) mean that weftd is not running there; EACCES: not
/// root; ETIMEDOUT: weftd is there, but does not answer; EPROTO: the answer is `{"error": ...}`, which is then the
/// sentence, or no object at all.
[[nodiscard]] Result<nlohmann::json> ask(const std::filesystem::path &run_dir, const nlohmann::json &request,
                                         std::chrono::milliseconds timeout = std::chrono::seconds(5));

} // namespace weft

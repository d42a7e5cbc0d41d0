// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "poll.hpp"

namespace weft::test {

struct SpawnOptions {
    std::string netns;            ///< path of a network namespace ("/run/netns/x"); empty: the caller's
    std::vector<std::string> env; ///< "NAME=value", on top of the caller's environment
    std::string input;            ///< what the process reads from stdin; then end of file
    std::filesystem::path cwd;    ///< empty: the caller's
};

/// One child process, its stdout and stderr captured in memory.
///
/// Contract: always reaped; the destructor kills it (its whole process group) if it still runs, and it dies with the
/// thread that spawned it. Output can be read at any time and is never lost or limited. argv[0] is looked up in PATH.
/// Only the network namespace is changed, so /sys (and the BPF filesystem in it) stays what it was.
/// Threads: any one at a time.
class Process {
public:
    [[nodiscard]] static Result<Process> spawn(std::vector<std::string> argv, SpawnOptions options = {});

    Process(Process &&other) noexcept;
    Process &operator=(Process &&other) noexcept;
    ~Process();

    [[nodiscard]] pid_t pid() const { return pid_; }
    [[nodiscard]] bool running();
    /// Waits for the end. @return the exit code, 128 + signal if a signal ended it, nothing if it still runs.
    std::optional<int> wait(std::chrono::milliseconds timeout);
    /// Sends a signal to the process alone.
    Status signal(int number);
    /// SIGTERM, and SIGKILL to the process group if that is not enough in time. @return as wait().
    int terminate(std::chrono::milliseconds patience = 5s);
    /// SIGKILL to the process group. @return as wait().
    int kill();

    [[nodiscard]] std::string out() const;
    [[nodiscard]] std::string err() const;
    /// Waits until stdout or stderr contains `text`; gives up early when the process has ended without it.
    [[nodiscard]] bool wait_for_output(std::string_view text, std::chrono::milliseconds timeout = 10s);
    /// "argv, how it stands, stdout, stderr": for the message of a failed assertion.
    [[nodiscard]] std::string describe();

private:
    Process() = default;
    void reap();

    std::vector<std::string> argv_;
    pid_t pid_ = -1;
    UniqueFd pidfd_, out_, err_;
    std::optional<int> code_;
};

struct Output {
    int code = -1; ///< as Process::wait()
    std::string out, err;
};

/// Runs a command to its end. An error only when it could not be started or took longer than `timeout`.
[[nodiscard]] Result<Output> run(std::vector<std::string> argv, SpawnOptions options = {},
                                 std::chrono::milliseconds timeout = 60s);

/// run(), where any exit code but 0 is an error that quotes the command and its stderr. @return stdout.
Result<std::string> run_ok(std::vector<std::string> argv, SpawnOptions options = {},
                           std::chrono::milliseconds timeout = 60s);

/// Splits a command line at blanks; there is no quoting. For fixed commands, so that they read as they are typed.
[[nodiscard]] std::vector<std::string> words(std::string_view line);

} // namespace weft::test

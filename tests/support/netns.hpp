// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "process.hpp"

namespace weft::test {

/// A network namespace of the test's own: /run/netns/weft-<pid>-<name>, loopback up.
///
/// Contract: the destructor kills every process in it and removes it. The first one that a test program makes also
/// removes what earlier test programs, dead by now, left behind (namespaces, BPF and temporary directories).
/// Errors: name the namespace and quote the command.
class Netns {
public:
    [[nodiscard]] static Result<Netns> create(std::string_view name);

    /// The same namespace in a second role: this object removes nothing.
    [[nodiscard]] Netns alias() const;

    Netns(Netns &&other) noexcept;
    Netns &operator=(Netns &&other) noexcept;
    ~Netns();

    [[nodiscard]] const std::string &name() const { return name_; } ///< "weft-<pid>-<name>"
    [[nodiscard]] std::string path() const { return "/run/netns/" + name_; }

    /// Runs a command inside, to its end; any exit code but 0 is an error. @return stdout.
    Result<std::string> run(std::vector<std::string> argv, SpawnOptions options = {},
                            std::chrono::milliseconds timeout = 60s) const;
    Result<std::string> run(std::string_view line) const { return run(words(line)); }
    /// Runs a command inside, to its end, whatever its exit code.
    [[nodiscard]] Result<Output> output(std::vector<std::string> argv, SpawnOptions options = {},
                                        std::chrono::milliseconds timeout = 60s) const;
    /// Starts a command inside.
    [[nodiscard]] Result<Process> spawn(std::vector<std::string> argv, SpawnOptions options = {}) const;
    /// `ip -batch`: one `ip` command a line, without the word `ip`; stops at the first that fails.
    Status ip(std::string_view batch) const;
    /// Writes /proc/sys/<name with dots> of this namespace.
    Status sysctl(std::string_view name, std::string_view value) const;
    /// Calls `body` on a thread of its own inside, and waits for it. @return what `body` returns.
    /// Processes are started with spawn(), not in `body`:
    /// a child dies with the thread that started it.
    Status run_in(const std::function<Status()> &body) const;

    /// Kills every process in it and waits until they are gone.
    void kill_all() const;

private:
    explicit Netns(std::string name) : name_(std::move(name)) {}
    std::string name_;
    bool owned_ = true;
};

/// Netns::run_in() for the namespace at `path`.
Status run_in_netns(const std::string &path, const std::function<Status()> &body);

/// Kills every process whose network namespace is the one at `path`, never the caller.
void kill_processes_in(const std::string &path);

/// Removes what test programs that no longer run have left behind. Called by the first Netns, BpfDir and TempDir.
void sweep_leftovers();

} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
#include "cni/run_plugin.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <vector>

#include "base/unique_fd.hpp"

namespace weft::cni {
namespace {

struct Pipe {
    UniqueFd reader, writer;
};

Result<Pipe> make_pipe() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return fail_errno(errno, "pipe");
    return Pipe{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

/// Spawns with the pipes as stdin and stdout; everything else of ours is O_CLOEXEC.
Result<pid_t> spawn(const std::filesystem::path &path, std::string_view command, int stdin_fd, int stdout_fd) {
    constexpr std::string_view kCommand = "CNI_COMMAND=";
    std::string override_command = std::string(kCommand) + std::string(command);
    std::vector<char *> env{override_command.data()};
    for (char **variable = environ; *variable; ++variable)
        if (!std::string_view(*variable).starts_with(kCommand)) env.push_back(*variable);
    env.push_back(nullptr);
    std::string name = path.string();
    std::array<char *, 2> argv{name.data(), nullptr};

    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, stdin_fd, STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, stdout_fd, STDOUT_FILENO);
    // weft ignores SIGPIPE, and an ignored signal stays ignored across exec: the plugin gets the default back.
    posix_spawnattr_t attributes;
    posix_spawnattr_init(&attributes);
    sigset_t defaults;
    sigemptyset(&defaults);
    sigaddset(&defaults, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes, &defaults);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF);
    pid_t pid = 0;
    const int err = ::posix_spawn(&pid, path.c_str(), &actions, &attributes, argv.data(), env.data());
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&actions);
    if (err != 0) return fail_errno(err, "run " + path.string());
    return pid;
}

/// Feeds `input` and collects output at once: a plugin may answer before it has read everything, and neither pipe may
/// fill up while the other is waited for.
std::string converse(UniqueFd in, UniqueFd out, std::string_view input) {
    std::string output;
    ::fcntl(in.get(), F_SETFL, O_NONBLOCK);
    if (input.empty()) in = UniqueFd();
    for (;;) {
        std::array<pollfd, 2> fds{pollfd{.fd = out.get(), .events = POLLIN}, pollfd{.fd = in.get(), .events = POLLOUT}};
        if (::poll(fds.data(), fds.size(), -1) < 0 && errno != EINTR) return output;
        if (fds[1].revents != 0) {
            const ssize_t put = ::write(in.get(), input.data(), input.size());
            if (put > 0) input.remove_prefix(static_cast<std::size_t>(put));
            // EPIPE: it did not want to read on, which is its business.
            if (input.empty() || (put < 0 && errno != EAGAIN && errno != EINTR)) in = UniqueFd();
        }
        if (fds[0].revents == 0) continue;
        std::array<char, 8192> chunk;
        const ssize_t got = ::read(out.get(), chunk.data(), chunk.size());
        if (got > 0)
            output.append(chunk.data(), static_cast<std::size_t>(got));
        else if (got == 0 || errno != EINTR)
            return output;
    }
}

} // namespace

Result<PluginRun> run_plugin(const std::filesystem::path &path, std::string_view command, std::string_view input) {
    auto to = make_pipe(), from = make_pipe();
    if (!to) return fail_as_is(std::move(to));
    if (!from) return fail_as_is(std::move(from));
    auto pid = spawn(path, command, to->reader.get(), from->writer.get());
    if (!pid) return fail_as_is(std::move(pid));
    to->reader = UniqueFd();
    from->writer = UniqueFd();
    PluginRun run;
    run.output = converse(std::move(to->writer), std::move(from->reader), input);

    int status = 0;
    while (::waitpid(*pid, &status, 0) < 0)
        if (errno != EINTR) return fail_errno(errno, "wait for " + path.string());
    run.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    run.ending = WIFEXITED(status) ? fmt::format("exit status {}", WEXITSTATUS(status))
                                   : fmt::format("killed by signal {}", WTERMSIG(status));
    return run;
}

} // namespace weft::cni

// SPDX-License-Identifier: Apache-2.0
#include "firewall/command.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "base/unique_fd.hpp"

namespace weft {
namespace {

/// Files in memory and no pipes: however much a command reads or writes, in whatever order, nobody waits for anybody.
Result<UniqueFd> memory_file(std::string_view content) {
    UniqueFd file(::memfd_create("weft-command", MFD_CLOEXEC));
    if (!file) return fail_errno(errno, "memory file");
    while (!content.empty()) {
        const ssize_t put = ::write(file.get(), content.data(), content.size());
        if (put < 0) return fail_errno(errno, "memory file");
        content.remove_prefix(static_cast<std::size_t>(put));
    }
    if (::lseek(file.get(), 0, SEEK_SET) < 0) return fail_errno(errno, "memory file");
    return file;
}

std::string content_of(const UniqueFd &file) {
    struct stat info{};
    if (::fstat(file.get(), &info) != 0) return {};
    std::string text(static_cast<std::size_t>(info.st_size), '\0');
    const ssize_t got = ::pread(file.get(), text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    return text;
}

Result<pid_t> spawn(std::vector<std::string> &argv, const UniqueFd &in, const UniqueFd &out, const UniqueFd &err) {
    std::vector<char *> words;
    for (auto &word : argv) words.push_back(word.data());
    words.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, in.get(), STDIN_FILENO);
    posix_spawn_file_actions_adddup2(&actions, out.get(), STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err.get(), STDERR_FILENO);
    pid_t pid = 0;
    const int failed = ::posix_spawn(&pid, argv[0].c_str(), &actions, nullptr, words.data(), environ);
    posix_spawn_file_actions_destroy(&actions);
    if (failed != 0) return fail_errno(failed, "run " + argv[0]);
    return pid;
}

/// @return whether it ended in time. Where the kernel has no pidfd (before 5.3) it is waited for as long as it takes.
bool ends_within(pid_t pid, std::chrono::milliseconds timeout) {
    const UniqueFd fd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))); // glibc 2.36 declares it without C linkage
    if (!fd) return true;
    pollfd ended{.fd = fd.get(), .events = POLLIN};
    int ready = 0;
    do ready = ::poll(&ended, 1, static_cast<int>(timeout.count()));
    while (ready < 0 && errno == EINTR);
    return ready != 0;
}

} // namespace

std::optional<std::string> find_command(std::string_view name) {
    const char *path = std::getenv("PATH"); // NOLINT(concurrency-mt-unsafe): nothing of ours changes the environment
    std::string_view rest = path ? path : "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    while (!rest.empty()) {
        const auto folder = rest.substr(0, rest.find(':'));
        rest.remove_prefix(std::min(rest.size(), folder.size() + 1));
        auto candidate = fmt::format("{}/{}", folder, name);
        if (!folder.empty() && ::access(candidate.c_str(), X_OK) == 0) return candidate;
    }
    return std::nullopt;
}

Result<CommandOutput> run_command(std::vector<std::string> argv, std::string_view input,
                                  std::chrono::milliseconds timeout) {
    auto in = memory_file(input), out = memory_file({}), err = memory_file({});
    for (auto *file : {&in, &out, &err})
        if (!*file) return fail_as_is(std::move(*file));
    auto pid = spawn(argv, *in, *out, *err);
    if (!pid) return fail_as_is(std::move(pid));
    const bool in_time = ends_within(*pid, timeout);
    if (!in_time) ::kill(*pid, SIGKILL);
    int status = 0;
    while (::waitpid(*pid, &status, 0) < 0)
        if (errno != EINTR) return fail_errno(errno, "wait for " + argv[0]);
    if (!in_time) return fail(fmt::format("{} did not end in {} ms", argv[0], timeout.count()), ETIMEDOUT);
    return CommandOutput{WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), content_of(*out),
                         content_of(*err)};
}

} // namespace weft

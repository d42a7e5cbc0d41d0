// SPDX-License-Identifier: Apache-2.0
#include "process.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstring>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace weft::test {
namespace {

UniqueFd memory_file(const char *name) { return UniqueFd(::memfd_create(name, MFD_CLOEXEC)); }

std::string read_from_start(int fd) {
    std::string text;
    char buffer[16384];
    ssize_t n = 0;
    // pread: the file's own offset is where the child writes next.
    while ((n = ::pread(fd, buffer, sizeof buffer, static_cast<off_t>(text.size()))) > 0)
        text.append(buffer, static_cast<std::size_t>(n));
    return text;
}

/// What the child needs, made before fork(): after it, only async-signal-safe calls are allowed.
struct ChildPlan {
    std::vector<char *> argv, env;
    const char *cwd = nullptr;
    int netns = -1, in = -1, out = -1, err = -1, report = -1;
    pid_t parent = 0;
};

[[noreturn]] void become(const ChildPlan &plan) {
    const auto give_up = [&] {
        const int code = errno;
        // The parent reads it from the pipe; if that fails there is nobody to tell.
        [[maybe_unused]] const auto n = ::write(plan.report, &code, sizeof code);
        ::_exit(127);
    };
    ::setpgid(0, 0);
    ::prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (::getppid() != plan.parent) ::_exit(127);
    if (plan.netns >= 0 && ::setns(plan.netns, CLONE_NEWNET) < 0) give_up();
    if (plan.cwd && ::chdir(plan.cwd) < 0) give_up();
    if (::dup2(plan.in, 0) < 0 || ::dup2(plan.out, 1) < 0 || ::dup2(plan.err, 2) < 0) give_up();
    sigset_t none;
    ::sigemptyset(&none);
    ::sigprocmask(SIG_SETMASK, &none, nullptr);
    ::execvpe(plan.argv[0], plan.argv.data(), plan.env.data());
    give_up();
    __builtin_unreachable();
}

std::vector<char *> c_strings(std::vector<std::string> &strings) {
    std::vector<char *> pointers;
    for (auto &s : strings) pointers.push_back(s.data());
    pointers.push_back(nullptr);
    return pointers;
}

std::vector<std::string> environment(const std::vector<std::string> &extra) {
    std::vector<std::string> env;
    for (char **e = environ; *e; ++e) {
        const std::string_view entry(*e);
        const auto name = entry.substr(0, entry.find('=') + 1);
        bool replaced = false;
        for (const auto &x : extra) replaced |= x.starts_with(name);
        if (!replaced) env.emplace_back(entry);
    }
    env.insert(env.end(), extra.begin(), extra.end());
    return env;
}

int exit_code_of(int status) { return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status); }

} // namespace

Result<Process> Process::spawn(std::vector<std::string> argv, SpawnOptions options) {
    const auto what = "start " + argv.at(0);
    Process p;
    p.argv_ = argv;
    p.out_ = memory_file("stdout");
    p.err_ = memory_file("stderr");
    const UniqueFd in = memory_file("stdin");
    if (!p.out_ || !p.err_ || !in) return fail_errno(errno, what + ": memfd_create");
    if (::write(in.get(), options.input.data(), options.input.size()) < 0 || ::lseek(in.get(), 0, SEEK_SET) < 0)
        return fail_errno(errno, what + ": stdin");
    UniqueFd netns;
    if (!options.netns.empty()) {
        netns = UniqueFd(::open(options.netns.c_str(), O_RDONLY | O_CLOEXEC));
        if (!netns) return fail_errno(errno, what + ": " + options.netns);
    }
    int pipe_ends[2];
    if (::pipe2(pipe_ends, O_CLOEXEC) < 0) return fail_errno(errno, what + ": pipe");
    const UniqueFd report_in(pipe_ends[0]);
    UniqueFd report_out(pipe_ends[1]);

    auto env = environment(options.env);
    ChildPlan plan{.argv = c_strings(argv),
                   .env = c_strings(env),
                   .netns = netns.get(),
                   .in = in.get(),
                   .out = p.out_.get(),
                   .err = p.err_.get(),
                   .report = report_out.get(),
                   .parent = ::getpid()};
    if (!options.cwd.empty()) plan.cwd = options.cwd.c_str();
    p.pid_ = ::fork();
    if (p.pid_ < 0) return fail_errno(errno, what + ": fork");
    if (p.pid_ == 0) become(plan);
    report_out = UniqueFd();

    p.pidfd_ = UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, p.pid_, 0)));
    if (!p.pidfd_) return fail_errno(errno, what + ": pidfd_open");
    int code = 0;
    if (::read(report_in.get(), &code, sizeof code) == sizeof code) { // end of file: the exec has closed it
        p.reap();
        return fail_errno(code, what);
    }
    return p;
}

Process::Process(Process &&other) noexcept
    : argv_(std::move(other.argv_)), pid_(std::exchange(other.pid_, -1)), pidfd_(std::move(other.pidfd_)),
      out_(std::move(other.out_)), err_(std::move(other.err_)), code_(other.code_) {}

Process &Process::operator=(Process &&other) noexcept {
    if (this == &other) return *this;
    if (pid_ > 0) kill();
    argv_ = std::move(other.argv_);
    pid_ = std::exchange(other.pid_, -1);
    pidfd_ = std::move(other.pidfd_);
    out_ = std::move(other.out_);
    err_ = std::move(other.err_);
    code_ = other.code_;
    return *this;
}

Process::~Process() {
    if (pid_ > 0) kill();
}

void Process::reap() {
    if (code_ || pid_ <= 0) return;
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
    }
    code_ = exit_code_of(status);
}

std::optional<int> Process::wait(std::chrono::milliseconds timeout) {
    if (code_) return code_;
    pollfd pfd{.fd = pidfd_.get(), .events = POLLIN, .revents = 0};
    if (::poll(&pfd, 1, static_cast<int>(timeout.count())) > 0) reap();
    return code_;
}

bool Process::running() { return !wait(0ms); }

Status Process::signal(int number) {
    if (code_) return fail(argv_[0] + " has ended already", ESRCH);
    if (::kill(pid_, number) < 0) return fail_errno(errno, "signal " + argv_[0]);
    return {};
}

int Process::kill() {
    // The group too when the leader is gone: what it started must not outlive the test.
    ::kill(-pid_, SIGKILL);
    reap();
    return *code_;
}

int Process::terminate(std::chrono::milliseconds patience) {
    if (!code_) ::kill(pid_, SIGTERM);
    const auto code = wait(patience);
    return code ? *code : kill();
}

std::string Process::out() const { return read_from_start(out_.get()); }
std::string Process::err() const { return read_from_start(err_.get()); }

bool Process::wait_for_output(std::string_view text, std::chrono::milliseconds timeout) {
    const auto seen = [&] { return out().find(text) != std::string::npos || err().find(text) != std::string::npos; };
    bool found = false;
    (void)wait_until(
        [&] {
            const bool ended = !running(); // asked first: what it wrote last counts
            found = seen();
            return found || ended;
        },
        timeout);
    return found;
}

std::string Process::describe() {
    return fmt::format("{}\n{}\n--- stdout\n{}\n--- stderr\n{}", fmt::join(argv_, " "),
                       running() ? "still running" : fmt::format("ended with {}", *code_), out(), err());
}

Result<Output> run(std::vector<std::string> argv, SpawnOptions options, std::chrono::milliseconds timeout) {
    const auto line = fmt::format("{}", fmt::join(argv, " "));
    auto p = Process::spawn(std::move(argv), std::move(options));
    if (!p) return fail_as_is(std::move(p));
    const auto code = p->wait(timeout);
    if (!code) return fail(fmt::format("`{}` still ran after {} ms: {}", line, timeout.count(), p->err()), ETIMEDOUT);
    return Output{*code, p->out(), p->err()};
}

Result<std::string> run_ok(std::vector<std::string> argv, SpawnOptions options, std::chrono::milliseconds timeout) {
    const auto line = fmt::format("{}", fmt::join(argv, " "));
    auto output = run(std::move(argv), std::move(options), timeout);
    if (!output) return fail_as_is(std::move(output));
    if (output->code != 0) {
        return fail(fmt::format("`{}` ended with {}: {}{}", line, output->code, output->err, output->out), EIO);
    }
    return std::move(output->out);
}

std::vector<std::string> words(std::string_view line) {
    std::vector<std::string> result;
    while (true) {
        const auto begin = line.find_first_not_of(" \t\n");
        if (begin == line.npos) return result;
        const auto end = line.find_first_of(" \t\n", begin);
        result.emplace_back(line.substr(begin, end == line.npos ? line.npos : end - begin));
        if (end == line.npos) return result;
        line.remove_prefix(end);
    }
}

} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
#include "netns.hpp"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <mutex>
#include <thread>

#include <fmt/format.h>

#include "dirs.hpp"

namespace weft::test {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kNetnsDir = "/run/netns/";
constexpr std::string_view kNetnsPrefix = "weft-";

std::optional<pid_t> leading_pid(std::string_view text) {
    pid_t pid = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), pid);
    if (error != std::errc() || end == text.data() + text.size() || *end != '-') return std::nullopt;
    return pid;
}

/// The entries of `dir` named "<prefix><pid>-..." whose pid is no process any more.
std::vector<fs::path> leftovers(const fs::path &dir, std::string_view prefix) {
    std::vector<fs::path> found;
    std::error_code error;
    for (fs::directory_iterator it(dir, error), end; !error && it != end; it.increment(error)) {
        const auto name = it->path().filename().string();
        if (!name.starts_with(prefix)) continue;
        const auto pid = leading_pid(std::string_view(name).substr(prefix.size()));
        if (pid && ::kill(*pid, 0) < 0 && errno == ESRCH) found.push_back(it->path());
    }
    return found;
}

void remove_netns(const std::string &path) {
    kill_processes_in(path);
    ::umount2(path.c_str(), MNT_DETACH);
    ::unlink(path.c_str());
}

std::vector<pid_t> processes_in(const struct stat &netns) {
    std::vector<pid_t> pids;
    std::error_code error;
    for (fs::directory_iterator it("/proc", error), end; !error && it != end; it.increment(error)) {
        const auto name = it->path().filename().string();
        pid_t pid = 0;
        if (std::from_chars(name.data(), name.data() + name.size(), pid).ec != std::errc() || pid == ::getpid())
            continue;
        struct stat st{};
        if (::stat((it->path() / "ns/net").c_str(), &st) == 0 && st.st_ino == netns.st_ino && st.st_dev == netns.st_dev)
            pids.push_back(pid);
    }
    return pids;
}

} // namespace

void kill_processes_in(const std::string &path) {
    struct stat netns{};
    if (::stat(path.c_str(), &netns) < 0) return;
    // Our own children become zombies until their owner reaps them; a zombie has no namespace left, so it is not seen.
    (void)wait_until([&] {
        const auto pids = processes_in(netns);
        for (const auto pid : pids) ::kill(pid, SIGKILL);
        return pids.empty();
    });
}

void sweep_leftovers() {
    static std::once_flag once;
    std::call_once(once, [] {
        for (const auto &path : leftovers(kNetnsDir, kNetnsPrefix)) remove_netns(path);
        for (const auto *dir : {"/sys/fs/bpf", "/tmp", "/dev/shm"}) {
            for (const auto &path : leftovers(dir, "weft-test-")) {
                std::error_code ignored; // another test program may be sweeping too
                fs::remove_all(path, ignored);
            }
        }
    });
}

Result<Netns> Netns::create(std::string_view name) {
    sweep_leftovers();
    auto full_name = fmt::format("{}{}-{}", kNetnsPrefix, ::getpid(), name);
    if (auto added = run_ok({"ip", "netns", "add", full_name}); !added) return fail_as_is(std::move(added));
    Netns ns(std::move(full_name));
    if (auto up = ns.run("ip link set lo up"); !up) return fail_as_is(std::move(up));
    return ns;
}

Netns Netns::alias() const {
    Netns other(name_);
    other.owned_ = false;
    return other;
}

Netns::Netns(Netns &&other) noexcept : name_(std::exchange(other.name_, {})), owned_(other.owned_) {}

Netns &Netns::operator=(Netns &&other) noexcept {
    std::swap(name_, other.name_);
    std::swap(owned_, other.owned_);
    return *this;
}

Netns::~Netns() {
    if (!name_.empty() && owned_) remove_netns(path());
}

Result<std::string> Netns::run(std::vector<std::string> argv, SpawnOptions options,
                               std::chrono::milliseconds timeout) const {
    options.netns = path();
    auto out = run_ok(std::move(argv), std::move(options), timeout);
    if (!out) return fail_in(std::move(out), name_);
    return out;
}

Result<Output> Netns::output(std::vector<std::string> argv, SpawnOptions options,
                             std::chrono::milliseconds timeout) const {
    options.netns = path();
    return test::run(std::move(argv), std::move(options), timeout);
}

Result<Process> Netns::spawn(std::vector<std::string> argv, SpawnOptions options) const {
    options.netns = path();
    return Process::spawn(std::move(argv), std::move(options));
}

Status Netns::ip(std::string_view batch) const {
    auto out = run({"ip", "-batch", "-"}, {.input = std::string(batch) + "\n"});
    if (!out) return fail_in(std::move(out), fmt::format("ip batch \"{}\"", batch));
    return {};
}

Status Netns::sysctl(std::string_view name, std::string_view value) const {
    std::string file(name);
    // Interface names may contain dots; a name written with slashes is taken as it is.
    if (file.find('/') == file.npos) std::replace(file.begin(), file.end(), '.', '/');
    return run_in([&] { return write_file("/proc/sys/" + file, value); });
}

Status Netns::run_in(const std::function<Status()> &body) const {
    auto done = run_in_netns(path(), body);
    if (!done) return fail_in(std::move(done), name_);
    return {};
}

Status run_in_netns(const std::string &path, const std::function<Status()> &body) {
    const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) return fail_errno(errno, path);
    Status result;
    // A thread of its own, because a namespace belongs to a thread and is never given back.
    std::thread([&] {
        if (::setns(fd.get(), CLONE_NEWNET) < 0)
            result = fail_errno(errno, "enter " + path);
        else
            result = body();
    }).join();
    return result;
}

void Netns::kill_all() const { kill_processes_in(path()); }

} // namespace weft::test

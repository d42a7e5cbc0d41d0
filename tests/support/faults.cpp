// SPDX-License-Identifier: Apache-2.0
#include "faults.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <map>
#include <numeric>
#include <random>
#include <sstream>
#include <string_view>

#include "dirs.hpp"

namespace weft::test {
namespace {

/// How each call fails of what the kernel may really say: short of memory, of descriptors, of space, a device's error. What is
/// not here cannot fail for a program that is right (getpid, signal masks, futex), or an injected failure would be another than
/// the kernel's: close() releases its descriptor whatever it says, brk() leaves the end where it was.
const std::map<std::string, std::string> kFailures{
    {"accept4", "error=EMFILE"},    {"bind", "error=ENOMEM"},
    {"bpf", "error=ENOMEM"},        {"clone", "error=EAGAIN"},
    {"clone3", "error=EAGAIN"},     {"connect", "error=ENOBUFS"},
    {"epoll_ctl", "error=ENOMEM"},  {"fdatasync", "error=EIO"},
    {"flock", "error=ENOLCK"},      {"fork", "error=EAGAIN"},
    {"fstat", "error=ENOMEM"},      {"fstatfs", "error=EIO"},
    {"fsync", "error=EIO"},         {"ftruncate", "error=EIO"},
    {"getdents64", "error=EIO"},    {"getsockname", "error=ENOBUFS"},
    {"ioctl", "error=EIO"},         {"link", "error=ENOSPC"},
    {"linkat", "error=ENOSPC"},     {"lseek", "error=EIO"},
    {"mkdir", "error=ENOSPC"},      {"mkdirat", "error=ENOSPC"},
    {"mmap", "error=ENOMEM"},       {"newfstatat", "error=ENOMEM"},
    {"openat", "error=EMFILE"},     {"pipe2", "error=EMFILE"},
    {"poll", "error=ENOMEM"},       {"read", "error=EIO"},
    {"readlink", "error=EIO"},      {"recvfrom", "error=ENOBUFS"},
    {"recvmsg", "error=ENOBUFS"},   {"rename", "error=EIO"},
    {"renameat", "error=EIO"},      {"sendmsg", "error=ENOBUFS"},
    {"sendto", "error=ENOBUFS"},    {"setns", "error=ENOMEM"},
    {"setsockopt", "error=ENOMEM"}, {"socket", "error=EMFILE"},
    {"socketpair", "error=EMFILE"}, {"statfs", "error=EIO"},
    {"statx", "error=ENOMEM"},      {"unlink", "error=EIO"},
    {"unlinkat", "error=EIO"},      {"vfork", "error=EAGAIN"},
    {"write", "error=ENOSPC"},      {"writev", "error=ENOSPC"},
};

std::uint64_t number_in(const char *variable, std::uint64_t otherwise) {
    const char *text = std::getenv(variable);
    return text ? std::strtoull(text, nullptr, 10) : otherwise;
}

/// Calls by thread but for one, from "123 openat(..." lines; the first thread's first.
std::vector<std::map<std::string, unsigned>> calls_by_thread(std::istream &log, const std::string &but_for) {
    std::vector<std::map<std::string, unsigned>> threads;
    std::map<std::string, std::size_t> known;
    for (std::string line; std::getline(log, line);) {
        if (line.contains("ERESTARTNOINTR"))
            continue; // the kernel itself asks again, while somebody holds the rtnl lock
        std::istringstream fields(line);
        std::string thread, call;
        fields >> thread >> call;
        const auto end = call.find('(');
        if (thread == but_for || end == std::string::npos || !kFailures.contains(call.substr(0, end))) continue;
        const auto [place, is_new] = known.try_emplace(thread, threads.size());
        if (is_new) threads.emplace_back();
        ++threads[place->second][call.substr(0, end)];
    }
    return threads;
}

} // namespace

std::string Fault::name() const {
    const auto &how = kFailures.at(call);
    return fmt::format("{} {}{}: {}", call, when, everywhere ? " anywhere" : "", how.substr(how.find('=') + 1));
}

std::vector<std::string> recording(const std::filesystem::path &log) {
    return {"strace", "--follow-forks", "--output=" + log.string()};
}

Result<std::vector<Fault>> faults_of(const std::filesystem::path &log) {
    auto text = read_file(log);
    if (!text) return fail_as_is(std::move(text));
    std::istringstream lines(*text);
    const auto threads = calls_by_thread(lines, "");
    std::map<std::string, unsigned> seen;
    std::vector<Fault> faults;
    for (const auto &thread : threads) {
        const bool everywhere = &thread != &threads.front();
        for (const auto &[call, times] : thread) {
            for (unsigned when = seen[call] + 1; when <= times; ++when) faults.push_back({call, when, everywhere});
            seen[call] = std::max(seen[call], times);
        }
    }
    return faults;
}

Result<std::vector<Fault>> faults_beside(const std::filesystem::path &log, pid_t thread) {
    auto text = read_file(log);
    if (!text) return fail_as_is(std::move(text));
    std::istringstream lines(*text);
    std::map<std::string, unsigned> most;
    for (const auto &other : calls_by_thread(lines, std::to_string(thread)))
        for (const auto &[call, times] : other) most[call] = std::max(most[call], times);
    std::vector<Fault> faults;
    for (const auto &[call, times] : most)
        for (unsigned when = 1; when <= times; ++when) faults.push_back({call, when, true});
    return faults;
}

std::vector<std::string> injecting(const Fault &fault, const std::filesystem::path &log) {
    std::vector<std::string> command{
        "strace", "--output=" + log.string(), "--trace=" + fault.call,
        fmt::format("--inject={}:{}:when={}", fault.call, kFailures.at(fault.call), fault.when)};
    if (fault.everywhere) command.emplace_back("--follow-forks");
    return command;
}

bool was_met(const std::filesystem::path &log) { return read_file(log).value_or("").contains("(INJECTED)"); }

std::vector<std::size_t> sample(const std::string &of_what, std::size_t total, std::size_t otherwise) {
    std::vector<std::size_t> all(total), some;
    std::iota(all.begin(), all.end(), 0);
    const auto wanted = number_in("WEFT_FAULTS", otherwise), told = number_in("WEFT_SEED", 1);
    if (wanted == 0 || wanted >= total) {
        fmt::print("{}: all {}\n", of_what, total);
        return all;
    }
    const auto seed = told != 0 ? told : std::random_device()();
    std::ranges::sample(all, std::back_inserter(some), static_cast<std::ptrdiff_t>(wanted), std::mt19937_64(seed));
    fmt::print("{}: {} of {}, seed {}\n", of_what, wanted, total, seed);
    return some;
}

} // namespace weft::test

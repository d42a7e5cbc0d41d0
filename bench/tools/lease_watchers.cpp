// SPDX-License-Identifier: Apache-2.0
// Many watchers of one prefix in etcd, each with a connection of its own as each node's weftd has: what a large cluster asks
// of etcd, without its nodes.
//
//   lease_watchers ENDPOINT PREFIX COUNT
//
// Says "watching" once all are open. On SIGTERM it prints one JSON object and ends: how many watched, and for each revision how
// many were told of it, and when (CLOCK_MONOTONIC, ns) the first and the last of them was.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <limits>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "etcd/client.hpp"

namespace {

using namespace std::chrono_literals;
namespace etcd = weft::etcd;

struct Told {
    std::size_t watchers = 0;
    std::int64_t first_ns = std::numeric_limits<std::int64_t>::max(), last_ns = 0;
};

class Tally {
public:
    void opened() { ++open_; }
    void failed(const weft::Error &why) {
        const std::lock_guard lock(mutex_);
        said_ = why.sentence();
        ++failed_;
    }
    void add(std::int64_t revision) {
        const auto now = std::chrono::nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count();
        const std::lock_guard lock(mutex_);
        auto &told = told_[revision];
        ++told.watchers;
        told.first_ns = std::min(told.first_ns, now);
        told.last_ns = std::max(told.last_ns, now);
    }
    [[nodiscard]] std::size_t open() const { return open_; }
    [[nodiscard]] std::string failure() const {
        const std::lock_guard lock(mutex_);
        return said_;
    }
    void print() const {
        const std::lock_guard lock(mutex_);
        std::string rows;
        for (const auto &[revision, told] : told_)
            rows += fmt::format("{}{{\"revision\": {}, \"watchers\": {}, \"first_ns\": {}, \"last_ns\": {}}}",
                                rows.empty() ? "" : ", ", revision, told.watchers, told.first_ns, told.last_ns);
        fmt::print("{{\"watchers\": {}, \"ended_early\": {}, \"told\": [{}]}}\n", open_.load(), failed_, rows);
    }

private:
    std::atomic<std::size_t> open_ = 0;
    mutable std::mutex mutex_;
    std::string said_;
    std::size_t failed_ = 0;
    std::map<std::int64_t, Told> told_;
};

void watch(const std::stop_token &stop, etcd::Client &client, const std::string &prefix, Tally &tally) {
    constexpr std::int64_t kFromNowOn = 0;
    const auto end = client.watch(
        stop, prefix, kFromNowOn, [&] { tally.opened(); },
        [&](std::int64_t, const std::vector<etcd::Event> &events) {
            for (const auto &event : events) tally.add(event.entry.mod_revision);
        });
    if (!end) tally.failed(end.error());
}

void raise_file_limit() {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
}

int run(const std::string &endpoint, const std::string &prefix, std::size_t count) {
    raise_file_limit();
    sigset_t ending;
    ::sigemptyset(&ending);
    ::sigaddset(&ending, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &ending, nullptr); // of the threads to come too
    Tally tally;
    std::vector<etcd::Client> clients;
    for (std::size_t i = 0; i < count; ++i) {
        auto client = etcd::Client::create({.endpoints = {endpoint}, .prefix = prefix});
        if (!client) {
            fmt::print(stderr, "lease_watchers: {}\n", client.error().sentence());
            return 1;
        }
        clients.push_back(std::move(*client));
    }
    std::vector<std::jthread> threads;
    for (auto &client : clients)
        threads.emplace_back([&](const std::stop_token &stop) { watch(stop, client, prefix, tally); });
    while (tally.open() < count) {
        if (const auto why = tally.failure(); !why.empty()) {
            fmt::print(stderr, "lease_watchers: {}\n", why);
            std::_Exit(1); // the others block
        }
        std::this_thread::sleep_for(10ms);
    }
    fmt::print("watching\n");
    std::fflush(stdout);
    int received = 0;
    ::sigwait(&ending, &received);
    tally.print();
    std::fflush(stdout);
    std::_Exit(0); // a thousand streams end sooner with their process than one by one
}

} // namespace

int main(int argc, char **argv) {
    const std::string_view number = argc == 4 ? argv[3] : "";
    std::size_t count = 0;
    const auto [end, err] = std::from_chars(number.data(), number.data() + number.size(), count);
    if (err != std::errc{} || end != number.data() + number.size() || count == 0) {
        fmt::print(stderr, "usage: lease_watchers ENDPOINT PREFIX COUNT\n");
        return 2;
    }
    return run(argv[1], argv[2], count);
}

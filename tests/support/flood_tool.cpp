// SPDX-License-Identifier: Apache-2.0
// weft_flood: a fast one-way UDP flow in which not one datagram may be missing, for tests.
//
//   weft_flood receive PORT                        prints "listening"; on each SIGUSR1 one JSON object: received, wrong
//   weft_flood send ADDRESS PORT PER_SECOND        until SIGTERM; then prints {"sent": N}
//
// A datagram is its number and a pattern made of it. One that arrives twice, or changed, is wrong.
#include <arpa/inet.h>
#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include <fmt/format.h>

namespace {

constexpr std::size_t kWords = 8; // 64 bytes
constexpr unsigned kBatch = 64;   ///< fewer than fit into a veth's ring
using Datagram = std::array<std::uint64_t, kWords>;

Datagram datagram_of(std::uint64_t number) {
    Datagram datagram{number};
    for (std::size_t i = 1; i < kWords; ++i) datagram[i] = (datagram[i - 1] + i) * 0x9e3779b97f4a7c15ULL;
    return datagram;
}

struct Batch {
    std::array<Datagram, kBatch> datagrams{};
    std::array<iovec, kBatch> parts{};
    std::array<mmsghdr, kBatch> messages{};

    Batch() {
        for (unsigned i = 0; i < kBatch; ++i) {
            parts[i] = {&datagrams[i], sizeof(Datagram)};
            messages[i] = {};
            messages[i].msg_hdr.msg_iov = &parts[i];
            messages[i].msg_hdr.msg_iovlen = 1;
        }
    }
};

int blocked_signal(int number) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, number);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

bool is_raised(int signal_fd) {
    signalfd_siginfo info;
    return read(signal_fd, &info, sizeof info) == sizeof info;
}

class Received {
public:
    void take(const Datagram &datagram, unsigned size) {
        const auto number = datagram[0];
        const bool whole = size == sizeof(Datagram) && datagram == datagram_of(number);
        if (!whole || number >= kMost || seen(number)) {
            ++wrong_;
            return;
        }
        ++received_;
    }
    void report() const {
        fmt::print("{{\"received\": {}, \"wrong\": {}}}\n", received_, wrong_);
        std::fflush(stdout);
    }

private:
    static constexpr std::uint64_t kMost = 1ULL << 32;
    bool seen(std::uint64_t number) {
        if (number >= seen_.size()) seen_.resize(2 * number + 64);
        const bool before = seen_[number];
        seen_[number] = true;
        return before;
    }
    std::vector<bool> seen_;
    std::uint64_t received_ = 0, wrong_ = 0;
};

int receive(const char *port) {
    const int asked = blocked_signal(SIGUSR1);
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const int buffer =
        256 << 20; // seconds: what is looked for is loss on the way, not a receiver that had to wait for a CPU
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer);
    sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(static_cast<std::uint16_t>(std::atoi(port)))};
    if (bind(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) != 0) return 2;
    fmt::print("listening\n");
    std::fflush(stdout);
    Received received;
    Batch batch;
    for (pollfd waits[] = {{fd, POLLIN, 0}, {asked, POLLIN, 0}}; poll(waits, 2, -1) >= 0;) {
        const int count = recvmmsg(fd, batch.messages.data(), kBatch, MSG_DONTWAIT, nullptr);
        for (int i = 0; i < count; ++i)
            received.take(batch.datagrams[static_cast<std::size_t>(i)],
                          batch.messages[static_cast<std::size_t>(i)].msg_len);
        if (is_raised(asked)) received.report();
    }
    return 2;
}

int send(const char *to, const char *port, std::uint64_t per_second) {
    using Clock = std::chrono::steady_clock;
    const int ended = blocked_signal(SIGTERM);
    const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{.sin_family = AF_INET, .sin_port = htons(static_cast<std::uint16_t>(std::atoi(port)))};
    inet_pton(AF_INET, to, &address.sin_addr);
    if (connect(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) != 0) return 2;
    Batch batch;
    std::uint64_t sent = 0;
    for (const auto begin = Clock::now(); !is_raised(ended);) {
        const std::chrono::duration<double> elapsed = Clock::now() - begin;
        const auto due = static_cast<std::uint64_t>(elapsed.count() * static_cast<double>(per_second)) - sent;
        const auto count = static_cast<unsigned>(std::min<std::uint64_t>(due, kBatch));
        for (unsigned i = 0; i < count; ++i) batch.datagrams[i] = datagram_of(sent + i);
        const int taken = count > 0 ? sendmmsg(fd, batch.messages.data(), count, 0) : 0;
        if (taken > 0) sent += static_cast<unsigned>(taken);
        if (pollfd wait{ended, POLLIN, 0}; due < kBatch) poll(&wait, 1, 1); // a millisecond's worth at a time
    }
    fmt::print("{{\"sent\": {}}}\n", sent);
    return 0;
}

} // namespace

int main(int argc, char **argv) {
    const std::string_view what = argc > 1 ? argv[1] : "";
    if (what == "receive" && argc == 3) return receive(argv[2]);
    if (what == "send" && argc == 5) return send(argv[2], argv[3], std::strtoull(argv[4], nullptr, 10));
    fmt::print(stderr, "weft_flood receive PORT | send ADDRESS PORT PER_SECOND\n");
    return 2;
}

// SPDX-License-Identifier: Apache-2.0
// Traffic that never stops and whose every byte is checked: what the soak sends through its faults.
//
//   checked_flow serve [--port N]                                 UDP echo and TCP checker on every address, until killed
//   checked_flow udp ADDRESS [--port N] [--interval-us U]         numbered datagrams of changing size, each echoed
//   checked_flow tcp ADDRESS [--port N] [--interval-us U]         one long connection; made again when it breaks
//
// A line each, as soon as it is known; times are CLOCK_MONOTONIC in ns, which all processes of the machine share:
//   serving                     the server can be asked
//   flowing AT                  the first answer
//   lost FIRST LAST COUNT       datagrams in a row that had no echo within 5 s; when they were sent
//   corrupt AT                  something arrived that was not sent
//   gap FROM TO                 so long nothing came back: 10 ms over UDP, 200 ms over TCP, and more
//   broken AT                   a connection that was up is not any more, or made no progress for 15 s
//   total SENT ANSWERED         on SIGTERM, after waiting for what is on its way: datagrams, or bytes
#include <CLI/CLI.hpp>
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <span>
#include <system_error>
#include <thread>
#include <vector>

#include "base/unique_fd.hpp"

namespace {

using namespace std::chrono_literals;
using std::chrono::nanoseconds;
using weft::UniqueFd;
using Time = std::int64_t; ///< CLOCK_MONOTONIC, ns

constexpr Time kPatience = 2'000'000'000; ///< for an echo
constexpr Time kBroken = 15'000'000'000;  ///< of a connection without progress
constexpr Time kUdpGap = 10'000'000, kTcpGap = 200'000'000;
constexpr Time kReconnect = 100'000'000;
constexpr std::size_t kChunk = 16 * 1024;     ///< of a connection, each interval
constexpr std::uint64_t kAhead = 1024 * 1024; ///< at most so far before what was acknowledged
constexpr int kBuffer = 8 << 20;              ///< a process that waits for a CPU must not lose what came for it

volatile std::sig_atomic_t ending =
    0; // NOLINT(*-avoid-non-const-global-variables): a signal handler reaches nothing else

struct Task {
    std::string address;
    std::uint16_t port = 7010;
    unsigned interval_us = 2000;
};

[[noreturn]] void die(const char *what) {
    fmt::print(stderr, "checked_flow: {}: {}\n", what, std::generic_category().message(errno));
    std::_Exit(1);
}

template <class... Args> void say(fmt::format_string<Args...> format, Args &&...args) {
    fmt::print(format, std::forward<Args>(args)...);
    std::fflush(stdout);
}

Time now() { return nanoseconds(std::chrono::steady_clock::now().time_since_epoch()).count(); }

/// Word `i` of the one stream that everybody sends (splitmix64): whoever knows where he is knows what must come.
std::uint64_t word(std::uint64_t i) {
    std::uint64_t z = (i + 1) * 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
}

void fill(std::span<std::uint8_t> bytes, std::uint64_t offset) {
    for (std::size_t i = 0; i < bytes.size(); ++i, ++offset)
        bytes[i] = static_cast<std::uint8_t>(word(offset / 8) >> (offset % 8 * 8));
}

bool is_stream(std::span<const std::uint8_t> bytes, std::uint64_t offset) {
    for (std::size_t i = 0; i < bytes.size(); ++i, ++offset)
        if (bytes[i] != static_cast<std::uint8_t>(word(offset / 8) >> (offset % 8 * 8))) return false;
    return true;
}

sockaddr_in address_of(const std::string &text, std::uint16_t port) {
    sockaddr_in addr{.sin_family = AF_INET, .sin_port = htons(port)};
    if (::inet_pton(AF_INET, text.c_str(), &addr.sin_addr) != 1) {
        errno = EINVAL;
        die(text.c_str());
    }
    return addr;
}

UniqueFd open_socket(int type) {
    UniqueFd fd(::socket(AF_INET, type | SOCK_CLOEXEC, 0));
    if (!fd) die("socket");
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (type == SOCK_DGRAM) ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVBUFFORCE, &kBuffer, sizeof kBuffer);
    return fd;
}

UniqueFd open_server(int type, std::uint16_t port) {
    UniqueFd fd = open_socket(type);
    const auto any = address_of("0.0.0.0", port);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr *>(&any), sizeof any) < 0) die("bind");
    if (type == SOCK_STREAM && ::listen(fd.get(), 64) < 0) die("listen");
    return fd;
}

/// Whether there is something to read by then.
bool readable(int fd, Time until) {
    pollfd wanted{.fd = fd, .events = POLLIN};
    const auto left = std::max<Time>(0, until - now());
    const timespec patience{.tv_sec = left / 1'000'000'000, .tv_nsec = left % 1'000'000'000};
    return ::ppoll(&wanted, 1, &patience, nullptr) > 0;
}

/// Says which times passed without an answer.
class Gaps {
public:
    explicit Gaps(Time least) : least_(least) {}
    void answered(Time at) {
        if (last_ == 0) say("flowing {}\n", at);
        if (last_ != 0 && at - last_ >= least_) say("gap {} {}\n", last_, at);
        last_ = at;
    }

private:
    const Time least_;
    Time last_ = 0;
};

// --- UDP -----------------------------------------------------------------------------------------------------------------

constexpr std::size_t kNumber = sizeof(std::uint64_t);
constexpr std::size_t size_of(std::uint64_t number) { return 32 + number * 37 % 1100; }

/// The datagram with this number: the number, then the stream from a place that the number gives.
std::vector<std::uint8_t> datagram(std::uint64_t number) {
    std::vector<std::uint8_t> bytes(size_of(number));
    std::memcpy(bytes.data(), &number, kNumber);
    fill(std::span(bytes).subspan(kNumber), number * 8);
    return bytes;
}

bool is_datagram(std::span<const std::uint8_t> bytes, std::uint64_t number) {
    return bytes.size() == size_of(number) && is_stream(bytes.subspan(kNumber), number * 8);
}

class UdpFlow {
public:
    explicit UdpFlow(const Task &task) : fd_(open_socket(SOCK_DGRAM)), interval_(Time{task.interval_us} * 1000) {
        const auto server = address_of(task.address, task.port);
        if (::connect(fd_.get(), reinterpret_cast<const sockaddr *>(&server), sizeof server) < 0) die("connect");
    }

    int run() {
        auto next = now();
        for (; !ending; next += interval_) {
            send();
            while (readable(fd_.get(), next + interval_)) receive();
            give_up_until(now() - kPatience);
        }
        const auto end = now() + kPatience;
        while (oldest_ < sent_.size() && now() < end)
            if (readable(fd_.get(), std::min(end, now() + interval_))) receive();
        give_up_until(now());
        end_run();
        say("total {} {}\n", sent_.size(), answered_);
        return 0;
    }

private:
    struct Sent {
        Time at;
        bool answered = false;
    };

    void send() {
        const auto bytes = datagram(sent_.size());
        sent_.push_back({now()});
        // An error is what the network has to say of an earlier one: the echo that does not come tells as much.
        (void)::send(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    }

    void receive() {
        std::array<std::uint8_t, 2048> buffer{};
        const ssize_t n = ::recv(fd_.get(), buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (n < 0) return;
        const std::span got(buffer.data(), static_cast<std::size_t>(n));
        std::uint64_t number = 0;
        if (got.size() >= kNumber) std::memcpy(&number, got.data(), kNumber);
        if (got.size() < kNumber || number >= sent_.size() || !is_datagram(got, number)) {
            say("corrupt {}\n", now());
            return;
        }
        gaps_.answered(now());
        if (number >= oldest_ && !sent_[number].answered) {
            sent_[number].answered = true;
            ++answered_;
        }
        give_up_until(0);
    }

    /// What was sent before then and has no echo is lost.
    void give_up_until(Time moment) {
        for (; oldest_ < sent_.size(); ++oldest_) {
            const auto &sent = sent_[oldest_];
            if (sent.answered) {
                end_run();
                continue;
            }
            if (sent.at >= moment) return;
            if (lost_ == 0) first_lost_ = sent.at;
            last_lost_ = sent.at;
            ++lost_;
        }
    }

    void end_run() {
        if (lost_ != 0) say("lost {} {} {}\n", first_lost_, last_lost_, lost_);
        lost_ = 0;
    }

    const UniqueFd fd_;
    const Time interval_;
    std::vector<Sent> sent_;
    std::size_t oldest_ = 0; ///< of which it is not known yet
    std::uint64_t answered_ = 0, lost_ = 0;
    Time first_lost_ = 0, last_lost_ = 0;
    Gaps gaps_{kUdpGap};
};

void echo_datagrams(const UniqueFd &fd) {
    std::array<std::uint8_t, 2048> buffer{};
    for (;;) {
        sockaddr_in from{};
        socklen_t len = sizeof from;
        const ssize_t n =
            ::recvfrom(fd.get(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr *>(&from), &len);
        if (n >= 0)
            ::sendto(fd.get(), buffer.data(), static_cast<std::size_t>(n), 0, reinterpret_cast<sockaddr *>(&from), len);
    }
}

// --- TCP -----------------------------------------------------------------------------------------------------------------

/// What the server says of a connection: so much has come, and was right. The second tells it from anything else.
struct Progress {
    std::uint64_t bytes, word_there;
};

/// One connection at the server, whose bytes are the stream from its beginning.
void check_stream(const UniqueFd &fd) {
    std::vector<std::uint8_t> buffer(256 * 1024);
    std::uint64_t bytes = 0;
    for (ssize_t n = 0; (n = ::recv(fd.get(), buffer.data(), buffer.size(), 0)) > 0;) {
        const auto got = static_cast<std::size_t>(n);
        if (!is_stream(std::span(buffer.data(), got), bytes)) return say("corrupt {}\n", now());
        bytes += got;
        const Progress progress{bytes, word(bytes)};
        if (::send(fd.get(), &progress, sizeof progress, MSG_NOSIGNAL) != sizeof progress) return;
    }
}

class TcpFlow {
public:
    explicit TcpFlow(const Task &task)
        : server_(address_of(task.address, task.port)), interval_(Time{task.interval_us} * 1000) {}

    int run() {
        while (!ending) {
            if (connect()) stay();
            if (!ending) std::this_thread::sleep_for(nanoseconds(kReconnect));
        }
        say("total {} {}\n", sent_before_ + sent_, answered_before_ + answered_);
        return 0;
    }

private:
    bool connect() {
        fd_ = open_socket(SOCK_STREAM);
        const int on = 1;
        const timeval patience{.tv_sec = 2, .tv_usec = 0};
        ::setsockopt(fd_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        ::setsockopt(fd_.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
        sent_before_ += std::exchange(sent_, 0);
        answered_before_ += std::exchange(answered_, 0);
        progress_.clear();
        return ::connect(fd_.get(), reinterpret_cast<const sockaddr *>(&server_), sizeof server_) == 0;
    }

    /// Until the connection breaks or all ends; then everything that is on its way is waited for.
    void stay() {
        auto heard = now();
        for (auto next = now(); !ending; next += interval_) {
            if (!send()) return say("broken {}\n", now());
            while (readable(fd_.get(), next + interval_)) {
                if (!receive()) return say("broken {}\n", now());
                heard = now();
            }
            if (now() - heard > kBroken) return say("broken {}\n", now());
        }
        const auto end = now() + kPatience;
        while (answered_ < sent_ && readable(fd_.get(), end))
            if (!receive()) return say("broken {}\n", now());
    }

    bool send() {
        if (sent_ - answered_ > kAhead) return true;
        std::array<std::uint8_t, kChunk> chunk{};
        fill(chunk, sent_);
        const ssize_t n = ::send(fd_.get(), chunk.data(), chunk.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n > 0) sent_ += static_cast<std::uint64_t>(n);
        return n >= 0 || errno == EAGAIN;
    }

    bool receive() {
        std::array<std::uint8_t, 4096> buffer{};
        const ssize_t n = ::recv(fd_.get(), buffer.data(), buffer.size(), 0);
        if (n <= 0) return false;
        progress_.insert(progress_.end(), buffer.begin(), buffer.begin() + n);
        while (progress_.size() >= sizeof(Progress)) {
            Progress told{};
            std::memcpy(&told, progress_.data(), sizeof told);
            progress_.erase(progress_.begin(), progress_.begin() + sizeof told);
            if (told.bytes > sent_ || told.bytes <= answered_ || told.word_there != word(told.bytes)) {
                say("corrupt {}\n", now());
                return false;
            }
            answered_ = told.bytes;
        }
        gaps_.answered(now());
        return true;
    }

    const sockaddr_in server_;
    const Time interval_;
    UniqueFd fd_;
    std::uint64_t sent_ = 0, answered_ = 0, sent_before_ = 0, answered_before_ = 0;
    std::vector<std::uint8_t> progress_; ///< what came and is not whole yet
    Gaps gaps_{kTcpGap};
};

int serve(const Task &task) {
    const UniqueFd datagrams = open_server(SOCK_DGRAM, task.port), listening = open_server(SOCK_STREAM, task.port);
    std::thread([&datagrams] { echo_datagrams(datagrams); }).detach();
    say("serving\n");
    for (;;) {
        UniqueFd fd(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (fd) std::thread([client = std::move(fd)] { check_stream(client); }).detach();
    }
}

} // namespace

int main(int argc, char **argv) {
    CLI::App app{"traffic that never stops and whose every byte is checked"};
    app.require_subcommand(1);
    Task task;
    int (*chosen)(const Task &) = nullptr;
    const auto command = [&](const char *name, const char *help, int (*run)(const Task &), bool client) {
        auto *sub = app.add_subcommand(name, help);
        sub->add_option("--port", task.port, "port")->capture_default_str();
        if (client) {
            sub->add_option("address", task.address, "the server's")->required();
            sub->add_option("--interval-us", task.interval_us, "between two")->capture_default_str();
        }
        sub->final_callback([&chosen, run] { chosen = run; });
    };
    command("serve", "UDP echo and TCP checker", serve, false);
    command("udp", "datagrams", [](const Task &flow) { return UdpFlow(flow).run(); }, true);
    command("tcp", "a connection", [](const Task &flow) { return TcpFlow(flow).run(); }, true);
    CLI11_PARSE(app, argc, argv);
    std::signal(SIGTERM, [](int) { ending = 1; });
    if (chosen == serve) std::signal(SIGTERM, SIG_DFL);
    return chosen(task);
}

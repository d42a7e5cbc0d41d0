// SPDX-License-Identifier: Apache-2.0
// Requests and answers over TCP or UDP, one at a time, and how long each took: what iperf3 does not measure.
//
//   transactions serve                          TCP and UDP echo on every address, until killed
//   transactions rr ADDRESS [--udp] ...         one connection, request after request
//   transactions crr ADDRESS ...                a connection for each request
//   transactions first [--port N]               prints when each of a train of datagrams after a gap arrived
//   transactions knock ADDRESS ...              datagrams at a steady pace, whatever becomes of them
//
// Sockets block, as most programs' do: the scheduler's share of a round trip is in the figures. CPUs are the caller's choice
// (taskset). Prints one JSON object.
#include <CLI/CLI.hpp>
#include <arpa/inet.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdlib>
#include <system_error>
#include <thread>
#include <vector>

#include "base/unique_fd.hpp"

namespace {

using weft::UniqueFd;
using Clock = std::chrono::steady_clock;
using std::chrono::nanoseconds;

constexpr std::uint16_t kPort = 7007;
constexpr timeval kPatience{.tv_sec = 0, .tv_usec = 200'000}; ///< for an answer; after that it counts as lost

struct Task {
    std::string address;
    bool udp = false;
    double seconds = 1;
    std::size_t size = 64;
    std::uint16_t port = kPort;
    unsigned gap_ms = 100;
    unsigned interval_us = 50;
};

[[noreturn]] void die(const char *what) {
    fmt::print(stderr, "transactions: {}: {}\n", what, std::generic_category().message(errno));
    std::_Exit(1);
}

sockaddr_in address_of(const std::string &text, std::uint16_t port) {
    sockaddr_in addr{.sin_family = AF_INET, .sin_port = htons(port)};
    if (::inet_pton(AF_INET, text.c_str(), &addr.sin_addr) != 1) {
        errno = EINVAL;
        die(text.c_str());
    }
    return addr;
}

UniqueFd open_socket(bool udp) {
    UniqueFd fd(::socket(AF_INET, (udp ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC, 0));
    if (!fd) die("socket");
    const int on = 1;
    if (!udp) ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return fd;
}

UniqueFd open_server(bool udp, std::uint16_t port) {
    UniqueFd fd = open_socket(udp);
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    const auto any = address_of("0.0.0.0", port);
    if (::bind(fd.get(), reinterpret_cast<const sockaddr *>(&any), sizeof any) < 0) die("bind");
    if (!udp && ::listen(fd.get(), 64) < 0) die("listen");
    return fd;
}

UniqueFd connect_to(const sockaddr_in &server, bool udp) {
    UniqueFd fd = open_socket(udp);
    ::setsockopt(fd.get(), SOL_SOCKET, SO_RCVTIMEO, &kPatience, sizeof kPatience);
    ::setsockopt(fd.get(), SOL_SOCKET, SO_SNDTIMEO, &kPatience, sizeof kPatience);
    if (::connect(fd.get(), reinterpret_cast<const sockaddr *>(&server), sizeof server) < 0) return UniqueFd();
    return fd;
}

/// One request and its whole answer. @return false: no answer in time.
bool ask(int fd, std::vector<char> &message) {
    if (::send(fd, message.data(), message.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(message.size())) return false;
    for (std::size_t got = 0; got < message.size();) {
        const ssize_t n = ::recv(fd, message.data() + got, message.size() - got, 0);
        if (n <= 0) return false;
        got += static_cast<std::size_t>(n);
    }
    return true;
}

void echo_datagrams(std::uint16_t port) {
    const UniqueFd fd = open_server(true, port);
    std::array<char, 65536> buffer{};
    for (;;) {
        sockaddr_in from{};
        socklen_t len = sizeof from;
        const ssize_t n =
            ::recvfrom(fd.get(), buffer.data(), buffer.size(), 0, reinterpret_cast<sockaddr *>(&from), &len);
        if (n >= 0)
            ::sendto(fd.get(), buffer.data(), static_cast<std::size_t>(n), 0, reinterpret_cast<sockaddr *>(&from), len);
    }
}

int serve(const Task &task) {
    std::thread(echo_datagrams, task.port).detach();
    const UniqueFd listening = open_server(false, task.port);
    std::array<char, 65536> buffer{};
    // One connection after the other: a client has one at a time, and a second thread would blur whose CPU time it was.
    for (;;) {
        const UniqueFd fd(::accept4(listening.get(), nullptr, nullptr, SOCK_CLOEXEC));
        if (!fd) continue;
        const int on = 1;
        ::setsockopt(fd.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        for (ssize_t n = 0; (n = ::recv(fd.get(), buffer.data(), buffer.size(), 0)) > 0;)
            if (::send(fd.get(), buffer.data(), static_cast<std::size_t>(n), MSG_NOSIGNAL) < 0) break;
    }
}

class Times {
public:
    void add(nanoseconds took) { taken_.push_back(took); }
    void add_lost() { ++lost_; }
    void print(double seconds) {
        std::ranges::sort(taken_);
        fmt::print(
            "{{\"transactions\": {}, \"lost\": {}, \"seconds\": {:.6f}, \"p50_us\": {:.3f}, \"p99_us\": {:.3f}}}\n",
            taken_.size(), lost_, seconds, at(0.50), at(0.99));
    }

private:
    [[nodiscard]] double at(double share) const {
        if (taken_.empty()) return 0;
        const auto index = static_cast<std::size_t>(share * static_cast<double>(taken_.size() - 1));
        return std::chrono::duration<double, std::micro>(taken_[index]).count();
    }
    std::vector<nanoseconds> taken_;
    std::size_t lost_ = 0;
};

/// Calls `once` (false: lost) again and again for the task's time.
template <class Once> int measure(const Task &task, Once once) {
    Times times;
    const auto begin = Clock::now();
    const auto end = begin + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(task.seconds));
    auto now = begin;
    while (now < end) {
        const bool answered = once();
        const auto after = Clock::now();
        answered ? times.add(after - now) : times.add_lost();
        now = after;
    }
    times.print(std::chrono::duration<double>(now - begin).count());
    return 0;
}

int request_response(const Task &task) {
    const auto server = address_of(task.address, task.port);
    std::vector<char> message(task.size, 'w');
    UniqueFd fd = connect_to(server, task.udp);
    if (!fd) die("connect");
    return measure(task, [&] { return ask(fd.get(), message); });
}

int connect_request_response(const Task &task) {
    const auto server = address_of(task.address, task.port);
    std::vector<char> message(task.size, 'w');
    return measure(task, [&] {
        const UniqueFd fd = connect_to(server, false);
        return fd && ask(fd.get(), message);
    });
}

/// CLOCK_MONOTONIC, which every process of the machine shares.
std::int64_t now_ns() { return std::chrono::duration_cast<nanoseconds>(Clock::now().time_since_epoch()).count(); }

int print_firsts(const Task &task) {
    const UniqueFd fd = open_server(true, task.port);
    std::array<char, 2048> buffer{};
    std::int64_t last = 0;
    for (;;) {
        if (::recv(fd.get(), buffer.data(), buffer.size(), 0) < 0) continue;
        const auto now = now_ns();
        if (now - last > std::int64_t{task.gap_ms} * 1'000'000) {
            fmt::print("{}\n", now);
            std::fflush(stdout);
        }
        last = now;
    }
}

int knock(const Task &task) {
    const UniqueFd fd = open_socket(true);
    const auto server = address_of(task.address, task.port);
    const std::vector<char> message(task.size, 'w');
    const auto end = Clock::now() + std::chrono::duration<double>(task.seconds);
    for (auto next = Clock::now(); next < end; next += std::chrono::microseconds(task.interval_us)) {
        // An error is what the network had to say about an earlier one: no route yet.
        (void)::sendto(fd.get(), message.data(), message.size(), 0, reinterpret_cast<const sockaddr *>(&server),
                       sizeof server);
        std::this_thread::sleep_until(next);
    }
    return 0;
}

} // namespace

int main(int argc, char **argv) {
    CLI::App app{"requests and answers, one at a time"};
    app.require_subcommand(1);
    Task task;
    int (*chosen)(const Task &) = nullptr;
    const auto command = [&](const char *name, const char *help, int (*run)(const Task &), bool client) {
        auto *sub = app.add_subcommand(name, help);
        sub->add_option("--port", task.port, "port")->capture_default_str();
        if (client) {
            sub->add_option("address", task.address, "the server's")->required();
            sub->add_option("--seconds", task.seconds, "how long")->capture_default_str();
            sub->add_option("--size", task.size, "bytes of a message")->capture_default_str();
        }
        sub->final_callback([&chosen, run] { chosen = run; });
        return sub;
    };
    command("serve", "TCP and UDP echo", serve, false);
    command("rr", "request after request", request_response, true)->add_flag("--udp", task.udp, "datagrams");
    command("crr", "a connection for each request", connect_request_response, true);
    command("first", "when datagrams came after a gap", print_firsts, false)
        ->add_option("--gap-ms", task.gap_ms, "gap");
    command("knock", "datagrams at a steady pace", knock, true)
        ->add_option("--interval-us", task.interval_us, "between two");
    CLI11_PARSE(app, argc, argv);
    return chosen(task);
}

// SPDX-License-Identifier: Apache-2.0
// weft_steady: a UDP flow whose gaps are looked at, for tests.
//
//   weft_steady ADDRESS PORT MICROSECONDS
//
// Sends a numbered datagram to an echo server every MICROSECONDS until it is killed. Prints "flowing" with the first echo, and
// on each SIGUSR1 one JSON object about the datagrams since the last one, as soon as it is known what became of them: when a
// younger one has come back, or 2 s later.
#include <asio.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace {

using asio::ip::udp;
using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::duration<double, std::milli>;

class Flow {
public:
    Flow(asio::io_context &io, const udp::endpoint &server, std::chrono::microseconds interval)
        : socket_(io, udp::endpoint(server.protocol(), 0)), tick_(io), patience_(io), signals_(io, SIGUSR1),
          interval_(interval) {
        socket_.connect(server);
        tick_.expires_after(interval_);
        send();
        receive();
        await_question();
    }

private:
    void send() {
        std::memcpy(datagram_.data(), &next_, sizeof next_);
        asio::error_code refused; // a network that is unreachable for a while is what this looks for
        socket_.send(asio::buffer(datagram_), 0, refused);
        ++next_;
        tick_.expires_at(tick_.expiry() + interval_); // late ones are made up for
        tick_.async_wait([this](asio::error_code) { send(); });
    }

    void receive() {
        socket_.async_receive(asio::buffer(echo_), [this](asio::error_code error, std::size_t size) {
            std::uint64_t number = 0;
            std::memcpy(&number, echo_.data(), sizeof number);
            if (!error && size == echo_.size()) arrived(number);
            receive();
        });
    }

    void arrived(std::uint64_t number) {
        const auto now = Clock::now();
        if (!last_) {
            fmt::print("flowing\n");
            std::fflush(stdout);
        }
        longest_ = std::max(longest_, now - last_.value_or(now));
        last_ = now;
        echoed_ += number >= first_ && number < question_.value_or(next_);
        reordered_ += number < youngest_;
        youngest_ = std::max(youngest_, number);
        if (question_ && youngest_ >= *question_) answer();
    }

    void await_question() {
        signals_.async_wait([this](asio::error_code, int) {
            question_ = next_;
            patience_.expires_after(std::chrono::seconds(2));
            patience_.async_wait([this](asio::error_code error) {
                if (!error && question_) answer();
            });
            await_question();
        });
    }

    void answer() {
        patience_.cancel();
        longest_ = std::max(longest_, Clock::now() - last_.value_or(Clock::now()));
        const nlohmann::json report{{"sent", *question_ - first_},
                                    {"lost", *question_ - first_ - echoed_},
                                    {"reordered", reordered_},
                                    {"longest_pause_ms", Milliseconds(longest_).count()}};
        fmt::print("{}\n", report.dump());
        std::fflush(stdout);
        first_ = *question_;
        question_.reset();
        echoed_ = youngest_ >= first_;
        reordered_ = 0;
        longest_ = {};
    }

    udp::socket socket_;
    asio::steady_timer tick_, patience_;
    asio::signal_set signals_;
    std::chrono::microseconds interval_;
    std::array<char, 64> datagram_{}, echo_{};
    std::uint64_t first_ = 0, next_ = 0; ///< of this report; to be sent
    std::uint64_t youngest_ = 0, echoed_ = 0, reordered_ = 0;
    std::optional<std::uint64_t> question_; ///< the report is about what was sent before this one
    std::optional<Clock::time_point> last_; ///< echo
    Clock::duration longest_{};
};

} // namespace

int main(int argc, char **argv) try {
    if (argc != 4) {
        fmt::print(stderr, "weft_steady ADDRESS PORT MICROSECONDS\n");
        return 2;
    }
    asio::io_context io;
    const auto port = static_cast<std::uint16_t>(std::atoi(argv[2]));
    Flow flow(io, {asio::ip::make_address(argv[1]), port}, std::chrono::microseconds(std::atoi(argv[3])));
    io.run();
    return 0;
} catch (const std::exception &e) {
    fmt::print(stderr, "weft_steady: {}\n", e.what());
    return 2;
}

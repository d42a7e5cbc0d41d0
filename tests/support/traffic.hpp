// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.hpp"
#include "netns.hpp"

namespace weft::test {

constexpr std::uint16_t kTrafficPort = 5000;

/// UDP echo with UDP_GRO on: datagrams that the kernel joined are answered with UDP_SEGMENT.
constexpr std::uint16_t kJoiningEchoPort = kTrafficPort + 1;

/// A server in `ns` on every address of it, TCP and UDP port kTrafficPort and UDP port kJoiningEchoPort, for the functions
/// below. Ends with the object.
[[nodiscard]] Result<Process> serve_traffic(const Netns &ns);

enum class Direction { send, receive }; ///< as the client sees it

struct Transfer {
    std::uint64_t bytes = 0;
    double seconds = 0;
    double gbit_s = 0;
    double longest_pause_s = 0; ///< in which the client got no further
    std::string seen_as;        ///< the client's address as the server saw it
    std::string served_by;      ///< the server's own address, after whatever NAT was on the way
};

struct TransferOptions {
    Direction direction = Direction::send;
    std::uint16_t port = kTrafficPort;
    std::uint16_t source_port = 0; ///< 0: any
    std::uint64_t rate = 0;        ///< bytes a second, chunks of 256 KiB apart; 0: as fast as it goes
    std::chrono::milliseconds timeout = 60s;
};

/// One TCP transfer between a client in `from` and the server at `to`, its content checked at the receiving end.
/// An error when it did not arrive whole, unchanged and in time.
[[nodiscard]] Result<Transfer> tcp_transfer(const Netns &from, std::string_view to, std::uint64_t bytes,
                                            const TransferOptions &options = {});

/// `count` rounds of one UDP datagram of each of `sizes` (payload bytes), one after the other, each echoed and compared.
/// An error when one was lost or changed.
Status udp_echo(const Netns &from, std::string_view to, std::vector<std::size_t> sizes, unsigned count = 1,
                std::uint16_t port = kTrafficPort);

/// `bytes` handed to the kernel at once, to be sent as datagrams of `segment` bytes (UDP_SEGMENT), `count` times; each echoed
/// and compared. An error when one was lost, changed or out of order.
Status udp_segmented_echo(const Netns &from, std::string_view to, std::size_t bytes, std::uint16_t segment,
                          unsigned count = 1, std::uint16_t port = kTrafficPort);

struct UdpOptions {
    std::vector<std::size_t> sizes{64};
    unsigned count = 1;
    std::uint16_t port = kTrafficPort;
    std::uint16_t source_port = 0;                 ///< 0: any
    std::chrono::milliseconds answer_within{2000}; ///< each datagram's echo
};
/// udp_echo() after a datagram that asks the server. @return the client's address as the server saw it.
[[nodiscard]] Result<std::string> udp_exchange(const Netns &from, std::string_view to, const UdpOptions &options);

/// What became of a SteadyFlow's datagrams.
struct FlowReport {
    std::uint64_t sent = 0, lost = 0, reordered = 0;
    double longest_pause_ms = 0; ///< between two echoes
};

/// A UDP flow of one datagram of 64 bytes each `interval` to the echo server at `to`. Ends with the object.
class SteadyFlow {
public:
    /// Comes back when the first echo is there.
    [[nodiscard]] static Result<SteadyFlow> start(const Netns &from, std::string_view to,
                                                  std::chrono::microseconds interval = 1ms);
    /// What happened since start() or the last report. The flow goes on.
    [[nodiscard]] Result<FlowReport> report();

private:
    explicit SteadyFlow(Process process) : process_(std::move(process)) {}
    Process process_;
    std::size_t reports_ = 0;
};

/// A one-way UDP flow of 64 bytes, many a second, each of which is counted. Ends with the object.
class Flood {
public:
    /// Comes back when datagrams arrive. @param to an IPv4 address of the namespace `at`
    [[nodiscard]] static Result<Flood> start(const Netns &from, const Netns &at, std::string_view to,
                                             unsigned per_second = 50'000);
    struct Count {
        std::uint64_t sent = 0, received = 0, wrong = 0; ///< wrong: changed, or a second time
    };
    /// Stops sending, and waits for what is under way.
    Result<Count> stop();
    /// The same. @return how many were sent; an error if one did not arrive exactly once as it was sent.
    Result<std::uint64_t> finish();

private:
    Flood(Process sender, Process receiver) : sender_(std::move(sender)), receiver_(std::move(receiver)) {}
    Result<Count> count();
    Process sender_, receiver_;
    std::size_t counts_ = 0;
};

/// `count` echo requests 10 ms apart, all of which must be answered. `options`: more arguments for ping ("-s 1400 -M do").
Status ping(const Netns &from, std::string_view to, unsigned count = 3, std::string_view options = {});

} // namespace weft::test

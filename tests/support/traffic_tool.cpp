// SPDX-License-Identifier: Apache-2.0
// weft_traffic: traffic whose content is checked, for tests.
//
//   weft_traffic serve PORT                                   TCP transfers and UDP echoes, until it is killed
//   weft_traffic tcp ADDRESS PORT --send|--receive BYTES      one transfer of a seeded stream
//     --rate BYTES        a second at most, by the client's own pace
//   weft_traffic udp ADDRESS PORT --count N --size BYTES...   datagrams of seeded content, each echoed
//     --who               before them asks the server how it sees the sender
//     --segment BYTES     hands each of --size to the kernel whole, to be sent as datagrams of BYTES (UDP_SEGMENT)
//
// The server's port + 1 echoes too, with UDP_GRO on: what the kernel joined is answered with UDP_SEGMENT.
//
// A client prints one JSON object and ends with 0 only when every byte arrived as it was sent. The stream is a function of
// its seed, so the receiver knows what it must be: besides the two hashes there is the offset of the first wrong byte.
#include <netinet/udp.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <asio.hpp>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <span>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace {

using asio::ip::tcp;
using asio::ip::udp;
using Ip6 = asio::ip::address_v6;
using Clock = std::chrono::steady_clock;
constexpr std::size_t kChunk = 256 * 1024; // a multiple of the word size: both ends hash the same words

/// What a client asks of the server, in host byte order: both ends are one machine.
struct Request {
    std::uint64_t server_sends; ///< 0 or 1
    std::uint64_t bytes, seed;
};
/// What the server says when a transfer is over.
struct Verdict {
    std::uint64_t hash;
    std::uint64_t first_wrong; ///< offset, or kNone
    Ip6::bytes_type peer;      ///< the client's address as the server saw it
    Ip6::bytes_type self;      ///< the server's own, after whatever NAT was on the way
};
constexpr std::uint64_t kNone = ~std::uint64_t{0};
/// A datagram that asks a server how it sees the sender. The answer is the address's sixteen bytes.
constexpr std::array<char, 16> kWhoAmI{'w', 'e', 'f', 't', ' ', 'w', 'h', 'o', ' ', 'a', 'm', ' ', 'I', ' ', '?', '\n'};

/// The seeded stream (splitmix64), whole words at a time.
class Stream {
public:
    explicit Stream(std::uint64_t seed) : state_(seed) {}
    void fill(std::vector<std::uint64_t> &words) {
        for (auto &word : words) {
            auto z = state_ += 0x9e3779b97f4a7c15u;
            z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
            z = (z ^ z >> 27) * 0x94d049bb133111ebu;
            word = z ^ z >> 31;
        }
    }

private:
    std::uint64_t state_;
};

/// FNV-1a over 64-bit words; a last partial word is padded with zeros.
class Hash {
public:
    void add(const void *data, std::size_t size) {
        const auto *bytes = static_cast<const char *>(data);
        for (std::size_t i = 0; i < size; i += sizeof(std::uint64_t)) {
            std::uint64_t word = 0;
            std::memcpy(&word, bytes + i, std::min(sizeof word, size - i));
            hash_ = (hash_ ^ word) * 0x100000001b3u;
        }
    }
    [[nodiscard]] std::uint64_t value() const { return hash_; }

private:
    std::uint64_t hash_ = 0xcbf29ce484222325u;
};

/// The longest time that a transfer did not get a chunk further.
class Pauses {
public:
    void progress() {
        const auto now = Clock::now();
        longest_ = std::max(longest_, now - last_);
        last_ = now;
    }
    [[nodiscard]] double longest_s() const { return std::chrono::duration<double>(longest_).count(); }

private:
    Clock::time_point last_ = Clock::now();
    Clock::duration longest_{};
};

/// Holds a transfer to so many bytes a second; 0: to none.
class Pace {
public:
    explicit Pace(std::uint64_t bytes_per_second) : rate_(bytes_per_second) {}
    void wait(std::uint64_t bytes_done) {
        if (rate_ == 0) return;
        const std::chrono::duration<double> due(static_cast<double>(bytes_done) / static_cast<double>(rate_));
        asio::steady_timer timer(io_, begin_ + std::chrono::duration_cast<Clock::duration>(due));
        timer.wait();
    }

private:
    asio::io_context io_;
    std::uint64_t rate_;
    Clock::time_point begin_ = Clock::now();
};

asio::error_code send_stream(tcp::socket &socket, const Request &request, Hash &hash, Pauses &pauses, Pace &pace) {
    Stream stream(request.seed);
    std::vector<std::uint64_t> words(kChunk / sizeof(std::uint64_t));
    asio::error_code error;
    for (std::uint64_t sent = 0; sent < request.bytes && !error;) {
        const auto n = std::min<std::uint64_t>(kChunk, request.bytes - sent);
        stream.fill(words);
        hash.add(words.data(), n);
        asio::write(socket, asio::buffer(words.data(), n), error);
        sent += n;
        pauses.progress();
        pace.wait(sent);
    }
    return error;
}

asio::error_code receive_stream(tcp::socket &socket, const Request &request, Verdict &verdict, Pauses &pauses,
                                Pace &pace) {
    Stream stream(request.seed);
    Hash hash;
    std::vector<std::uint64_t> expected(kChunk / sizeof(std::uint64_t)), got(expected.size());
    asio::error_code error;
    verdict.first_wrong = kNone;
    for (std::uint64_t received = 0; received < request.bytes && !error;) {
        const auto n = std::min<std::uint64_t>(kChunk, request.bytes - received);
        asio::read(socket, asio::buffer(got.data(), n), error);
        if (error) return error;
        stream.fill(expected);
        hash.add(got.data(), n);
        if (verdict.first_wrong == kNone && std::memcmp(expected.data(), got.data(), n) != 0) {
            const auto *a = reinterpret_cast<const char *>(expected.data());
            const auto *b = reinterpret_cast<const char *>(got.data());
            verdict.first_wrong = received + static_cast<std::uint64_t>(std::mismatch(a, a + n, b).first - a);
        }
        received += n;
        pauses.progress();
        pace.wait(received);
    }
    verdict.hash = hash.value();
    return error;
}

void serve_transfer(tcp::socket socket) {
    Request request{};
    asio::error_code error;
    asio::read(socket, asio::buffer(&request, sizeof request), error);
    if (error) return;
    Verdict verdict{.first_wrong = kNone};
    Pauses pauses;
    Pace pace(0); // the client's is enough
    if (request.server_sends) {
        Hash hash;
        error = send_stream(socket, request, hash, pauses, pace);
        verdict.hash = hash.value();
    } else {
        error = receive_stream(socket, request, verdict, pauses, pace);
    }
    const auto peer = socket.remote_endpoint(error).address();
    if (error) return;
    const auto self = socket.local_endpoint(error).address();
    if (error) return;
    verdict.peer = peer.to_v6().to_bytes();
    verdict.self = self.to_v6().to_bytes();
    asio::write(socket, asio::buffer(&verdict, sizeof verdict), error);
}

/// Asks the kernel to send `message` as datagrams of `size` bytes (UDP_SEGMENT).
void put_segment_size(msghdr &message, std::span<char> control, std::uint16_t size) {
    message.msg_control = control.data();
    message.msg_controllen = CMSG_SPACE(sizeof size);
    auto *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_UDP;
    header->cmsg_type = UDP_SEGMENT;
    header->cmsg_len = CMSG_LEN(sizeof size);
    std::memcpy(CMSG_DATA(header), &size, sizeof size);
}

/// Room for a burst: what these tests lose must have been lost on its way.
void widen_buffers(int fd) {
    const int size = 8 << 20;
    for (const int option : {SO_RCVBUFFORCE, SO_SNDBUFFORCE}) ::setsockopt(fd, SOL_SOCKET, option, &size, sizeof size);
}

/// Answers every datagram with itself, for ever. Where the socket has UDP_GRO on, the kernel may hand over several at once,
/// which go back in one call too.
void echo_datagrams(int fd) {
    widen_buffers(fd);
    std::array<char, 65536> datagram;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof(int))> control;
    while (true) {
        sockaddr_in6 from{};
        iovec data{.iov_base = datagram.data(), .iov_len = datagram.size()};
        msghdr message{.msg_name = &from,
                       .msg_namelen = sizeof from,
                       .msg_iov = &data,
                       .msg_iovlen = 1,
                       .msg_control = control.data(),
                       .msg_controllen = control.size()};
        const auto n = ::recvmsg(fd, &message, 0);
        if (n < 0) continue;
        data.iov_len = static_cast<std::size_t>(n);
        if (std::ranges::equal(std::span(datagram).first(data.iov_len), kWhoAmI))
            data = {.iov_base = &from.sin6_addr, .iov_len = sizeof from.sin6_addr};
        const auto *joined = CMSG_FIRSTHDR(&message);
        int segment = 0;
        if (joined && joined->cmsg_level == SOL_UDP && joined->cmsg_type == UDP_GRO)
            std::memcpy(&segment, CMSG_DATA(joined), sizeof segment);
        message.msg_control = nullptr;
        message.msg_controllen = 0;
        if (segment > 0 && n > segment) put_segment_size(message, control, static_cast<std::uint16_t>(segment));
        (void)::sendmsg(fd, &message, 0);
    }
}

/// Bound to every address of either family: IPv4 clients have IPv4-mapped addresses there.
template <class Socket> Socket bound(asio::io_context &io, std::uint16_t port) {
    Socket socket(io, Socket::protocol_type::v6());
    socket.set_option(asio::ip::v6_only(false));
    if constexpr (std::is_same_v<Socket, tcp::acceptor>) socket.set_option(tcp::acceptor::reuse_address(true));
    socket.bind({Socket::protocol_type::v6(), port});
    return socket;
}

int serve(std::uint16_t port) {
    asio::io_context io;
    auto acceptor = bound<tcp::acceptor>(io, port);
    acceptor.listen();
    auto echo = bound<udp::socket>(io, port),
         joining_echo = bound<udp::socket>(io, static_cast<std::uint16_t>(port + 1));
    const int on = 1;
    ::setsockopt(joining_echo.native_handle(), SOL_UDP, UDP_GRO, &on, sizeof on);
    for (const int fd : {echo.native_handle(), joining_echo.native_handle()}) std::thread(echo_datagrams, fd).detach();
    fmt::print("serving\n");
    std::fflush(stdout);
    while (true) {
        asio::error_code error;
        tcp::socket socket(io);
        acceptor.accept(socket, error);
        if (!error) std::thread(serve_transfer, std::move(socket)).detach();
    }
}

std::string text_of(const Ip6::bytes_type &octets) {
    const Ip6 address(octets);
    return address.is_v4_mapped() ? asio::ip::make_address_v4(asio::ip::v4_mapped, address).to_string()
                                  : address.to_string();
}

int report(nlohmann::json result, bool good) {
    result["ok"] = good;
    fmt::print("{}\n", result.dump());
    return good ? 0 : 1;
}

struct TcpArgs {
    std::string address;
    std::uint16_t port = 0, source_port = 0;
    std::uint64_t send = 0, receive = 0, rate = 0, seed = 1;
};

int tcp_client(const TcpArgs &args) {
    asio::io_context io;
    const tcp::endpoint server(asio::ip::make_address(args.address), args.port);
    tcp::socket socket(io, server.protocol());
    asio::error_code error;
    if (args.source_port) { // also one that a connection to another address used a moment ago
        socket.set_option(tcp::socket::reuse_address(true), error);
        socket.bind({server.protocol(), args.source_port}, error);
    }
    const auto begin = Clock::now();
    if (!error) socket.connect(server, error);
    if (error) return report({{"error", "connect: " + error.message()}}, false);
    const Request request{args.receive != 0, args.receive ? args.receive : args.send, args.seed};
    Verdict mine{.first_wrong = kNone}, theirs{};
    Pauses pauses;
    Pace pace(args.rate);
    asio::write(socket, asio::buffer(&request, sizeof request), error);
    if (!error && args.receive)
        error = receive_stream(socket, request, mine, pauses, pace);
    else if (!error) {
        Hash hash;
        error = send_stream(socket, request, hash, pauses, pace);
        mine.hash = hash.value();
    }
    if (!error) asio::read(socket, asio::buffer(&theirs, sizeof theirs), error);
    pauses.progress();
    const std::chrono::duration<double> seconds = Clock::now() - begin;
    if (error) return report({{"error", "transfer: " + error.message()}}, false);
    const auto first_wrong = std::min(mine.first_wrong, theirs.first_wrong);
    nlohmann::json result{{"bytes", request.bytes},
                          {"seconds", seconds.count()},
                          {"longest_pause_s", pauses.longest_s()},
                          {"gbit_s", static_cast<double>(request.bytes) * 8e-9 / seconds.count()},
                          {"hash", fmt::format("{:016x}", mine.hash)},
                          {"peer_hash", fmt::format("{:016x}", theirs.hash)},
                          {"seen_as", text_of(theirs.peer)},
                          {"served_by", text_of(theirs.self)}};
    if (first_wrong != kNone) result["first_wrong"] = first_wrong;
    return report(std::move(result), mine.hash == theirs.hash && first_wrong == kNone);
}

struct UdpArgs {
    std::string address;
    std::uint16_t port = 0, source_port = 0;
    unsigned count = 1;
    std::vector<std::size_t> sizes{64};
    std::uint64_t seed = 1;
    std::uint16_t segment = 0;
    unsigned timeout_ms = 2000;
    bool who = false;
};

/// Sends `size` bytes, as one datagram or as several of `segment` bytes.
bool send_datagrams(int fd, const void *data, std::size_t size, std::uint16_t segment) {
    if (segment == 0) return ::send(fd, data, size, 0) >= 0;
    alignas(cmsghdr) std::array<char, CMSG_SPACE(sizeof segment)> control{};
    iovec vector{.iov_base = const_cast<void *>(data), .iov_len = size};
    msghdr message{.msg_iov = &vector, .msg_iovlen = 1};
    put_segment_size(message, control, segment);
    return ::sendmsg(fd, &message, 0) >= 0;
}

/// Collects the echoes of `size` bytes into `back`. @return how many bytes came before patience ran out.
std::size_t collect_echoes(int fd, std::span<char> back, std::size_t size) {
    std::size_t got = 0;
    while (got < size) {
        // Plain recv: Asio's blocking receive would wait in poll() and not see the timeout.
        const auto n = ::recv(fd, back.data() + got, back.size() - got, 0);
        if (n < 0) break;
        got += static_cast<std::size_t>(n);
    }
    return got;
}

/// How the server sees this socket; empty without an answer.
std::string ask_who_am_i(int fd) {
    Ip6::bytes_type address;
    if (::send(fd, kWhoAmI.data(), kWhoAmI.size(), 0) < 0) return {};
    return ::recv(fd, address.data(), address.size(), 0) == static_cast<ssize_t>(address.size()) ? text_of(address)
                                                                                                 : std::string();
}

int udp_client(const UdpArgs &args) {
    asio::io_context io;
    const udp::endpoint server(asio::ip::make_address(args.address), args.port);
    udp::socket socket(io, udp::endpoint(server.protocol(), args.source_port));
    asio::error_code error;
    socket.connect(server, error);
    const timeval patience{.tv_sec = args.timeout_ms / 1000, .tv_usec = args.timeout_ms % 1000 * 1000};
    ::setsockopt(socket.native_handle(), SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    widen_buffers(socket.native_handle());
    const auto seen_as = args.who ? ask_who_am_i(socket.native_handle()) : std::string();
    if (args.who && seen_as.empty()) return report({{"error", "no answer"}}, false);
    Stream stream(args.seed);
    Hash sent, echoed;
    std::uint64_t echoes = 0, wrong = 0;
    std::vector<std::uint64_t> words(65536 / sizeof(std::uint64_t));
    std::vector<char> back(2 * 65536);
    for (unsigned i = 0; i < args.count; ++i) {
        for (const auto size : args.sizes) {
            stream.fill(words);
            sent.add(words.data(), size);
            if (!send_datagrams(socket.native_handle(), words.data(), size, args.segment)) continue;
            const auto n = collect_echoes(socket.native_handle(), back, size);
            if (n == 0) continue;
            ++echoes;
            echoed.add(back.data(), n);
            wrong += n != size || std::memcmp(words.data(), back.data(), size) != 0;
        }
    }
    const auto expected = std::uint64_t{args.count} * args.sizes.size();
    return report({{"sent", expected},
                   {"echoed", echoes},
                   {"wrong", wrong},
                   {"seen_as", seen_as},
                   {"hash", fmt::format("{:016x}", sent.value())},
                   {"peer_hash", fmt::format("{:016x}", echoed.value())}},
                  echoes == expected && wrong == 0 && sent.value() == echoed.value());
}

} // namespace

int main(int argc, char **argv) try {
    CLI::App app("traffic whose content is checked");
    app.require_subcommand(1);
    TcpArgs tcp_args;
    UdpArgs udp_args;
    std::uint16_t port = 0;
    auto *server = app.add_subcommand("serve");
    server->add_option("port", port)->required();
    auto *tcp_mode = app.add_subcommand("tcp");
    tcp_mode->add_option("address", tcp_args.address)->required();
    tcp_mode->add_option("port", tcp_args.port)->required();
    auto *amount = tcp_mode->add_option_group("amount")->require_option(1);
    amount->add_option("--send", tcp_args.send);
    amount->add_option("--receive", tcp_args.receive);
    tcp_mode->add_option("--rate", tcp_args.rate);
    tcp_mode->add_option("--seed", tcp_args.seed);
    tcp_mode->add_option("--source-port", tcp_args.source_port);
    auto *udp_mode = app.add_subcommand("udp");
    udp_mode->add_option("address", udp_args.address)->required();
    udp_mode->add_option("port", udp_args.port)->required();
    udp_mode->add_option("--count", udp_args.count);
    udp_mode->add_option("--size", udp_args.sizes)->check(CLI::Range(1, 65507));
    udp_mode->add_option("--seed", udp_args.seed);
    udp_mode->add_option("--segment", udp_args.segment);
    udp_mode->add_option("--timeout-ms", udp_args.timeout_ms);
    udp_mode->add_option("--source-port", udp_args.source_port);
    udp_mode->add_flag("--who", udp_args.who);
    CLI11_PARSE(app, argc, argv);
    if (*server) return serve(port);
    return *tcp_mode ? tcp_client(tcp_args) : udp_client(udp_args);
} catch (const std::exception &e) {
    fmt::print(stderr, "weft_traffic: {}\n", e.what());
    return 2;
}

// SPDX-License-Identifier: Apache-2.0
// SCTP between pods: neither TCP nor UDP, with GSO packets of its own kind, and a checksum that is left to devices.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <future>
#include <string>
#include <vector>

#include "cluster_fixture.hpp"

namespace weft::kernels {
namespace {

constexpr std::uint16_t kPort = 5010;
constexpr std::size_t kMessage = 16 * 1024, kMessages = 16;

/// A socket of the pod's, whose calls end after a while.
Result<UniqueFd> sctp_socket(const test::Pod &pod) {
    UniqueFd fd;
    auto made = pod.ns.run_in([&]() -> Status {
        fd = UniqueFd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_SCTP));
        return fd ? Status() : fail_errno(errno, "SCTP socket");
    });
    if (!made) return fail_as_is(std::move(made));
    const timeval patience{.tv_sec = 20, .tv_usec = 0};
    for (const int way : {SO_RCVTIMEO, SO_SNDTIMEO}) setsockopt(fd.get(), SOL_SOCKET, way, &patience, sizeof(patience));
    return fd;
}

/// What comes by one association until its other end closes it.
std::string receive_all(int listener) {
    const UniqueFd fd(accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
    std::string all;
    std::vector<char> part(kMessage);
    for (ssize_t got = 0; (got = recv(fd.get(), part.data(), part.size(), 0)) > 0;)
        all.append(part.data(), static_cast<std::size_t>(got));
    return all;
}

/// A listener at a pod, for one transfer after the other.
class SctpServer {
public:
    static Result<SctpServer> at(const test::Pod &pod) {
        auto fd = sctp_socket(pod);
        if (!fd) return fail_as_is(std::move(fd));
        SctpServer server(std::move(*fd));
        server.place_.sin_family = AF_INET;
        server.place_.sin_port = htons(kPort);
        inet_pton(AF_INET, pod.address.c_str(), &server.place_.sin_addr);
        if (bind(server.fd_.get(), server.address(), sizeof(place_)) != 0 || listen(server.fd_.get(), 1) != 0)
            return fail_errno(errno, "SCTP listen");
        return server;
    }

    Status transfer_from(const test::Pod &pod) {
        auto sender = sctp_socket(pod);
        if (!sender) return fail_as_is(std::move(sender));
        std::string content;
        for (std::size_t i = 0; i < kMessages * kMessage; ++i) content.push_back(static_cast<char>(i * 31 + i / 251));
        auto arrived = std::async(std::launch::async, receive_all, fd_.get());
        if (connect(sender->get(), address(), sizeof(place_)) != 0) return fail_errno(errno, "SCTP connect");
        for (std::size_t at = 0; at < content.size(); at += kMessage)
            if (send(sender->get(), content.data() + at, kMessage, MSG_NOSIGNAL) != static_cast<ssize_t>(kMessage))
                return fail_errno(errno, "SCTP send");
        *sender = UniqueFd();
        const auto got = arrived.get();
        if (got == content) return {};
        return fail(fmt::format("SCTP: {} of {} bytes arrived, or others", got.size(), content.size()));
    }

private:
    explicit SctpServer(UniqueFd fd) : fd_(std::move(fd)) {}
    [[nodiscard]] const sockaddr *address() const { return reinterpret_cast<const sockaddr *>(&place_); }
    UniqueFd fd_;
    sockaddr_in place_{};
};

class Sctp : public test::ClusterTest {};

/// Whole GSO packets from node to node, and segmented behind the outer header.
TEST_P(Sctp, ArrivesAsItWasSent) {
    WEFT_ASSERT_ASSIGN(auto *sending, cluster_->add_node());
    WEFT_ASSERT_ASSIGN(auto *receiving, cluster_->add_node());
    WEFT_ASSERT_OK(cluster_->settle());
    WEFT_ASSERT_ASSIGN(const auto *from, sending->add_pod());
    WEFT_ASSERT_ASSIGN(const auto *to, receiving->add_pod());
    auto server = SctpServer::at(*to);
    if (!server && server.error().code() == EPROTONOSUPPORT) GTEST_SKIP() << "this kernel has no SCTP";
    WEFT_ASSERT_OK(server);
    for (const auto wire : {test::WireMode::offload, test::WireMode::bare}) {
        WEFT_ASSERT_OK(cluster_->lan().set_mode(wire));
        WEFT_EXPECT_OK(server->transfer_from(*from));
    }
    test::expect_no_drops(*sending);
    test::expect_no_drops(*receiving);
}

INSTANTIATE_TEST_SUITE_P(Kernels, Sctp,
                         testing::Values(test::Setup{"tc", test::WireMode::offload},
                                         test::Setup{"tc", test::WireMode::offload, "host-gw"}),
                         test::setup_name);

} // namespace
} // namespace weft::kernels

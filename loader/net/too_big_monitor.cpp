// SPDX-License-Identifier: Apache-2.0
#include "net/too_big_monitor.hpp"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <asio/posix/stream_descriptor.hpp>
#include <asio/steady_timer.hpp>

#include <array>
#include <chrono>
#include <utility>

#include "base/unique_fd.hpp"

namespace weft::net {
namespace {

constexpr std::chrono::milliseconds kPause{100};
constexpr int kMostAtOnce = 1024; ///< a flood must not keep the daemon at reading it

} // namespace

class TooBigMonitor::Impl : public std::enable_shared_from_this<Impl> {
public:
    Impl(asio::io_context &io, UniqueFd fd, std::function<void()> told)
        : socket_(io, fd.release()), pause_(io), told_(std::move(told)) {}

    void wait_for_more() {
        socket_.async_wait(asio::posix::descriptor_base::wait_read, [self = shared_from_this()](asio::error_code err) {
            if (err || !self->told_) return;
            self->drain();
            self->told_();
            if (self->told_) self->pause();
        });
    }

    void stop() {
        asio::error_code ignored;
        socket_.close(ignored);
        pause_.cancel();
        told_ = nullptr;
    }

private:
    void drain() {
        std::array<char, 64> start;
        for (int i = 0; i < kMostAtOnce; ++i)
            if (::recv(socket_.native_handle(), start.data(), start.size(), MSG_DONTWAIT) < 0) return;
    }

    void pause() {
        pause_.expires_after(kPause);
        pause_.async_wait([self = shared_from_this()](asio::error_code err) {
            if (!err && self->told_) self->wait_for_more();
        });
    }

    asio::posix::stream_descriptor socket_;
    asio::steady_timer pause_;
    std::function<void()> told_;
};

TooBigMonitor::TooBigMonitor(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
TooBigMonitor::TooBigMonitor(TooBigMonitor &&) noexcept = default;
TooBigMonitor::~TooBigMonitor() {
    if (impl_) impl_->stop();
}

Result<TooBigMonitor> TooBigMonitor::start(asio::io_context &io, std::function<void()> told) {
    UniqueFd fd(::socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_ICMPV6));
    if (!fd) return fail_errno(errno, "watch for ICMPv6");
    icmp6_filter only{};
    ICMP6_FILTER_SETBLOCKALL(&only);
    ICMP6_FILTER_SETPASS(ICMP6_PACKET_TOO_BIG, &only);
    if (::setsockopt(fd.get(), IPPROTO_ICMPV6, ICMP6_FILTER, &only, sizeof(only)) != 0)
        return fail_errno(errno, "watch for ICMPv6 packet too big");
    auto impl = std::make_shared<Impl>(io, std::move(fd), std::move(told));
    impl->wait_for_more();
    return TooBigMonitor(std::move(impl));
}

} // namespace weft::net

// SPDX-License-Identifier: Apache-2.0
#include "daemon/health.hpp"

#include <fmt/format.h>

#include <asio/read_until.hpp>
#include <asio/steady_timer.hpp>
#include <asio/write.hpp>
#include <chrono>
#include <string_view>

namespace weft {
namespace {

using asio::ip::tcp;
using namespace std::chrono_literals;

constexpr std::size_t kMaxRequest = 8 * 1024;
constexpr auto kPatience = 5s;

std::string response(std::string_view status, std::string_view type, std::string_view body) {
    return fmt::format("HTTP/1.1 {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{}", status,
                       type, body.size(), body);
}

/// "GET /healthz?verbose HTTP/1.1" -> an answer.
std::string answer(std::string_view request_line, const std::function<HealthServer::Report()> &report) {
    const auto method_end = request_line.find(' ');
    const auto path_end = request_line.find_first_of(" ?", method_end + 1);
    if (method_end == std::string_view::npos || path_end == std::string_view::npos)
        return response("400 Bad Request", "text/plain", "not an HTTP request\n");
    const auto method = request_line.substr(0, method_end);
    const auto path = request_line.substr(method_end + 1, path_end - method_end - 1);
    if (method != "GET") return response("405 Method Not Allowed", "text/plain", "only GET\n");
    if (path != "/healthz" && path != "/readyz")
        return response("404 Not Found", "text/plain", "there are /healthz and /readyz\n");
    const auto now = report();
    return response(now.ready ? "200 OK" : "503 Service Unavailable", "application/json", now.body + "\n");
}

/// One connection; lives as long as one of its operations is pending.
class Session : public std::enable_shared_from_this<Session> {
public:
    Session(tcp::socket socket, std::function<HealthServer::Report()> report)
        : socket_(std::move(socket)), deadline_(socket_.get_executor()), report_(std::move(report)) {}

    void start() {
        deadline_.expires_after(kPatience);
        deadline_.async_wait([self = shared_from_this()](asio::error_code err) {
            if (!err) self->close();
        });
        asio::async_read_until(socket_, asio::dynamic_buffer(request_, kMaxRequest), "\r\n\r\n",
                               [self = shared_from_this()](asio::error_code err, std::size_t) {
                                   if (err)
                                       self->close();
                                   else
                                       self->reply();
                               });
    }

private:
    void reply() {
        reply_ = answer(std::string_view(request_).substr(0, request_.find("\r\n")), report_);
        asio::async_write(socket_, asio::buffer(reply_),
                          [self = shared_from_this()](asio::error_code, std::size_t) { self->close(); });
    }

    void close() {
        asio::error_code ignored;
        deadline_.cancel();
        socket_.shutdown(tcp::socket::shutdown_both, ignored);
        socket_.close(ignored);
    }

    tcp::socket socket_;
    asio::steady_timer deadline_;
    std::function<HealthServer::Report()> report_;
    std::string request_, reply_;
};

} // namespace

class HealthServer::Impl : public std::enable_shared_from_this<Impl> {
public:
    Impl(asio::io_context &io, std::function<Report()> report) : acceptor_(io), report_(std::move(report)) {}

    Status open(const tcp::endpoint &endpoint) {
        asio::error_code err;
        acceptor_.open(endpoint.protocol(), err);
        if (!err) acceptor_.set_option(tcp::acceptor::reuse_address(true), err);
        if (!err) acceptor_.bind(endpoint, err);
        if (!err) acceptor_.listen(asio::socket_base::max_listen_connections, err);
        if (err)
            return fail_errno(err.value(), fmt::format("health server on {} port {}", endpoint.address().to_string(),
                                                       endpoint.port()));
        accept();
        return {};
    }
    void close() {
        asio::error_code ignored;
        acceptor_.close(ignored);
    }

private:
    void accept() {
        acceptor_.async_accept([self = shared_from_this()](asio::error_code err, tcp::socket socket) {
            if (!self->acceptor_.is_open()) return;
            if (!err) std::make_shared<Session>(std::move(socket), self->report_)->start();
            self->accept();
        });
    }

    tcp::acceptor acceptor_;
    std::function<Report()> report_;
};

HealthServer::HealthServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
HealthServer::HealthServer(HealthServer &&) noexcept = default;
HealthServer::~HealthServer() {
    if (impl_) impl_->close();
}

Result<HealthServer> HealthServer::listen(asio::io_context &io, const asio::ip::address &address, std::uint16_t port,
                                          std::function<Report()> report) {
    auto impl = std::make_shared<Impl>(io, std::move(report));
    if (auto opened = impl->open(tcp::endpoint(address, port)); !opened) return fail_as_is(std::move(opened));
    return HealthServer(std::move(impl));
}

} // namespace weft

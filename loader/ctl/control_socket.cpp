// SPDX-License-Identifier: Apache-2.0
#include "ctl/control_socket.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <asio/buffer.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/read_until.hpp>
#include <asio/steady_timer.hpp>
#include <asio/write.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <list>
#include <optional>
#include <string>
#include <utility>

#include "base/unique_fd.hpp"

namespace weft {
namespace {

using Protocol = asio::local::stream_protocol;
using Json = nlohmann::json;

constexpr std::size_t kMaxAnswer = 64 * 1024 * 1024;

/// One line. Names that came from outside may be no UTF-8: they must not make an answer impossible.
std::string to_line(const Json &message) { return message.dump(-1, ' ', false, Json::error_handler_t::replace) + '\n'; }

Json error_answer(std::string_view sentence) { return Json{{"error", sentence}}; }

/// The socket's path, if it fits into sockaddr_un: 107 bytes, a limit that a nested --run-dir does reach.
Result<std::string> socket_path(const std::filesystem::path &run_dir) {
    std::string path = (run_dir / kSocketName).string();
    if (path.size() >= sizeof(sockaddr_un::sun_path))
        return fail(fmt::format("{}: a socket's path has at most {} bytes, choose a shorter run directory", path,
                                sizeof(sockaddr_un::sun_path) - 1),
                    ENAMETOOLONG);
    return path;
}

/// Makes the directory ours alone: whoever may enter it may talk to the daemon.
Status claim_directory(const std::filesystem::path &run_dir) {
    std::error_code err;
    std::filesystem::create_directories(run_dir.parent_path(), err);
    if (err) return fail_errno(err.value(), run_dir.parent_path().string());
    if (::mkdir(run_dir.c_str(), 0700) != 0 && errno != EEXIST) return fail_errno(errno, run_dir.string());

    UniqueFd dir(::open(run_dir.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (!dir) return fail_errno(errno, run_dir.string());
    struct stat st{};
    if (::fstat(dir.get(), &st) != 0) return fail_errno(errno, run_dir.string());
    if (st.st_uid != ::geteuid())
        return fail(
            fmt::format("{}: belongs to user {}, not to weftd's user {}", run_dir.string(), st.st_uid, ::geteuid()),
            EPERM);
    if ((st.st_mode & 07777) != 0700 && ::fchmod(dir.get(), 0700) != 0) return fail_errno(errno, run_dir.string());
    return {};
}

Result<UniqueFd> take_lock(const std::filesystem::path &run_dir) {
    const auto path = run_dir / kLockName;
    UniqueFd lock(::open(path.c_str(), O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600));
    if (!lock) return fail_errno(errno, path.string());
    if (::flock(lock.get(), LOCK_EX | LOCK_NB) == 0) return lock;
    if (errno != EWOULDBLOCK) return fail_errno(errno, path.string());
    return fail(fmt::format("another weftd runs in {}", run_dir.string()), EADDRINUSE);
}

/// One connection: reads a line, answers it, reads the next. Lives as long as one of its operations is pending.
class Session : public std::enable_shared_from_this<Session> {
public:
    /// @param done called once, when the connection is over.
    Session(Protocol::socket socket, ControlServer::Handler &handler, std::chrono::milliseconds patience,
            std::function<void(Session *)> done)
        : socket_(std::move(socket)), deadline_(socket_.get_executor()), handler_(&handler), patience_(patience),
          done_(std::move(done)) {}

    void start() {
        // Modes of files are one door; an operator who opened them, or a connection that was handed on, is met by the second.
        if (!may_ask()) return write(error_answer("permission denied: only root may ask weftd"), true);
        read();
    }

    /// Ends every pending operation. The handler is not called after this.
    void hang_up() {
        const auto self = shared_from_this(); // done_ drops the server's reference
        asio::error_code ignored;
        deadline_.cancel();
        socket_.close(ignored);
        if (auto done = std::exchange(done_, nullptr)) done(this);
    }

private:
    /// By the credentials that the kernel took when the client connected.
    bool may_ask() {
        ucred client{};
        socklen_t size = sizeof client;
        return ::getsockopt(socket_.native_handle(), SOL_SOCKET, SO_PEERCRED, &client, &size) == 0 &&
               (client.uid == 0 || client.uid == ::geteuid());
    }

    void read() {
        arm();
        asio::async_read_until(
            socket_, asio::dynamic_buffer(in_, ControlServer::kMaxRequest), '\n',
            [self = shared_from_this()](asio::error_code err, std::size_t size) { self->on_read(err, size); });
    }

    void on_read(asio::error_code err, std::size_t size) {
        if (!done_) return;                // hung up meanwhile
        if (err == asio::error::not_found) // the buffer is full, and no end of line in it
            return write(error_answer(fmt::format("a request has at most {} bytes", ControlServer::kMaxRequest)), true);
        if (err) return hang_up();
        const auto request = Json::parse(in_.begin(), in_.begin() + static_cast<std::ptrdiff_t>(size), nullptr, false);
        in_.erase(0, size);
        if (!request.is_object()) return write(error_answer("a request is one JSON object on one line"), true);
        write(answer(request), false);
    }

    /// The handler's answer. Its exceptions (nlohmann's type errors on an odd request) end here.
    Json answer(const Json &request) {
        try {
            return (*handler_)(request);
        } catch (const std::exception &e) {
            return error_answer(e.what());
        }
    }

    void write(const Json &message, bool last) {
        out_ = to_line(message);
        arm();
        asio::async_write(socket_, asio::buffer(out_),
                          [self = shared_from_this(), last](asio::error_code err, std::size_t) {
                              if (!self->done_) return;
                              if (err || last) return self->hang_up();
                              self->read();
                          });
    }

    void arm() {
        deadline_.expires_after(patience_);
        deadline_.async_wait([self = shared_from_this()](asio::error_code err) {
            if (!err && self->done_) self->hang_up();
        });
    }

    Protocol::socket socket_;
    asio::steady_timer deadline_;
    ControlServer::Handler *handler_; // the server's; not used once hung up
    std::chrono::milliseconds patience_;
    std::function<void(Session *)> done_;
    std::string in_;
    std::string out_;
};

} // namespace

class ControlServer::Impl : public std::enable_shared_from_this<Impl> {
public:
    Impl(asio::io_context &io, UniqueFd lock, std::string path, Handler handler, std::chrono::milliseconds patience)
        : lock_(std::move(lock)), path_(std::move(path)), handler_(std::move(handler)), patience_(patience),
          acceptor_(io), pause_(io) {}

    Status open() {
        ::unlink(path_.c_str()); // we hold the lock, so whoever made it is dead
        asio::error_code err;
        acceptor_.open(Protocol(), err);
        if (!err) acceptor_.bind(Protocol::endpoint(path_), err);
        // Between bind and chmod the directory's 0700 keeps others out.
        if (!err && ::chmod(path_.c_str(), 0600) != 0)
            err = asio::error_code(errno, asio::error::get_system_category());
        if (!err) acceptor_.listen(Protocol::socket::max_listen_connections, err);
        if (err) return fail_errno(err.value(), path_);
        accept();
        return {};
    }

    void close() {
        asio::error_code ignored;
        acceptor_.close(ignored);
        pause_.cancel();
        while (!sessions_.empty()) sessions_.front()->hang_up();
        ::unlink(path_.c_str());
        lock_ = UniqueFd();
    }

private:
    void accept() {
        acceptor_.async_accept([self = shared_from_this()](asio::error_code err, Protocol::socket socket) {
            if (!self->acceptor_.is_open()) return;
            if (err) return self->accept_later();
            self->serve(std::move(socket));
            self->accept();
        });
    }

    /// Out of file descriptors: the connection stays in the backlog, and accepting it again at once would spin.
    void accept_later() {
        pause_.expires_after(std::chrono::milliseconds(200));
        pause_.async_wait([self = shared_from_this()](asio::error_code err) {
            if (!err && self->acceptor_.is_open()) self->accept();
        });
    }

    void serve(Protocol::socket socket) {
        if (sessions_.size() >= kMaxClients) return; // closes it
        auto done = [this](Session *over) {
            std::erase_if(sessions_, [over](const auto &s) { return s.get() == over; });
        };
        sessions_.push_back(std::make_shared<Session>(std::move(socket), handler_, patience_, std::move(done)));
        sessions_.back()->start();
    }

    UniqueFd lock_;
    std::string path_;
    Handler handler_;
    std::chrono::milliseconds patience_;
    Protocol::acceptor acceptor_;
    asio::steady_timer pause_;
    std::list<std::shared_ptr<Session>> sessions_;
};

Result<ControlServer> ControlServer::listen(asio::io_context &io, const std::filesystem::path &run_dir, Handler handler,
                                            std::chrono::milliseconds patience) {
    auto path = socket_path(run_dir);
    if (!path) return fail_in(std::move(path), "control socket");
    if (auto claimed = claim_directory(run_dir); !claimed) return fail_in(std::move(claimed), "control socket");
    auto lock = take_lock(run_dir);
    if (!lock) return fail_as_is(std::move(lock));
    auto impl = std::make_shared<Impl>(io, std::move(*lock), std::move(*path), std::move(handler), patience);
    if (auto opened = impl->open(); !opened) return fail_in(std::move(opened), "control socket");
    return ControlServer(std::move(impl));
}

ControlServer::ControlServer(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
ControlServer::ControlServer(ControlServer &&) noexcept = default;
ControlServer::~ControlServer() {
    if (impl_) impl_->close();
}

Result<UniqueFd> hold_run_dir(const std::filesystem::path &run_dir) { return take_lock(run_dir); }

Result<nlohmann::json> ask(const std::filesystem::path &run_dir, const nlohmann::json &request,
                           std::chrono::milliseconds timeout) {
    auto path = socket_path(run_dir);
    if (!path) return fail_as_is(std::move(path));

    asio::io_context io;
    Protocol::socket socket(io);
    const std::string out = to_line(request);
    std::string in;
    std::optional<asio::error_code> over;
    const auto finish = [&over](asio::error_code err) { over = err; };
    socket.async_connect(Protocol::endpoint(*path), [&](asio::error_code connect_err) {
        if (connect_err) return finish(connect_err);
        asio::async_write(socket, asio::buffer(out), [&](asio::error_code write_err, std::size_t) {
            if (write_err) return finish(write_err);
            asio::async_read_until(socket, asio::dynamic_buffer(in, kMaxAnswer), '\n',
                                   [&](asio::error_code read_err, std::size_t) { finish(read_err); });
        });
    });
    io.run_for(timeout);

    if (!over) return fail(fmt::format("{}: weftd does not answer within {} ms", *path, timeout.count()), ETIMEDOUT);
    if (*over == asio::error::eof) return fail(fmt::format("{}: weftd hung up without an answer", *path), EPROTO);
    if (*over) return fail_errno(over->value(), *path);
    auto answer = Json::parse(in, nullptr, false);
    if (!answer.is_object()) return fail(fmt::format("{}: the answer is no JSON object", *path), EPROTO);
    if (const auto error = answer.find("error"); error != answer.end() && error->is_string())
        return fail(error->get<std::string>(), EPROTO);
    return answer;
}

} // namespace weft

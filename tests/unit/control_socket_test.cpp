// SPDX-License-Identifier: Apache-2.0
#include "ctl/control_socket.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <asio/executor_work_guard.hpp>
#include <asio/local/stream_protocol.hpp>
#include <asio/read.hpp>
#include <asio/read_until.hpp>
#include <asio/write.hpp>
#include <nlohmann/json.hpp>

#include <cstring>
#include <optional>
#include <string>
#include <thread>

#include "dirs.hpp"
#include "needs.hpp"

namespace weft {
namespace {

using testing::HasSubstr;
using Json = nlohmann::json;
using Protocol = asio::local::stream_protocol;

constexpr std::chrono::milliseconds kShort{250}; // patience in tests about impatience
constexpr std::chrono::seconds kLong{30};        // elsewhere: never reached

Json echo(const Json &request) { return {{"echo", request}}; }

mode_t mode_of(const std::filesystem::path &path) {
    struct stat st{};
    return ::stat(path.c_str(), &st) == 0 ? st.st_mode & 07777 : 0;
}

class ControlSocket : public testing::Test {
protected:
    void SetUp() override {
        WEFT_ASSERT_ASSIGN(auto dir, test::TempDir::create("control"));
        temp_.emplace(std::move(dir));
        base_ = temp_->path();
        dir_ = base_ / "run";
    }

    void TearDown() override { stop(); }

    /// Listens and runs the loop on a thread of its own.
    void serve(ControlServer::Handler handler, std::chrono::milliseconds patience = kLong) {
        auto server = ControlServer::listen(io_, dir_, std::move(handler), patience);
        ASSERT_TRUE(server) << server.error().sentence();
        server_.emplace(std::move(*server));
        loop_ = std::thread([this] { io_.run(); });
    }

    void stop() {
        if (!loop_.joinable()) return;
        io_.stop();
        loop_.join();
        server_.reset();
    }

    [[nodiscard]] std::filesystem::path socket_path() const { return dir_ / "weftd.sock"; }

    /// A client without manners.
    Protocol::socket connect() {
        Protocol::socket socket(client_io_);
        socket.connect(Protocol::endpoint(socket_path().string()));
        return socket;
    }

    static void send(Protocol::socket &socket, const std::string &text) {
        asio::error_code err;
        asio::write(socket, asio::buffer(text), err);
    }

    static std::string read_line(Protocol::socket &socket) {
        std::string in;
        asio::error_code err;
        const auto size = asio::read_until(socket, asio::dynamic_buffer(in), '\n', err);
        return in.substr(0, size);
    }

    /// Everything until the server hangs up.
    static std::string read_rest(Protocol::socket &socket) {
        std::string in;
        asio::error_code err;
        asio::read(socket, asio::dynamic_buffer(in), err);
        return in;
    }

    std::optional<test::TempDir> temp_;
    std::filesystem::path base_, dir_;
    asio::io_context io_, client_io_;
    asio::executor_work_guard<asio::io_context::executor_type> work_{io_.get_executor()};
    std::optional<ControlServer> server_;
    std::thread loop_;
};

TEST_F(ControlSocket, ARequestIsAnsweredByTheHandler) {
    serve(echo);
    const auto answer = ask(dir_, {{"command", "status"}});
    ASSERT_TRUE(answer) << answer.error().sentence();
    EXPECT_EQ((*answer)["echo"]["command"], "status");
}

TEST_F(ControlSocket, AConnectionCarriesManyRequests) {
    serve(echo);
    auto client = connect();
    send(client, "{\"a\":1}\n{\"a\":2}\n");
    client.shutdown(Protocol::socket::shutdown_send);
    EXPECT_EQ(read_rest(client), "{\"echo\":{\"a\":1}}\n{\"echo\":{\"a\":2}}\n");
}

TEST_F(ControlSocket, TheDirectoryAndTheSocketAreTheOwnersAlone) {
    std::filesystem::create_directories(dir_);
    std::filesystem::permissions(dir_, std::filesystem::perms::all);
    serve(echo);
    EXPECT_EQ(mode_of(dir_), 0700U);
    EXPECT_EQ(mode_of(socket_path()), 0600U);
}

TEST_F(ControlSocket, ASecondServerIsRefusedAndTheFirstGoesOn) {
    serve(echo);
    asio::io_context other;
    const auto second = ControlServer::listen(other, dir_, echo);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code(), EADDRINUSE);
    EXPECT_THAT(second.error().sentence(), HasSubstr(dir_.string()));
    EXPECT_TRUE(ask(dir_, Json::object()));
}

TEST_F(ControlSocket, ADeadDaemonsSocketIsReplaced) {
    std::filesystem::create_directories(dir_);
    {
        Protocol::acceptor dead(client_io_, Protocol::endpoint(socket_path().string()));
    }
    ASSERT_TRUE(std::filesystem::exists(socket_path()));
    EXPECT_EQ(ask(dir_, Json::object()).error().code(), ECONNREFUSED);
    serve(echo);
    EXPECT_TRUE(ask(dir_, Json::object()));
}

TEST_F(ControlSocket, TheSocketGoesWithTheServerAndAnotherMayFollow) {
    serve(echo);
    stop();
    EXPECT_EQ(ask(dir_, Json::object()).error().code(), ENOENT);
    io_.restart();
    serve(echo);
    EXPECT_TRUE(ask(dir_, Json::object()));
}

TEST_F(ControlSocket, WhatIsNoObjectIsRefusedInWordsAndHungUpOn) {
    serve(echo);
    for (const char *bad : {"status\n", "[1,2]\n", "\n", "{\"command\": \n", "\xff\xfe\n"}) {
        auto client = connect();
        send(client, bad);
        EXPECT_THAT(read_rest(client), HasSubstr("\"error\"")) << bad;
    }
}

TEST_F(ControlSocket, AnOversizedRequestIsRefused) {
    serve(echo);
    auto client = connect();
    send(client, std::string(ControlServer::kMaxRequest, 'x'));
    EXPECT_THAT(read_rest(client), HasSubstr("at most 65536 bytes"));
}

TEST_F(ControlSocket, AHandlerThatThrowsCostsItsRequestOnly) {
    serve([](const Json &request) -> Json { return request.at("command").get<std::string>(); });
    const auto answer = ask(dir_, {{"comand", "typo"}});
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code(), EPROTO);
    EXPECT_THAT(answer.error().sentence(), HasSubstr("command"));
    EXPECT_FALSE(ask(dir_, {{"command", 5}}));
}

TEST_F(ControlSocket, TheHandlersErrorIsTheClientsError) {
    serve([](const Json &) { return Json{{"error", "no such command: dance"}}; });
    const auto answer = ask(dir_, {{"command", "dance"}});
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().sentence(), "no such command: dance");
}

TEST_F(ControlSocket, TextThatIsNoUtf8DoesNotPreventAnAnswer) {
    serve([](const Json &) { return Json{{"name", "caf\xe9"}}; });
    const auto answer = ask(dir_, Json::object());
    ASSERT_TRUE(answer) << answer.error().sentence();
    EXPECT_THAT((*answer)["name"].get<std::string>(), HasSubstr("caf"));
}

TEST_F(ControlSocket, ASilentClientIsHungUpOnAndHoldsNobodyUp) {
    serve(echo, kShort);
    auto silent = connect();
    send(silent, "{\"half\":");
    EXPECT_TRUE(ask(dir_, Json::object()));
    EXPECT_EQ(read_rest(silent), "");
}

TEST_F(ControlSocket, AClientThatDoesNotReadIsHungUpOn) {
    serve([](const Json &) { return Json{{"long", std::string(4 << 20, 'x')}}; }, kShort);
    auto deaf = connect();
    send(deaf, "{}\n");
    // The answer does not fit the socket's buffer, so its rest is lost when patience ends. Until then nothing is read here.
    deaf.wait(Protocol::socket::wait_error);
    EXPECT_LT(read_rest(deaf).size(), std::size_t{4} << 20);
}

TEST_F(ControlSocket, ClientsBeyondTheLimitAreTurnedAwayUntilOneLeaves) {
    serve(echo);
    std::vector<Protocol::socket> clients;
    for (std::size_t i = 0; i < ControlServer::kMaxClients; ++i) {
        clients.push_back(connect());
        send(clients.back(), "{}\n");
        ASSERT_NE(read_line(clients.back()), "") << i;
    }
    EXPECT_FALSE(ask(dir_, Json::object()));
    clients.front().close();
    bool served = false; // the server sees the close when its loop comes to it
    for (const auto end = std::chrono::steady_clock::now() + kLong; !served && std::chrono::steady_clock::now() < end;)
        served = ask(dir_, Json::object()).has_value();
    EXPECT_TRUE(served);
}

TEST_F(ControlSocket, AskingWhereNothingRunsSaysSoByItsCode) {
    EXPECT_EQ(ask(dir_, Json::object()).error().code(), ENOENT);
}

TEST_F(ControlSocket, ADaemonThatHangsIsATimeout) {
    std::filesystem::create_directories(dir_);
    const Protocol::acceptor hung(client_io_, Protocol::endpoint(socket_path().string()));
    const auto answer = ask(dir_, Json::object(), kShort);
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code(), ETIMEDOUT);
}

/// Another user who finds the doors open is met by what the kernel says of them.
TEST_F(ControlSocket, AnotherUserIsRefusedWhateverTheModes) {
    WEFT_REQUIRES(test::requires_root());
    serve(echo);
    for (const auto &path : {base_, dir_, socket_path()})
        std::filesystem::permissions(path, std::filesystem::perms::all);
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
        std::strncpy(address.sun_path, socket_path().c_str(), sizeof address.sun_path - 1);
        const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
        char answer[512];
        if (::setresuid(65534, 65534, 65534) != 0 ||
            ::connect(fd, reinterpret_cast<sockaddr *>(&address), sizeof address) != 0)
            ::_exit(1);
        (void)!::send(fd, "{\"command\":\"status\"}\n", 21, MSG_NOSIGNAL); // it may have been hung up on by now
        for (ssize_t got = 0; (got = ::read(fd, answer, sizeof answer)) > 0;)
            (void)!::write(ends[1], answer, static_cast<std::size_t>(got));
        ::_exit(0);
    }
    ::close(ends[1]);
    std::string said;
    char part[512];
    for (ssize_t got = 0; (got = ::read(ends[0], part, sizeof part)) > 0;)
        said.append(part, static_cast<std::size_t>(got));
    ::close(ends[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
    EXPECT_THAT(said, HasSubstr("only root may ask"));
    EXPECT_THAT(said, testing::Not(HasSubstr("echo")));
    EXPECT_EQ((*ask(dir_, {{"a", 1}}))["echo"]["a"], 1) << "root goes on to be served";
}

TEST_F(ControlSocket, ADirectoryOfAnotherUserIsRefused) {
    WEFT_REQUIRES(test::requires_root());
    std::filesystem::create_directories(dir_);
    ASSERT_EQ(::chown(dir_.c_str(), 65534, 65534), 0);
    const auto refused = ControlServer::listen(io_, dir_, echo);
    ASSERT_FALSE(refused);
    EXPECT_THAT(refused.error().sentence(), HasSubstr(dir_.string() + ": belongs to user 65534"));
    EXPECT_TRUE(std::filesystem::is_empty(dir_));
}

TEST_F(ControlSocket, LinksPlantedInTheDirectoryLeadNowhere) {
    test::write_file(base_ / "victim", "untouched").value();
    std::filesystem::create_directories(dir_);
    std::filesystem::create_symlink(base_ / "victim", dir_ / "weftd.lock");
    EXPECT_FALSE(ControlServer::listen(io_, dir_, echo));
    std::filesystem::remove(dir_ / "weftd.lock");
    std::filesystem::create_symlink(base_ / "victim", socket_path());
    serve(echo);
    EXPECT_TRUE(std::filesystem::is_socket(std::filesystem::symlink_status(socket_path()))) << "the link is gone";
    EXPECT_EQ(test::read_file(base_ / "victim").value_or("gone"), "untouched");
}

TEST_F(ControlSocket, ARunDirectoryTooLongForASocketIsNamed) {
    const auto deep = base_ / std::string(120, 'd');
    const auto server = ControlServer::listen(io_, deep, echo);
    ASSERT_FALSE(server);
    EXPECT_EQ(server.error().code(), ENAMETOOLONG);
    EXPECT_EQ(ask(deep, Json::object()).error().code(), ENAMETOOLONG);
}

TEST_F(ControlSocket, ASymlinkInPlaceOfTheDirectoryIsRefused) {
    std::filesystem::create_directories(base_ / "elsewhere");
    std::filesystem::create_directory_symlink(base_ / "elsewhere", dir_);
    EXPECT_FALSE(ControlServer::listen(io_, dir_, echo));
}

} // namespace
} // namespace weft

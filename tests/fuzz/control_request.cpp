// SPDX-License-Identifier: Apache-2.0
// What a client writes to weftd's control socket.
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <asio/io_context.hpp>
#include <nlohmann/json.hpp>

#include <cstring>
#include <filesystem>
#include <optional>
#include <string>

#include "base/unique_fd.hpp"
#include "ctl/control_socket.hpp"
#include "fuzz.hpp"

namespace weft::fuzz {
namespace {

/// A server in a directory of its own, for all inputs of this process.
class Server {
public:
    Server() {
        std::filesystem::create_directories(dir_);
        auto server = ControlServer::listen(io_, dir_, [](const nlohmann::json &request) {
            return nlohmann::json{{"command", request.at("command")}}; // throws where there is none
        });
        expect(server.has_value(), "a server can listen");
        server_.emplace(*std::move(server));
    }
    ~Server() {
        server_.reset();
        std::filesystem::remove_all(dir_);
    }
    Server(const Server &) = delete;
    Server &operator=(const Server &) = delete;

    /// Sends the bytes and hangs up. @return what came back
    std::string answers_to(std::string_view bytes) {
        UniqueFd client(::socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
        sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
        std::strncpy(address.sun_path, (dir_ / kSocketName).c_str(), sizeof address.sun_path - 1);
        expect(::connect(client.get(), reinterpret_cast<sockaddr *>(&address), sizeof address) == 0,
               "it can be reached");
        std::string said;
        bool open = true;
        while (open) {
            if (!bytes.empty()) {
                const auto sent = ::send(client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
                if (sent > 0) bytes.remove_prefix(static_cast<std::size_t>(sent));
                if (sent < 0 && errno != EAGAIN) bytes = {}; // hung up on
                if (bytes.empty()) ::shutdown(client.get(), SHUT_WR);
            } else {
                ::shutdown(client.get(), SHUT_WR);
            }
            io_.poll();
            char buffer[4096];
            for (ssize_t got = 1; got > 0 && open;) {
                got = ::read(client.get(), buffer, sizeof buffer);
                if (got > 0) said.append(buffer, static_cast<std::size_t>(got));
                open = got != 0 && (got > 0 || errno == EAGAIN);
            }
        }
        return said;
    }

private:
    const std::filesystem::path dir_ =
        std::filesystem::temp_directory_path() / ("weft-test-" + std::to_string(::getpid()) + "-fuzz");
    asio::io_context io_;
    std::optional<ControlServer> server_;
};

} // namespace

void one(std::string_view input) {
    static Server server;
    std::string said = server.answers_to(input);
    while (!said.empty()) {
        const auto end = said.find('\n');
        expect(end != said.npos, "an answer ends with its line", said);
        expect(nlohmann::json::parse(said.substr(0, end), nullptr, false).is_object(), "an answer is an object", said);
        said.erase(0, end + 1);
    }
    const auto after = server.answers_to("{\"command\":\"status\"}\n");
    expect(after == "{\"command\":\"status\"}\n", "the next client is served", after);
}

} // namespace weft::fuzz

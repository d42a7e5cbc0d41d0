// SPDX-License-Identifier: Apache-2.0
#include "notify_socket.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <mutex>
#include <thread>

#include "base/unique_fd.hpp"

namespace weft::test {

struct NotifySocket::Impl {
    explicit Impl(UniqueFd socket, std::filesystem::path at) : fd(std::move(socket)), path(std::move(at)) {
        reader = std::thread([this] { read_all(); });
    }
    ~Impl() {
        ::shutdown(fd.get(), SHUT_RDWR); // ends the reader's recv()
        reader.join();
    }

    void read_all() {
        std::array<char, 4096> buffer;
        ssize_t n = 0;
        while ((n = ::recv(fd.get(), buffer.data(), buffer.size(), 0)) > 0) {
            const std::lock_guard lock(mutex);
            text.append(buffer.data(), static_cast<std::size_t>(n));
            if (text.back() != '\n') text.push_back('\n');
        }
    }

    UniqueFd fd;
    std::filesystem::path path;
    mutable std::mutex mutex;
    std::string text; ///< every line ends with a newline
    std::thread reader;
};

NotifySocket::NotifySocket(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
NotifySocket::NotifySocket(NotifySocket &&) noexcept = default;
NotifySocket &NotifySocket::operator=(NotifySocket &&) noexcept = default;
NotifySocket::~NotifySocket() = default;

Result<NotifySocket> NotifySocket::bind(const std::filesystem::path &path) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
    if (!fd) return fail_errno(errno, "notify socket");
    sockaddr_un address{.sun_family = AF_UNIX};
    const auto &text = path.native();
    if (text.size() >= sizeof address.sun_path) return fail("too long for a socket: " + text, ENAMETOOLONG);
    std::memcpy(address.sun_path, text.c_str(), text.size() + 1);
    ::unlink(text.c_str());
    if (::bind(fd.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address) < 0)
        return fail_errno(errno, "bind " + text);
    return NotifySocket(std::make_unique<Impl>(std::move(fd), path));
}

std::string NotifySocket::env() const { return "NOTIFY_SOCKET=" + impl_->path.string(); }

std::string NotifySocket::messages() const {
    const std::lock_guard lock(impl_->mutex);
    return impl_->text;
}

bool NotifySocket::wait_for(const std::string &line, std::chrono::milliseconds timeout) const {
    return wait_until([&] { return ("\n" + messages()).find("\n" + line + "\n") != std::string::npos; }, timeout);
}

void NotifySocket::clear() {
    const std::lock_guard lock(impl_->mutex);
    impl_->text.clear();
}

} // namespace weft::test

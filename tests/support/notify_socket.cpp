// SPDX-License-Identifier: Apache-2.0
#include "notify_socket.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstring>

namespace weft::test {

Result<NotifySocket> NotifySocket::bind(const std::filesystem::path &path) {
    UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!fd) return fail_errno(errno, "notify socket");
    sockaddr_un address{.sun_family = AF_UNIX};
    const auto &text = path.native();
    if (text.size() >= sizeof address.sun_path) return fail("too long for a socket: " + text, ENAMETOOLONG);
    std::memcpy(address.sun_path, text.c_str(), text.size() + 1);
    ::unlink(text.c_str());
    if (::bind(fd.get(), reinterpret_cast<const sockaddr *>(&address), sizeof address) < 0)
        return fail_errno(errno, "bind " + text);
    return NotifySocket(std::move(fd), path);
}

const std::string &NotifySocket::messages() {
    std::array<char, 4096> buffer;
    ssize_t n = 0;
    while ((n = ::recv(fd_.get(), buffer.data(), buffer.size(), 0)) > 0) {
        messages_.append(buffer.data(), static_cast<std::size_t>(n));
        if (messages_.back() != '\n') messages_.push_back('\n');
    }
    return messages_;
}

bool NotifySocket::wait_for(const std::string &line, std::chrono::milliseconds timeout) {
    return wait_until([&] { return messages().find("\n" + line + "\n") != std::string::npos; }, timeout);
}

void NotifySocket::clear() {
    (void)messages();
    messages_.resize(1); // the leading newline
}

} // namespace weft::test

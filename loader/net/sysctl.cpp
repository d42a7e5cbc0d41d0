// SPDX-License-Identifier: Apache-2.0
#include "net/sysctl.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <array>

#include "base/unique_fd.hpp"

namespace weft::net {
namespace {

std::string file_of(std::string_view path) { return std::string("/proc/sys/").append(path); }

} // namespace

Result<std::optional<std::string>> read_sysctl(std::string_view path) {
    const auto file = file_of(path);
    const UniqueFd fd(::open(file.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
        const int err = errno;
        if (err == ENOENT) return std::nullopt;
        return fail_errno(err, file);
    }
    std::array<char, 256> buffer;
    const ssize_t len = ::read(fd.get(), buffer.data(), buffer.size());
    if (len < 0) return fail_errno(errno, file);
    std::string value(buffer.data(), static_cast<std::size_t>(len));
    while (value.ends_with('\n')) value.pop_back();
    return value;
}

Status write_sysctl(std::string_view path, std::string_view value) {
    const auto file = file_of(path);
    const UniqueFd fd(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd) return fail_errno(errno, file);
    // One write: the kernel reads each as a whole value.
    if (::write(fd.get(), value.data(), value.size()) < 0) return fail_errno(errno, file);
    return {};
}

std::string link_sysctl(std::string_view family, std::string_view link, std::string_view setting) {
    return fmt::format("net/{}/conf/{}/{}", family, link, setting);
}

} // namespace weft::net

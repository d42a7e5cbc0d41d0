// SPDX-License-Identifier: Apache-2.0
#include "cni/text_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <optional>

#include "base/unique_fd.hpp"

namespace weft::cni {
namespace {

/// O_TMPFILE and a link: nothing is left if the process dies before the link.
/// @return nullopt if the file system has no unnamed files.
std::optional<Result<bool>> link_unnamed(const std::filesystem::path &path, std::string_view text, mode_t mode) {
    const UniqueFd fd(::open(path.parent_path().c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, mode));
    if (!fd) return std::nullopt;
    if (auto written = write_all(fd.get(), text, path.string()); !written) return fail_as_is(std::move(written));
    const auto source = fmt::format("/proc/self/fd/{}", fd.get());
    if (::linkat(AT_FDCWD, source.c_str(), AT_FDCWD, path.c_str(), AT_SYMLINK_FOLLOW) == 0) return true;
    if (errno == EEXIST) return false;
    return std::nullopt; // no /proc, or no links on this file system
}

/// What host-local does: exclusive creation, then the content. Only for file systems without unnamed files.
Result<bool> create_and_write(const std::filesystem::path &path, std::string_view text, mode_t mode) {
    const UniqueFd fd(::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, mode));
    if (!fd && errno == EEXIST) return false;
    if (!fd) return fail_errno(errno, path.string());
    if (auto written = write_all(fd.get(), text, path.string()); !written) {
        ::unlink(path.c_str());
        return fail_as_is(std::move(written));
    }
    return true;
}

} // namespace

std::unexpected<Error> fail_open(int errnum, const std::filesystem::path &path) {
    if (errnum == ELOOP)
        return fail(fmt::format("{}: is a symbolic link, which is not followed", path.string()), ELOOP);
    return fail_errno(errnum, path.string());
}

Result<std::string> read_all(int fd, std::string_view what, std::size_t most) {
    std::string text;
    char chunk[16384];
    for (;;) {
        const ssize_t got = ::read(fd, chunk, sizeof(chunk));
        if (got == 0) return text;
        if (got > 0)
            text.append(chunk, static_cast<std::size_t>(got));
        else if (errno != EINTR)
            return fail_errno(errno, fmt::format("read {}", what));
        if (text.size() > most) return fail(fmt::format("{}: longer than {} bytes", what, most), EFBIG);
    }
}

Result<std::string> read_text_at(int dir_fd, const std::filesystem::path &path) {
    const UniqueFd fd(::openat(dir_fd, path.c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
    if (!fd) return fail_open(errno, path);
    struct stat st{};
    if (::fstat(fd.get(), &st) != 0) return fail_errno(errno, path.string());
    if (!S_ISREG(st.st_mode)) return fail(fmt::format("{}: is no file", path.string()), EPERM);
    return read_all(fd.get(), path.string());
}

Status write_all(int fd, std::string_view text, std::string_view what) {
    while (!text.empty()) {
        const ssize_t put = ::write(fd, text.data(), text.size());
        if (put >= 0)
            text.remove_prefix(static_cast<std::size_t>(put));
        else if (errno != EINTR)
            return fail_errno(errno, fmt::format("write {}", what));
    }
    return {};
}

Status write_text(const std::filesystem::path &path, std::string_view text, mode_t mode) {
    const UniqueFd fd(::open(path.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, mode));
    if (!fd) return fail_open(errno, path);
    return write_all(fd.get(), text, path.string());
}

Result<bool> create_whole(const std::filesystem::path &path, std::string_view text, mode_t mode) {
    if (auto linked = link_unnamed(path, text, mode)) return std::move(*linked);
    return create_and_write(path, text, mode);
}

} // namespace weft::cni

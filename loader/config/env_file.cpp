// SPDX-License-Identifier: Apache-2.0
#include "config/env_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crash_point.hpp"
#include "base/unique_fd.hpp"

namespace weft {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kLongest = 64UL * 1024; // a few lines

/// A value without its quotes, or without the comment that follows it.
std::string_view unquote(std::string_view value) {
    if (!value.empty() && (value.front() == '"' || value.front() == '\'')) {
        const auto end = value.find(value.front(), 1);
        if (end != std::string_view::npos) return value.substr(1, end - 1);
    }
    if (const auto comment = value.find(" #"); comment != std::string_view::npos) value = value.substr(0, comment);
    return trim(value);
}

Status write_all(int fd, std::string_view text) {
    while (!text.empty()) {
        const auto put = ::write(fd, text.data(), text.size());
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return fail_errno(errno, "write");
        text.remove_prefix(static_cast<std::size_t>(put));
    }
    return {};
}

/// Makes `temp` (a mkstemp template, filled in) hold `text`, safely on disk.
Status write_temp(std::string &temp, std::string_view text) {
    const UniqueFd file(::mkostemp(temp.data(), O_CLOEXEC));
    if (!file) return fail_errno(errno, "create " + temp);
    Status done = write_all(file.get(), text);
    // mkostemp makes it 0600, and the umask must not matter: CNI plugins of any user read it.
    if (done && ::fchmod(file.get(), 0644) != 0) done = fail_errno(errno, "chmod " + temp);
    if (done && ::fsync(file.get()) != 0) done = fail_errno(errno, "fsync " + temp);
    if (!done) ::unlink(temp.c_str());
    return done;
}

/// Makes the directory and its parents, 0755 whatever the umask; existing ones are left as they are.
Status make_directory(const fs::path &directory) {
    fs::path made;
    for (const auto &part : directory) {
        made /= part;
        if (::mkdir(made.c_str(), 0755) != 0) {
            if (errno == EEXIST) continue;
            return fail_errno(errno, "mkdir " + made.string());
        }
        if (::chmod(made.c_str(), 0755) != 0) return fail_errno(errno, "chmod " + made.string());
    }
    return {};
}

} // namespace

std::string_view trim(std::string_view text) {
    constexpr std::string_view kBlank = " \t\r";
    const auto begin = text.find_first_not_of(kBlank);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

/// Splits at `separator`; an empty text has one empty part.
std::vector<std::string_view> split(std::string_view text, char separator) {
    std::vector<std::string_view> parts;
    while (true) {
        const auto end = text.find(separator);
        parts.push_back(text.substr(0, end));
        if (end == std::string_view::npos) return parts;
        text.remove_prefix(end + 1);
    }
}

EnvVariables parse_env(std::string_view text) {
    EnvVariables variables;
    for (auto line : split(text, '\n')) {
        line = trim(line);
        constexpr std::string_view kExport = "export ";
        if (line.starts_with(kExport)) line.remove_prefix(kExport.size());
        const auto equals = line.find('=');
        if (line.starts_with('#') || equals == std::string_view::npos) continue;
        variables.insert_or_assign(std::string(trim(line.substr(0, equals))),
                                   std::string(unquote(trim(line.substr(equals + 1)))));
    }
    return variables;
}

Result<std::string> read_env_file(const fs::path &path) {
    // Nothing may hang on open of a path that turns out to be a FIFO or a device.
    const UniqueFd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!file) return fail_errno(errno, path.string());
    struct stat st{};
    if (::fstat(file.get(), &st) != 0) return fail_errno(errno, path.string());
    if (!S_ISREG(st.st_mode)) return fail(path.string() + ": is no file", EPERM);
    std::string text;
    char block[4096];
    while (true) {
        const auto got = ::read(file.get(), block, sizeof block);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return fail_errno(errno, path.string());
        if (got == 0) return text;
        text.append(block, static_cast<std::size_t>(got));
        if (text.size() > kLongest)
            return fail(fmt::format("{}: longer than {} bytes", path.string(), kLongest), EFBIG);
    }
}

Status replace_file(const fs::path &path, std::string_view text) {
    const auto context = path.string();
    const auto directory = path.has_parent_path() ? path.parent_path() : fs::path(".");
    if (auto made = make_directory(directory); !made) return fail_in(std::move(made), context);
    std::string temp = (directory / ("." + path.filename().string() + ".XXXXXX")).string();
    if (auto written = write_temp(temp, text); !written) return fail_in(std::move(written), context);
    crash_point("file-written");
    if (::rename(temp.c_str(), path.c_str()) != 0) {
        const int err = errno;
        ::unlink(temp.c_str());
        return fail_in(Status(fail_errno(err, "rename")), context);
    }
    crash_point("file-renamed");
    // The rename itself survives a power loss only once the directory is on disk.
    const UniqueFd dir(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (!dir) return fail_errno(errno, context + ": open " + directory.string());
    if (::fsync(dir.get()) != 0) return fail_errno(errno, context + ": fsync " + directory.string());
    return {};
}

} // namespace weft

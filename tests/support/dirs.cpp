// SPDX-License-Identifier: Apache-2.0
#include "dirs.hpp"

#include <unistd.h>

#include <atomic>
#include <fstream>
#include <iterator>
#include <system_error>

#include <fmt/format.h>

#include "netns.hpp"

namespace weft::test {
namespace {

Result<std::filesystem::path> make_dir(std::string_view parent, std::string_view name) {
    sweep_leftovers();
    static std::atomic<int> count = 0;
    std::filesystem::path path = fmt::format("{}/weft-test-{}-{}-{}", parent, ::getpid(), count++, name);
    std::error_code error;
    if (!std::filesystem::create_directory(path, error))
        return fail_errno(error ? error.value() : EEXIST, "make " + path.string());
    return path;
}

} // namespace

OwnedDir::OwnedDir(OwnedDir &&other) noexcept : path_(std::exchange(other.path_, {})) {}

OwnedDir &OwnedDir::operator=(OwnedDir &&other) noexcept {
    std::swap(path_, other.path_);
    return *this;
}

OwnedDir::~OwnedDir() {
    std::error_code ignored; // a destructor has nobody to tell; the next test program sweeps what is left
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
}

Result<TempDir> TempDir::create(std::string_view name) {
    auto path = make_dir("/tmp", name);
    if (!path) return fail_as_is(std::move(path));
    return TempDir(std::move(*path));
}

Result<TempDir> TempDir::create_in_memory(std::string_view name) {
    auto path = make_dir("/dev/shm", name);
    if (!path) return fail_as_is(std::move(path));
    return TempDir(std::move(*path));
}

Result<BpfDir> BpfDir::create(std::string_view name) {
    auto path = make_dir("/sys/fs/bpf", name);
    if (!path) return fail_as_is(std::move(path));
    return BpfDir(std::move(*path));
}

Result<std::string> read_file(const std::filesystem::path &path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) return fail_errno(errno, "read " + path.string());
    return std::string(std::istreambuf_iterator<char>(file), {});
}

Status write_file(const std::filesystem::path &path, std::string_view text) {
    std::ofstream file(path, std::ios::binary | std::ios::trunc);
    file.write(text.data(), static_cast<std::streamsize>(text.size())).flush();
    if (!file) return fail_errno(errno, "write " + path.string());
    return {};
}

} // namespace weft::test

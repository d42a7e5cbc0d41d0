// SPDX-License-Identifier: Apache-2.0
#include "needs.hpp"

#include <sys/statfs.h>
#include <unistd.h>

#include <cstdlib>
#include <linux/magic.h>
#include <sstream>

namespace weft::test {
namespace {

bool in_path(std::string_view name) {
    const char *path = std::getenv("PATH");
    std::istringstream dirs(std::string(path ? path : "") + ":/usr/sbin:/sbin");
    for (std::string dir; std::getline(dirs, dir, ':');) {
        if (::access((dir + "/" + std::string(name)).c_str(), X_OK) == 0) return true;
    }
    return false;
}

} // namespace

std::optional<std::string> requires_root() {
    if (::geteuid() == 0) return std::nullopt;
    return "needs root";
}

std::optional<std::string> requires_netns() {
    if (auto reason = requires_root()) return reason;
    if (::access("/proc/self/ns/net", F_OK) != 0) return "the kernel has no network namespaces";
    return requires_tools({"ip"});
}

std::optional<std::string> requires_bpffs() {
    if (auto reason = requires_root()) return reason;
    struct statfs fs{};
    if (::statfs("/sys/fs/bpf", &fs) == 0 && static_cast<unsigned long>(fs.f_type) == BPF_FS_MAGIC) return std::nullopt;
    return "no BPF filesystem is mounted at /sys/fs/bpf";
}

std::optional<std::string> requires_tools(std::initializer_list<std::string_view> names) {
    for (const auto name : names) {
        if (!in_path(name)) return "needs the command " + std::string(name);
    }
    return std::nullopt;
}

std::string binary(std::string_view name) {
    const char *other = std::getenv("WEFT_BIN_DIR");
    return std::string(other ? other : WEFT_BIN_DIR) + "/" + std::string(name);
}

std::optional<std::string> requires_binary(std::string_view name) {
    if (::access(binary(name).c_str(), X_OK) == 0) return std::nullopt;
    return binary(name) + " is not built";
}

} // namespace weft::test

// SPDX-License-Identifier: Apache-2.0
// confined UNIT PROGRAM ARG...: runs the program under the confinement of a unit file: capabilities, system calls, address
// families, namespaces, memory, devices, and what of the file system can be written, by the kernel's own means as systemd uses
// them. So a unit's lines are seen to leave the program what it needs also where no systemd runs.
//
// A directive that is neither carried out here nor named below ends it: a new one is to be thought of. The directories of the
// program's own --run-dir and --subnet-file are writable, as a drop-in would make them.
#include <cap-ng.h>
#include <fcntl.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "process.hpp"

namespace weft::test {
namespace {

using Words = std::vector<std::string>;
using Unit = std::map<std::string, std::vector<Words>>; ///< what is said twice adds up

[[noreturn]] void die(std::string_view what) {
    std::fprintf(stderr, "confined: %s\n", std::string(what).c_str());
    std::exit(99);
}

void must(bool done, const std::string &what) {
    if (!done) die(what + ": " + std::strerror(errno));
}

/// Not of confinement, or not to be had beside a test, whose programs and directories may lie in /tmp or /home. What else is
/// here takes away a part of what the capabilities, the system calls and the read-only /proc/sys and /sys have taken already.
const std::set<std::string, std::less<>> kLeftOut{"Type",
                                                  "EnvironmentFile",
                                                  "ExecStartPre",
                                                  "ExecStart",
                                                  "Restart",
                                                  "RestartSec",
                                                  "TimeoutStartSec",
                                                  "TimeoutStopSec",
                                                  "LimitMEMLOCK",
                                                  "OOMScoreAdjust",
                                                  "ProtectHome",
                                                  "PrivateTmp",
                                                  "PrivateMounts",
                                                  "ProtectControlGroups",
                                                  "ProtectKernelLogs",
                                                  "ProtectKernelModules",
                                                  "ProtectClock",
                                                  "ProtectHostname",
                                                  "RestrictRealtime",
                                                  "RestrictSUIDSGID",
                                                  "SystemCallArchitectures"};
const std::set<std::string, std::less<>> kCarriedOut{"CapabilityBoundingSet",
                                                     "NoNewPrivileges",
                                                     "ProtectSystem",
                                                     "ReadOnlyPaths",
                                                     "ReadWritePaths",
                                                     "PrivateDevices",
                                                     "UMask",
                                                     "RestrictNamespaces",
                                                     "RestrictAddressFamilies",
                                                     "LockPersonality",
                                                     "MemoryDenyWriteExecute",
                                                     "SystemCallFilter",
                                                     "SystemCallErrorNumber"};

Unit read_unit(const char *path) {
    Unit unit;
    std::ifstream file(path);
    must(file.good(), path);
    bool service = false;
    for (std::string line; std::getline(file, line);) {
        if (line.starts_with("[")) service = line == "[Service]";
        const auto equals = line.find('=');
        if (!service || line.starts_with("#") || equals == std::string::npos) continue;
        const auto name = line.substr(0, equals);
        if (!kLeftOut.contains(name) && !kCarriedOut.contains(name)) die(name + ": does not know how");
        unit[name].push_back(words(line.substr(equals + 1)));
    }
    return unit;
}

Words all_of(const Unit &unit, const std::string &name) {
    Words all;
    if (const auto found = unit.find(name); found != unit.end())
        for (const auto &line : found->second) all.insert(all.end(), line.begin(), line.end());
    return all;
}

/// The one value of a directive on which the rest of this file relies.
void expect(const Unit &unit, const std::string &name, const std::string &value) {
    if (all_of(unit, name) != Words{value}) die(name + " is not " + value);
}

/// The directories that the program is told to keep its files in.
Words own_directories(char **argv) {
    Words own;
    for (; *argv; ++argv) {
        const std::filesystem::path arg(*argv);
        for (const std::string flag : {"--run-dir=", "--subnet-file="})
            if (arg.string().starts_with(flag)) {
                own.push_back(std::filesystem::path(arg.string().substr(flag.size())).parent_path());
                std::filesystem::create_directories(own.back());
            }
    }
    return own;
}

void set_read_only(const std::string &path, bool on) {
    mount_attr change{};
    (on ? change.attr_set : change.attr_clr) = MOUNT_ATTR_RDONLY;
    must(::mount_setattr(AT_FDCWD, path.c_str(), AT_RECURSIVE, &change, sizeof change) == 0, path);
}

void confine_files(const Unit &unit, char **argv) {
    expect(unit, "ProtectSystem", "strict");
    expect(unit, "PrivateDevices", "yes");
    must(::unshare(CLONE_NEWNS) == 0, "mount namespace");
    must(::mount(nullptr, "/", nullptr, MS_REC | MS_SLAVE, nullptr) == 0, "/");
    must(::mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, nullptr) == 0, "/proc");
    Words writable;
    for (const auto &path : all_of(unit, "ReadWritePaths")) {
        const bool optional = path.starts_with("-");
        if (!optional || std::filesystem::exists(path.substr(1))) writable.push_back(path.substr(optional ? 1 : 0));
    }
    const auto own = own_directories(argv);
    writable.insert(writable.end(), own.begin(), own.end());
    for (const auto *paths : {&writable}) // mounts of their own, whose attributes can differ from what is around them
        for (const auto &path : *paths)
            must(::mount(path.c_str(), path.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0, path);
    for (const auto &path : all_of(unit, "ReadOnlyPaths"))
        if (path != "/sys") // a mount already
            must(::mount(path.c_str(), path.c_str(), nullptr, MS_BIND | MS_REC, nullptr) == 0, path);
    set_read_only("/", true);
    set_read_only("/proc", false); // strict leaves /proc, /dev and /sys to the other directives
    for (const auto &path : all_of(unit, "ReadOnlyPaths")) set_read_only(path, true);
    for (const auto &path : writable) set_read_only(path, false);

    must(::mount("tmpfs", "/dev", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755") == 0, "/dev");
    const std::pair<const char *, unsigned> devices[] = {
        {"null", 3}, {"zero", 5}, {"full", 7}, {"random", 8}, {"urandom", 9}};
    ::umask(0);
    for (const auto &[name, minor] : devices)
        must(::mknod((std::string("/dev/") + name).c_str(), S_IFCHR | 0666, (1U << 8) | minor) == 0, name);
}

void confine_capabilities(const Unit &unit) {
    must(capng_get_caps_process() == 0, "capabilities");
    capng_clear(CAPNG_SELECT_BOUNDS);
    for (const auto &name : all_of(unit, "CapabilityBoundingSet")) {
        const int number = capng_name_to_capability(name.substr(4).c_str());
        must(number >= 0, name);
        (void)capng_update(CAPNG_ADD, CAPNG_BOUNDING_SET, static_cast<unsigned>(number));
    }
    must(capng_apply(CAPNG_SELECT_BOUNDS) == 0, "bounding set"); // exec takes the rest
    expect(unit, "NoNewPrivileges", "yes");
    must(::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0, "no_new_privs");
}

/// A group's calls, by systemd's own list.
std::set<std::string> calls_of(const std::string &name) {
    if (!name.starts_with("@")) return {name};
    const auto listed = run_ok({"/usr/bin/systemd-analyze", "syscall-filter", name});
    if (!listed) die(listed.error().sentence());
    std::set<std::string> calls;
    std::istringstream lines(*listed);
    for (std::string line; std::getline(lines, line);)
        for (const auto &word : words(line)) {
            if (word == "#") break;
            if (word.starts_with("@") && word != name)
                calls.merge(calls_of(word));
            else
                calls.insert(word);
        }
    return calls;
}

std::set<std::string> allowed_calls(const Unit &unit) {
    auto allowed = calls_of("@default");
    for (const auto &line : unit.at("SystemCallFilter")) {
        const bool remove = line.front().starts_with("~");
        for (const auto &word : line)
            for (const auto &call : calls_of(word.starts_with("~") ? word.substr(1) : word)) {
                if (remove)
                    allowed.erase(call);
                else
                    allowed.insert(call);
            }
    }
    return allowed;
}

class Filter {
public:
    explicit Filter(std::uint32_t otherwise) : filter_(::seccomp_init(otherwise)) { must(filter_, "filter"); }
    Filter(const Filter &) = delete;
    ~Filter() { ::seccomp_release(filter_); }

    void on(std::uint32_t action, const std::string &call, const std::vector<scmp_arg_cmp> &when = {}) {
        const int number = ::seccomp_syscall_resolve_name(call.c_str());
        if (number < 0) return; // another architecture's
        const int err = ::seccomp_rule_add_array(filter_, action, number, when.size(), when.data());
        if (err != 0 && err != -EACCES) die(call + ": " + std::strerror(-err)); // EACCES: what happens anyway
    }
    void load() { must(::seccomp_load(filter_) == 0, "filter"); }

private:
    scmp_filter_ctx filter_;
};

void confine_calls(const Unit &unit) {
    expect(unit, "SystemCallErrorNumber", "EPERM");
    for (const char *name : {"RestrictNamespaces", "MemoryDenyWriteExecute", "LockPersonality"})
        expect(unit, name, "yes");
    const auto allowed = allowed_calls(unit);
    constexpr std::uint32_t kRefused = SCMP_ACT_ERRNO(EPERM);

    Filter arguments(SCMP_ACT_ALLOW);
    const auto bits = [](unsigned argument, std::uint64_t set) {
        return scmp_arg_cmp{argument, SCMP_CMP_MASKED_EQ, set, set};
    };
    for (const std::uint64_t space :
         {CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC, CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET}) {
        arguments.on(kRefused, "unshare", {bits(0, space)});
        arguments.on(kRefused, "clone", {bits(0, space)});
    }
    arguments.on(kRefused, "setns");
    arguments.on(SCMP_ACT_ERRNO(ENOSYS), "clone3"); // flags out of a filter's sight
    arguments.on(kRefused, "mmap", {bits(2, PROT_EXEC | PROT_WRITE)});
    for (const char *call : {"mprotect", "pkey_mprotect"}) arguments.on(kRefused, call, {bits(2, PROT_EXEC)});
    arguments.on(kRefused, "shmat", {bits(2, SHM_EXEC)});
    arguments.on(kRefused, "personality", {{0, SCMP_CMP_NE, 0, 0}});
    const std::map<std::string, int> families{
        {"AF_UNIX", AF_UNIX}, {"AF_INET", AF_INET}, {"AF_INET6", AF_INET6}, {"AF_NETLINK", AF_NETLINK}};
    std::set<int> kept;
    for (const auto &name : all_of(unit, "RestrictAddressFamilies")) kept.insert(families.at(name));
    for (int family = 0; family <= AF_MAX; ++family)
        if (!kept.contains(family))
            arguments.on(SCMP_ACT_ERRNO(EAFNOSUPPORT), "socket",
                         {{0, SCMP_CMP_EQ, static_cast<scmp_datum_t>(family), 0}});

    Filter calls(kRefused);
    for (const auto &call : allowed) calls.on(SCMP_ACT_ALLOW, call);
    calls.on(SCMP_ACT_ALLOW,
             "seccomp"); // the second filter's load, which has no use after NoNewPrivileges but to tighten
    calls.on(SCMP_ACT_ALLOW, "prctl");
    calls.load();
    arguments.load();
}

} // namespace
} // namespace weft::test

int main(int argc, char **argv) {
    using namespace weft::test;
    if (argc < 3) die("usage: confined UNIT PROGRAM ARG...");
    const auto unit = read_unit(argv[1]);
    confine_files(unit, argv + 2);
    ::umask(static_cast<mode_t>(std::stoul(unit.at("UMask").front().front(), nullptr, 8)));
    confine_capabilities(unit);
    confine_calls(unit);
    ::execv(argv[2], argv + 2);
    must(false, argv[2]);
}

// SPDX-License-Identifier: Apache-2.0
#include "net/netns.hpp"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include <exception>
#include <system_error>
#include <thread>

namespace weft::net {

Result<Netns> Netns::open(const std::filesystem::path &path) {
    // Nothing may hang or happen on open of a path that turns out to be a FIFO or a device.
    UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
    if (!fd) return fail_errno(errno, path.string());
    struct statfs fs{};
    if (::fstatfs(fd.get(), &fs) != 0) return fail_errno(errno, path.string());
    if (fs.f_type != NSFS_MAGIC || ::ioctl(fd.get(), NS_GET_NSTYPE) != CLONE_NEWNET)
        return fail(path.string() + ": is not a network namespace");
    struct stat st{};
    if (::fstat(fd.get(), &st) != 0) return fail_errno(errno, path.string());
    return Netns(std::move(fd), st.st_dev, st.st_ino);
}

Result<Netns> Netns::current() { return open("/proc/thread-self/ns/net"); }

Result<NlSocket> Netns::open_socket() const {
    return run([] { return NlSocket::open(); });
}

Status Netns::run_on_own_thread(const std::function<void()> &body) const {
    int errnum = 0;
    std::exception_ptr thrown;
    const auto enter = [&] {
        if (::setns(fd_.get(), CLONE_NEWNET) != 0)
            errnum = errno;
        else
            try {
                body();
            } catch (...) { // out of memory: for the caller to say, and not to end in this thread
                thrown = std::current_exception();
            }
    };
    try {
        std::thread(enter).join();
    } catch (const std::system_error &no_thread) {
        return fail_errno(no_thread.code().value(), "start a thread for a network namespace");
    }
    if (thrown) std::rethrow_exception(thrown);
    return errnum == 0 ? Status() : fail_errno(errnum, "enter network namespace");
}

} // namespace weft::net

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <functional>
#include <optional>
#include <type_traits>

#include "base/error.hpp"
#include "base/unique_fd.hpp"
#include "net/netlink.hpp"

namespace weft::net {

/// A network namespace held open: it cannot vanish while this lives.
///
/// Threads: a namespace is a property of a thread, so `run` uses a thread of its own that dies inside the namespace;
/// the caller's thread never changes its own ("restoring" one can fail and would leave the process somewhere else).
/// Sockets opened inside keep belonging to that namespace and may be used by the caller afterwards.
class Netns {
public:
    /// Errors: ENOENT if the path is not there; EINVAL if it is no network namespace.
    [[nodiscard]] static Result<Netns> open(const std::filesystem::path &path);
    /// The calling thread's.
    [[nodiscard]] static Result<Netns> current();

    /// Runs `closure` (returning Result<T> or Status) inside and returns what it returned. Blocks until it has ended.
    template <class F> [[nodiscard]] std::invoke_result_t<const F &> run(const F &closure) const {
        std::optional<std::invoke_result_t<const F &>> outcome;
        if (auto ran = run_on_own_thread([&] { outcome.emplace(closure()); }); !ran) return fail_as_is(std::move(ran));
        return std::move(*outcome);
    }

    /// A route netlink socket of this namespace.
    [[nodiscard]] Result<NlSocket> open_socket() const;

    [[nodiscard]] int fd() const { return fd_.get(); }
    /// The same namespace, through whatever path it was opened.
    [[nodiscard]] bool operator==(const Netns &other) const { return dev_ == other.dev_ && inode_ == other.inode_; }

private:
    Netns(UniqueFd fd, dev_t dev, ino_t inode) : fd_(std::move(fd)), dev_(dev), inode_(inode) {}
    [[nodiscard]] Status run_on_own_thread(const std::function<void()> &body) const;

    UniqueFd fd_;
    dev_t dev_ = 0;
    ino_t inode_ = 0;
};

} // namespace weft::net

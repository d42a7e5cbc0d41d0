// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/error.hpp"

namespace weft::test {

/// One failure of one system call of a program, by strace's injection: the call is not made, and the program told that the
/// kernel was short of something.
struct Fault {
    std::string call;        ///< "openat"
    unsigned when = 1;       ///< the when-th of them that a thread makes
    bool everywhere = false; ///< in each thread and child, and not in the first thread alone

    [[nodiscard]] std::string name() const; ///< "openat 3: EMFILE"
};

/// strace's command line before a program's, or before `-p PID`: writes to `log` what it asks of the kernel.
[[nodiscard]] std::vector<std::string> recording(const std::filesystem::path &log);
/// Everything in the log that can fail, each once: what the first thread asks, then what only others do.
[[nodiscard]] Result<std::vector<Fault>> faults_of(const std::filesystem::path &log);
/// What the other threads than `thread` ask, each once: it fails in each thread that makes so many of these calls.
[[nodiscard]] Result<std::vector<Fault>> faults_beside(const std::filesystem::path &log, pid_t thread);
/// As recording(): one fault happens.
[[nodiscard]] std::vector<std::string> injecting(const Fault &fault, const std::filesystem::path &log);
/// Whether the program got as far as the fault.
[[nodiscard]] bool was_met(const std::filesystem::path &log);

/// How many of `total` a test tries and which: WEFT_FAULTS of them (`otherwise` unless told; 0: all), chosen by WEFT_SEED (1
/// unless told; 0: any). Says both on stdout. @return indices, in order
[[nodiscard]] std::vector<std::size_t> sample(const std::string &of_what, std::size_t total, std::size_t otherwise);

} // namespace weft::test

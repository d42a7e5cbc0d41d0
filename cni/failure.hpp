// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <expected>
#include <string>
#include <utility>

#include "base/error.hpp"

namespace weft::cni {

/// Error codes of the CNI specification, and weft's own from 100.
enum Code : int {
    kIncompatibleVersion = 1,
    kUnsupportedField = 2,
    kInvalidEnvironment = 4, ///< the message names the variables
    kIoFailure = 5,
    kDecodeFailure = 6,
    kInvalidConfig = 7,
    kInvalidNetns = 8, ///< the container's namespace is the host's own
    kTryAgainLater = 11,
    kNotAvailable = 50, ///< STATUS: no ADD can be served
    kLimited = 51,      ///< STATUS: as 50, and running containers may be cut off
    kKernelRefused = 100,
    kNoAddress = 101,    ///< the built-in IPAM has none to give
    kAddressInUse = 102, ///< another live pod of this node is wired to it
    kCheckFailed = 103,  ///< CHECK found the attachment not as ADD left it
    kDelegateFailed = 104,
    kIncomplete = 105, ///< DEL or GC did what it could; the message says what is left
    kOutOfMemory = 999,
};

/// What the runtime is told: `{cniVersion, code, msg, details}` on stdout.
struct Failure {
    int code = kKernelRefused;
    std::string msg;
    std::string details;
};

template <class T> using Outcome = std::expected<T, Failure>;
using Done = Outcome<void>;

[[nodiscard]] inline std::unexpected<Failure> refuse(int code, std::string msg, std::string details = {}) {
    return std::unexpected(Failure{code, std::move(msg), std::move(details)});
}

/// A failed Result or Status as a Failure of that code: the sentence becomes the message.
template <class T> [[nodiscard]] std::unexpected<Failure> refuse(int code, Result<T> &&failed) {
    return refuse(code, failed.error().sentence());
}

template <class T> [[nodiscard]] std::unexpected<Failure> pass_on(Outcome<T> &&failed) {
    return std::unexpected(std::move(failed).error());
}

} // namespace weft::cni

// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cerrno>
#include <expected>
#include <string>
#include <string_view>
#include <utility>

namespace weft {

/// What went wrong, as one sentence a human can act on, and an errno-style code a caller can branch on.
///
/// Contract: built where the failure is seen; `in()` adds the context known further up, so that the text reads from the
/// outside inwards ("lease 10.5.3.0-24: map put: No space left on device").
class Error {
public:
    /// @param code errno value (positive); 0 only where no errno applies.
    Error(int code, std::string sentence) : code_(code), sentence_(std::move(sentence)) {}

    [[nodiscard]] int code() const { return code_; }
    [[nodiscard]] const std::string &sentence() const { return sentence_; }

    /// Prefixes the context in which this failure happened.
    [[nodiscard]] Error in(std::string_view context) && {
        sentence_.insert(0, ": ").insert(0, context);
        return std::move(*this);
    }
    [[nodiscard]] Error in(std::string_view context) const & { return Error(*this).in(context); }

private:
    int code_;
    std::string sentence_;
};

template <class T> using Result = std::expected<T, Error>;
using Status = Result<void>;

/// An error from an errno value: "<what>: <strerror>".
[[nodiscard]] std::unexpected<Error> fail_errno(int errnum, std::string_view what);

/// An error about input or state: the sentence says what was found and what was expected.
[[nodiscard]] inline std::unexpected<Error> fail(std::string sentence, int code = EINVAL) {
    return std::unexpected(Error(code, std::move(sentence)));
}

/// Passes on a failed result's error with context: `if (!r) return fail_in(std::move(r), "peer a");`
template <class T> [[nodiscard]] std::unexpected<Error> fail_in(Result<T> &&failed, std::string_view context) {
    return std::unexpected(std::move(failed).error().in(context));
}

/// Passes on a failed result's error as it is.
template <class T> [[nodiscard]] std::unexpected<Error> fail_as_is(Result<T> &&failed) {
    return std::unexpected(std::move(failed).error());
}

} // namespace weft

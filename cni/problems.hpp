// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "cni/failure.hpp"

namespace weft::cni {

/// What went wrong in a clean-up that goes on whatever happens.
class Problems {
public:
    void note(std::string_view problem) { text_.append(text_.empty() ? "" : "; ").append(problem); }
    template <class T> void note(const Result<T> &result) {
        if (!result) note(result.error().sentence());
    }
    template <class T> void note(const Outcome<T> &outcome) {
        if (!outcome) note(outcome.error().msg);
    }

    [[nodiscard]] bool none() const { return text_.empty(); }
    [[nodiscard]] const std::string &text() const { return text_; }
    [[nodiscard]] Done done() && { return none() ? Done() : refuse(kIncomplete, std::move(text_)); }

private:
    std::string text_;
};

} // namespace weft::cni
